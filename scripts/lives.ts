/**
 * Random lives of one preset's sidecar, with the double of the real program. `deno task soak` runs this
 * for each preset in a network namespace of its own:
 *
 *     deno run --allow-all scripts/lives.ts PRESET [--runs N] [--seed N]
 *
 * The sidecar opens its ports early, late or one by one, is moved, ends, and is started again, all at
 * random times. The wrapper must end in time, with COMMAND's code, and must not leave a sidecar alive
 * without a warning.
 *
 * @module
 */

// deno-lint-ignore-file no-console

// @ts-types="../types/std_cli_parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
import { type Phase, type Recording, startDouble } from "../tests/support/doubles.ts";
import * as recordings from "../tests/support/recordings.ts";
import { startWrapper, untilCaught } from "../tests/support/wrapper.ts";
import { generator } from "./soak.ts";

const WINDOW_MS = 1000;
const SHUTDOWN_MS = 1500;
/** A sidecar that crashed is looked for again this long. */
const AGAIN_MS = 1000;
/** The extra time that a busy machine may need. */
const SLACK_MS = 15_000;
/** The last moment at which something happens to the sidecar. */
const LAST_EVENT_MS = 900;

/** Phases that only a stop request leads to. */
const TOLD = /^(told|grace period)/;

/** Lines that tell the operator what was left, and the way out. */
const WARNING = /^wrapper: (warn|error): .*|^wrapper: .*(NOT stopped|not told to quit).*/gm;

/** The recording with more phases: each port opens alone, before the others; all are moved. */
function withMorePhases(recording: Recording): Recording {
  const phases: Record<string, Phase> = { ...recording.phases };
  for (const [name, phase] of Object.entries(recording.phases)) {
    const ports = Object.entries(phase.ports);
    for (const [port, pages] of ports.length > 1 ? ports : []) {
      phases[`${name}, first ${port}`] = { ports: { [port]: pages }, next: name };
    }
    const moved = ports.map(([port, pages]) => [String(Number(port) + 2000), pages]);
    phases[`${name}, moved`] = { ports: Object.fromEntries(moved) };
  }
  return { ...recording, phases };
}

const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });

