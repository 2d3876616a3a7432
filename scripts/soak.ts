/**
 * The soak test: thousands of jobs, several at once, with sidecars that misbehave or die, and with
 * signals and kills at random moments; then one long COMMAND with many signals. Every job is accounted
 * for, and nothing may be left behind.
 *
 *     deno task soak [--jobs N] [--signals N] [--minutes N] [--lives N] [--seed N]
 *
 * Then each preset's sidecar lives N random lives, beside one job each (`scripts/lives.ts`).
 *
 * `--minutes` spreads the signals to the long COMMAND over that time; without it, they are sent one
 * right after another.
 *
 * @module
 */

// deno-lint-ignore-file no-console

// @ts-types="../types/std_cli_parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
import { OWN_LOOPBACK } from "../tests/support/needs.ts";
import * as recordings from "../tests/support/recordings.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const BINARY = Deno.env.get("WRAPPER_TEST_BINARY") ?? `${ROOT}dist/wrapper`;
const LANES = 6;
const SHUTDOWN_MS = 3000;
/** On top of a job's own limits: the extra time that a busy machine may need. */
const SLACK_MS = 30_000;

/** What a sidecar does with stop requests. */
type Behavior = "good" | "busy" | "refuses" | "hangs" | "vanishes" | "dies" | "late";
const BEHAVIORS: readonly Behavior[] = [
  "good",
  "good",
  "busy",
  "refuses",
  "hangs",
  "vanishes",
  "dies",
  "late",
];

const OUTCOMES = ["told to quit", "has already stopped", "NOT stopped", "no such sidecar"] as const;

/** A small random number generator (mulberry32), so that a seed determines the whole run. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Ports below those that the kernel gives away: nobody else takes one while its sidecar is away. */
const [FIRST_PORT, LAST_PORT] = [10_000, 32_000];
let lastPort = FIRST_PORT + Deno.pid % (LAST_PORT - FIRST_PORT);

function freePort(): number {
  for (;;) {
    lastPort = lastPort < LAST_PORT ? lastPort + 1 : FIRST_PORT;
    try {
      Deno.listen({ hostname: "127.0.0.1", port: lastPort }).close();
      return lastPort;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** A sidecar in this process; `posts` counts the stop requests that it received. */
function startSidecar(behavior: Behavior, lifeMs: number) {
  const stop = new AbortController();
  const port = freePort();
  const seen = { posts: 0 };
  let server: Deno.HttpServer | undefined;
  const serve = () => {
    if (stop.signal.aborted) return;
    server = Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, async (request) => {
      if (request.method !== "POST") return new Response("ok");
      seen.posts++;
      if (behavior === "refuses") return new Response(null, { status: 403 });
      if (behavior === "busy" && seen.posts < 3) return new Response(null, { status: 503 });
      if (behavior === "hangs") {
        await new Promise<void>((resolve) =>
          stop.signal.addEventListener("abort", () => resolve())
        );
      }
      if (behavior === "vanishes") queueMicrotask(() => server?.shutdown());
      return new Response("ok");
    });
  };
  const timers = [behavior === "late" ? setTimeout(serve, lifeMs) : undefined];
  if (behavior !== "late") serve();
  if (behavior === "dies") timers.push(setTimeout(() => server?.shutdown(), lifeMs));
  return {
    port,
    seen,
    async close() {
      for (const timer of timers) clearTimeout(timer);
      stop.abort();
      await server?.shutdown();
    },
  };
}

/** The outcome of one job, for the summary. */
interface Account {
  readonly behavior: Behavior;
  readonly end: string;
  readonly outcome: string;
}

/** Runs one job; throws if anything is not as it must be. */
async function runJob(random: () => number, folder: string): Promise<Account> {
  const pick = <Item>(items: readonly Item[], otherwise: Item): Item =>
    items[Math.floor(random() * items.length)] ?? otherwise;
  const behavior = pick(BEHAVIORS, "good");
  const sidecar = startSidecar(behavior, Math.floor(random() * 400));
  const seconds = (random() * 0.3).toFixed(3);
  const code = Math.floor(random() * 120);
  const fatal = pick([undefined, undefined, undefined, 9, 6, 15], undefined);
  const signal = pick<Deno.Signal | undefined>([
    undefined,
    undefined,
    "SIGTERM",
    "SIGINT",
    "SIGHUP",
    "SIGKILL",
  ], undefined);
  const signalAfterMs = Math.floor(random() * 400);
  const last = fatal === undefined ? `exit ${code}` : `kill -${fatal} $$`;
  const script = `echo up; sleep ${seconds}; ${last}`;
  const child = new Deno.Command(BINARY, {
    args: [
      `--hook=http://127.0.0.1:${sidecar.port}/quit`,
      "--request-timeout=400ms",
      `--shutdown-timeout=${SHUTDOWN_MS}ms`,
      "--startup-window=1s",
      // A signal to the wrapper alone must end the `sleep` too, or it would outlive the job.
      "--process-group",
      "sh",
      "-c",
      script,
    ],
    cwd: folder,
    env: { TMPDIR: folder },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const ending = child.output();
  const killer = signal === undefined ? undefined : setTimeout(() => {
    try {
      child.kill(signal);
    } catch {
      // It has already ended.
    }
  }, signalAfterMs);
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, SHUTDOWN_MS + SLACK_MS);
  const ended = await ending;
  clearTimeout(limit);
  clearTimeout(killer);
  await sidecar.close();

  const stderr = new TextDecoder().decode(ended.stderr);
  const explain = () =>
    JSON.stringify({
      behavior,
      script,
      signal,
      signalAfterMs,
      code: ended.code,
      posts: sidecar.seen.posts,
    }) +
    `\n${stderr}`;
  const check = (holds: boolean, what: string) => {
    if (!holds) throw new Error(`${what}: ${explain()}`);
  };
  check(!late, "did not end");
  const own = fatal === undefined ? code : 128 + fatal;
  const number = { SIGTERM: 15, SIGINT: 2, SIGHUP: 1 }[String(signal)];
  const killed = ended.signal !== null;
  if (killed) {
    // SIGKILL at any moment, or another signal before the program could catch it.
    check(signal !== undefined, "ended by a signal that was not sent");
    return { behavior, end: "wrapper killed", outcome: "none" };
  }
  const codes = [own, ...(number === undefined ? [] : [128 + number])];
  check(codes.includes(ended.code), `expected one of ${codes}`);
  const outcomes = OUTCOMES.filter((text) => stderr.includes(text));
  check(outcomes.length === 1, "expected one outcome of the hook");
  check(!/^\s+at |panicked|error in the wrapper itself/m.test(stderr), "a stack trace");
  const [outcome = ""] = outcomes;
  const allowed: Record<Behavior, readonly string[]> = {
    good: ["told to quit"],
    busy: ["told to quit"],
    refuses: ["NOT stopped"],
    hangs: ["NOT stopped"],
    vanishes: ["told to quit", "has already stopped"],
    dies: ["told to quit", "has already stopped", "no such sidecar", "NOT stopped"],
    // A signal that asks for the end ends the expectation of a sidecar that is not there yet, too.
    late: number === undefined ? ["told to quit"] : ["told to quit", "no such sidecar"],
  };
  check(allowed[behavior].includes(outcome), `expected ${allowed[behavior].join(" or ")}`);
  if (outcome === "told to quit") check(sidecar.seen.posts > 0, "the sidecar got no request");
  return { behavior, end: ended.code === own ? "its own end" : "a signal", outcome };
}

/** Counts the processes whose working directory is in a folder. */
function processesIn(folder: string): number {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (Deno.readLinkSync(`/proc/${name}/cwd`).startsWith(folder)) count++;
    } catch {
      // It has ended in the meantime.
    }
  }
  return count;
}

const openFiles = () => [...Deno.readDirSync("/proc/self/fd")].length;

/** What a process uses: memory in KiB, private and including shared files, and file descriptors. */
function usage(pid: number) {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  const kilobytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? NaN);
  return {
    own: kilobytes("RssAnon"),
    all: kilobytes("VmRSS"),
    files: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
  };
}