/** Runs one life beside one job; throws if anything is not as it must be. */
async function live(recording: Recording, random: () => number): Promise<string> {
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <Item>(items: readonly Item[], otherwise: Item) =>
    items[below(items.length)] ?? otherwise;

  const first = pick(Object.keys(recording.phases).filter((name) => !TOLD.test(name)), "ready");
  const hook = pick([recording.name, recording.name, "auto"], recording.name);
  const isLate = random() < 0.3;
  const waitMs = pick([0, 0, 400, 2000], 0);
  const jobMs = below(700);
  const code = 3 + below(100);
  const signalAtMs = random() < 0.25 ? below(1200) : undefined;
  const events = Array.from({ length: below(5) }, () => ({
    atMs: below(LAST_EVENT_MS),
    what: pick(["go on", "go on", "go on", "restart", "end"], "go on"),
  })).sort((one, other) => one.atMs - other.atMs);
  if (isLate) events.unshift({ atMs: below(LAST_EVENT_MS), what: "restart" });

  await using double = startDouble(recording, isLate ? "ended" : first);
  const args = [
    `--hook=${hook}`,
    "--request-timeout=400ms",
    `--shutdown-timeout=${SHUTDOWN_MS}ms`,
    `--startup-window=${WINDOW_MS}ms`,
    ...waitMs > 0 ? [`--wait=${waitMs}ms`] : [],
    "--process-group",
    "sh",
    "-c",
    `sleep ${jobMs / 1000}; exit ${code}`,
  ];
  const startMs = performance.now();
  await using wrapper = startWrapper("binary", { args });
  const over = new AbortController();
  let hasCrashed = false;
  let isAskedToEnd = false;
  const happened: string[] = [];

  /** Whether it ends, or has ended, because it was told to; such a sidecar is not started again. */
  const wasTold = () =>
    double.phase === "grace period" ||
    double.phase === "ended" && double.requests.some((request) => request.startsWith("POST "));

  async function happen(): Promise<void> {
    for (const { atMs, what } of events) {
      await pause(Math.max(0, atMs - (performance.now() - startMs)), over.signal);
      if (over.signal.aborted || wasTold()) return;
      happened.push(`${what} after ${Math.round(performance.now() - startMs)} ms`);
      if (what === "go on") {
        double.goOn();
        continue;
      }
      if (double.phase !== "ended") {
        hasCrashed = true;
        double.enter("ended");
        await double.closed();
      }
      if (what === "restart") double.enter(first);
    }
  }

  async function signal(atMs: number): Promise<void> {
    await pause(atMs, over.signal);
    // Before it catches signals, one ends it as it would end any program.
    if (!over.signal.aborted) await untilCaught(wrapper.pid, 15).catch(() => over.abort());
    if (over.signal.aborted) return;
    wrapper.kill("SIGTERM");
    isAskedToEnd = true;
  }

  const life = Promise.all([happen(), signalAtMs === undefined ? undefined : signal(signalAtMs)]);
  const ended = await wrapper.ended;
  over.abort();
  const { phase } = double;
  await life;

  const explain = JSON.stringify(
    { hook, first, isLate, waitMs, jobMs, code, signalAtMs, happened, phase, got: ended.code },
  ) + `\n${ended.stderr}${double.requests.slice(-12).join("\n")}`;
  const check = (holds: boolean, what: string) => {
    if (!holds) throw new Error(`${what}: ${explain}`);
  };
  const limitMs = waitMs + jobMs + 2 * WINDOW_MS + 2 * SHUTDOWN_MS + AGAIN_MS + SLACK_MS;
  check(ended.durationMs < limitMs, `did not end within ${limitMs} ms`);
  const codes = [
    code,
    ...signalAtMs === undefined ? [] : [143],
    ...waitMs === 0 ? [] : [125],
  ];
  check(codes.includes(ended.code), `expected one of ${codes}`);
  check(!/^\s+at |panicked|error in the wrapper itself/m.test(ended.stderr), "a stack trace");
  if (phase === "ended") return "gone";
  // It ends by itself.
  if (phase === "grace period" || phase.includes("terminating")) return "draining";
  // The kubelet ends a sidecar with its pod. A crash then is the end.
  if (isAskedToEnd && hasCrashed) return "crashed, and a signal";
  const warnings = (ended.stderr.match(WARNING) ?? [])
    // Of one that lives on, this is true only if it was started again.
    .filter((line) => hasCrashed || !line.includes("has already stopped"));
  const isWarned = warnings.length > 0 ||
    hook === "auto" && ended.stderr.includes("auto: no sidecar found");
  // After a SIGTERM nothing is expected that was not seen: the kubelet ends it.
  if (!isWarned && isAskedToEnd) return "left to the kubelet";
  check(isWarned, "left alive without a warning");
  return "left alive, with a warning";
}

if (import.meta.main) {
  const words = parseArgs(Deno.args, { string: ["runs", "seed"] });
  const name = String(Deno.args[0]);
  const found = Object.values(recordings).find((recording) => recording.name === name);
  if (found === undefined) throw new Error(`no recording of ${name}`);
  const recording = withMorePhases(found);
  const runs = Number(words["runs"] ?? 100);
  const seed = Number(words["seed"] ?? Math.floor(Math.random() * 2 ** 31));
  const counts = new Map<string, number>();
  let failures = 0;
  for (let run = 0; run < runs; run++) {
    try {
      const end = await live(recording, generator(seed + run));
      counts.set(end, (counts.get(end) ?? 0) + 1);
    } catch (error) {
      failures++;
      console.log(`${name}: seed ${seed + run}: ${error instanceof Error ? error.message : error}`);
    }
  }
  const ends = [...counts].sort().map(([end, times]) => `${times} ${end}`).join(", ");
  console.log(`lives: ${name}: seed ${seed}, ${runs} runs, ${failures} failures; ${ends}`);
  Deno.exit(failures === 0 ? 0 : 1);
}