/** Runs one long COMMAND: every signal must arrive, and the wrapper's memory must stay flat. */
async function runLong(signals: number, minutes: number): Promise<string> {
  const sidecar = startSidecar("good", 0);
  const child = new Deno.Command(BINARY, {
    args: [
      `--hook=http://127.0.0.1:${sidecar.port}/quit`,
      "bash",
      "-c",
      'n=0; trap "n=\\$((n+1)); echo \\$n" USR1; trap "exit 7" TERM; echo up; while :; do read -t 3600 <> <(:); done',
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let last = "";
  const waiting: { text: string; resolve: () => void }[] = [];
  const reading = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      last = text.trimEnd().split("\n").at(-1) ?? last;
      for (const waiter of waiting.splice(0)) {
        if (waiter.text === last) waiter.resolve();
        else waiting.push(waiter);
      }
    }
  })();
  const seen = (text: string) =>
    last === text
      ? Promise.resolve()
      : new Promise<void>((resolve) => waiting.push({ text, resolve }));
  await seen("up");
  const gapMs = minutes * 60_000 / signals;
  let early = usage(child.pid);
  for (let index = 1; index <= signals; index++) {
    child.kill("SIGUSR1");
    // Wait for each signal to arrive: the kernel merges pending signals of the same kind.
    await seen(String(index));
    if (index === Math.ceil(signals / 10)) early = usage(child.pid);
    if (gapMs > 0) await pause(gapMs);
  }
  const late = usage(child.pid);
  child.kill("SIGTERM");
  const { code } = await child.status;
  await reading;
  await sidecar.close();
  if (code !== 7 || sidecar.seen.posts !== 1) {
    throw new Error(`the long COMMAND: code ${code}, ${sidecar.seen.posts} stop requests`);
  }
  // Garbage collection makes memory vary by a few megabytes; a leak of 1 KiB per signal would fail an
  // hour-long run.
  if (late.own - early.own > 8 * 1024) {
    throw new Error(`memory grew from ${early.own} to ${late.own} KiB`);
  }
  if (late.files > early.files) {
    throw new Error(`descriptors grew from ${early.files} to ${late.files}`);
  }
  const show = ({ own, all, files }: typeof early) =>
    `${own} KiB private, ${all} KiB with shared files, ${files} descriptors`;
  return `${signals} signals arrived; after a tenth of them ${show(early)}; at the end ${
    show(late)
  }`;
}

/** Runs random lives of each preset's sidecar side by side, each in a network namespace of its own. */
async function runLives(runs: number, seed: number): Promise<boolean> {
  const names = Object.values(recordings).map(({ name }) => name);
  const [file = "", ...words] = OWN_LOOPBACK.find() ?? [];
  if (file === "") {
    console.log(`lives: SKIPPED: needs ${OWN_LOOPBACK.what}`);
    return Deno.env.get("CI") === undefined;
  }
  const startMs = performance.now();
  const ends = await Promise.all(names.map((name) => {
    const script = [Deno.execPath(), "run", "--allow-all", `${ROOT}scripts/lives.ts`, name];
    const args = [...words, ...script, "--runs", String(runs), "--seed", String(seed)];
    return new Deno.Command(file, { args, stdin: "null" }).spawn().status;
  }));
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`soak: ${runs} lives of each of ${names.length} sidecars in ${seconds} s`);
  return ends.every(({ success }) => success);
}

if (import.meta.main) {
  const words = parseArgs(Deno.args, { string: ["jobs", "signals", "minutes", "lives", "seed"] });
  const number = (name: string, otherwise: number) => Number(words[name] ?? otherwise);
  const seed = number("seed", Math.floor(Math.random() * 2 ** 31));
  const jobs = number("jobs", 3000);
  console.log(`soak: seed ${seed}, ${jobs} jobs, ${LANES} at once`);
  const folder = Deno.makeTempDirSync({ prefix: "wrapper-soak-" });
  const counts = new Map<string, number>();
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  const startMs = performance.now();
  const filesBefore = openFiles();
  let started = 0;
  const lane = async () => {
    while (started < jobs) {
      // Each job has its own random numbers, which do not depend on what other lanes do.
      const { behavior, end, outcome } = await runJob(generator(seed + started++), folder);
      count(`sidecar ${behavior}`);
      count(`ended by ${end}`);
      count(`hook: ${outcome}`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  for (const [what, times] of [...counts].sort()) {
    console.log(`${String(times).padStart(6)}  ${what}`);
  }

  // A killed wrapper leaves its COMMAND behind, which ends by itself within a second.
  for (let tries = 0; processesIn(folder) > 0 && tries < 100; tries++) await pause(50);
  const left = processesIn(folder);
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name);
  Deno.removeSync(folder, { recursive: true });
  const filesAfter = openFiles();
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(
    `soak: ${jobs} jobs in ${seconds} s; left: ${left} processes, ${files.length} files, ` +
      `${filesAfter - filesBefore} descriptors`,
  );
  // Deno itself keeps one or two descriptors open once it has started a child or a server.
  if (left > 0 || files.length > 0 || filesAfter - filesBefore > 8) Deno.exit(1);
  console.log(`soak: ${await runLong(number("signals", 1000), number("minutes", 0))}`);
  if (!await runLives(number("lives", 200), seed)) Deno.exit(1);
}
