/**
 * Measures what the compiled wrapper costs, compared with the least that its runtime costs and with
 * other wrappers.
 *
 *     deno task bench [--short]
 *
 * Measures whole processes in turns, one after the other, so that other activity on the machine
 * affects all of them alike. Writes `docs/performance.json`, the chart, and the tables that follow
 * from it; `--short` only checks that all of this still works, and prints.
 *
 * Peers are found on PATH or through variables: `BENCH_SCUTTLE`, `BENCH_LINKERD_AWAIT`,
 * `BENCH_GO_WRAPPER` with `BENCH_GO_WRAPPER_PLUGIN`, `BENCH_KUBEXIT`, `BENCH_TINI`,
 * `BENCH_DUMB_INIT`. A missing peer is named and left out.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import {
  type Contestant,
  findPeers,
  FLOOR,
  FLOOR_KY,
  FLOOR_SOCKET,
  FLOORS,
  ownContestants,
  type Setup,
  WRAPPER,
  WRAPPER_CONTAINERS,
  WRAPPER_NO_HOOK,
  WRAPPER_URL,
} from "./contestants.ts";
import { type Bench, NoCompilerError, openBench, type Run } from "./measure.ts";
import {
  chart,
  type Figure,
  figure,
  HOOK_SERIES,
  type Measure,
  performanceTables,
  type Results,
} from "./report.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** How often each thing is measured. */
interface Plan {
  readonly start: number;
  readonly stop: readonly (readonly [name: "50ms" | "1s" | "10s", jobMs: number, runs: number])[];
  readonly waitingMs: number;
  readonly hooks: readonly (readonly [measure: Measure, hooks: number])[];
  readonly hookRuns: number;
  readonly atOnce: readonly (readonly [measure: Measure, count: number])[];
  readonly atOnceRuns: number;
}

const FULL: Plan = {
  start: 40,
  stop: [["50ms", 50, 30], ["1s", 1000, 15], ["10s", 10_000, 3]],
  waitingMs: 30_000,
  hooks: [["hooks-1", 1], ["hooks-5", 5], ["hooks-20", 20]],
  hookRuns: 15,
  atOnce: [["at-once-1", 1], ["at-once-10", 10], ["at-once-50", 50]],
  atOnceRuns: 5,
};

const SHORT: Plan = {
  start: 3,
  stop: [["50ms", 50, 3], ["1s", 1000, 2]],
  waitingMs: 2000,
  hooks: [["hooks-1", 1], ["hooks-20", 20]],
  hookRuns: 2,
  atOnce: [["at-once-1", 1], ["at-once-10", 10]],
  atOnceRuns: 1,
};

/** Collects values, and turns each series into a figure, in the order of the series' first values. */
function createCollection() {
  const series = new Map<string, { measure: Measure; who: string; values: number[] }>();
  return {
    add(measure: Measure, who: string, value: number): void {
      const key = `${measure} ${who}`;
      const entry = series.get(key) ?? { measure, who, values: [] };
      entry.values.push(value);
      series.set(key, entry);
    },
    figures: (): readonly Figure[] =>
      [...series.values()].map(({ measure, who, values }) => figure(measure, who, values)),
  };
}

/** Runs every contestant once unmeasured, then all of them in turns. */
async function inTurns<Entry>(
  runs: number,
  entries: readonly Entry[],
  measure: (entry: Entry, counts: boolean) => Promise<void>,
): Promise<void> {
  for (let turn = 0; turn <= runs; turn++) {
    // The order rotates, so that no entry always runs after the same other one.
    for (const index of entries.keys()) {
      const entry = entries[(index + turn) % entries.length];
      if (entry !== undefined) await measure(entry, turn > 0);
    }
  }
}

async function measureAll(
  plan: Plan,
  bench: Bench,
  contestants: readonly Contestant[],
): Promise<Pick<Results, "figures" | "reused">> {
  const { add, figures } = createCollection();
  const say = (text: string) => console.error(`measuring ${text} …`);
  const usual = contestants.filter(({ name }) =>
    ![WRAPPER_URL, WRAPPER_CONTAINERS, FLOOR_SOCKET].includes(name)
  );

  say("start and whole run");
  await inTurns(plan.start, usual, async (contestant, counts) => {
    const run = await bench.run(contestant, 0);
    if (!counts) return;
    add("start", contestant.name, run.startMs);
    add("whole", contestant.name, run.wallMs);
    add("cpu", contestant.name, run.cpuMs);
    add("peak", contestant.name, run.peakMB);
  });

  const reused: [number, number] = [0, 0];
  const stopping = contestants.filter(({ stops }) => stops);
  for (const [name, jobMs, runs] of plan.stop) {
    say(`stop after a job of ${jobMs} ms`);
    await inTurns(runs, stopping, async (contestant, counts) => {
      if (!counts && jobMs > 1000) return;
      const run = await bench.run(contestant, jobMs);
      if (!counts) return;
      add(`stop-${name}`, contestant.name, run.stopMs);
      add(`exit-${name}`, contestant.name, run.exitMs);
      if (contestant.name !== WRAPPER || jobMs < 1000) return;
      reused[0] += run.reused;
      reused[1]++;
    });
  }

  say(`${plan.waitingMs / 1000} s of waiting`);
  const waiters = usual.filter(({ name }) => name !== FLOOR_KY);
  await Promise.all(waiters.map(async (contestant) => {
    const waiting = await bench.watch(contestant, plan.waitingMs);
    add("waiting-cpu", contestant.name, waiting.cpuMs);
    add("waiting-switches", contestant.name, waiting.switches);
    add("waiting-resident", contestant.name, waiting.residentMB);
    add("waiting-proportional", contestant.name, waiting.proportionalMB);
  }));

  say("many hooks");
  const wrapper = contestants.find(({ name }) => name === WRAPPER);
  if (wrapper === undefined) throw new Error("the wrapper itself is not measured");
  await inTurns(plan.hookRuns, plan.hooks, async ([measure, hooks], counts) => {
    const run: Run = await bench.run(withHooks(wrapper, hooks), 1000);
    if (!counts) return;
    add(measure, HOOK_SERIES.arrival, run.stopMs);
    add(measure, HOOK_SERIES.exit, run.exitMs);
    add(measure, HOOK_SERIES.whole, run.wallMs);
  });

  say("many at once");
  for (const [measure, count] of plan.atOnce) {
    await inTurns(plan.atOnceRuns, waiters, async (contestant, counts) => {
      const wallMs = await bench.runAtOnce(contestant, count);
      if (counts) add(measure, contestant.name, wallMs);
    });
  }

  say("size");
  for (const contestant of usual) {
    if ([WRAPPER_NO_HOOK, FLOOR_KY].includes(contestant.name)) continue;
    const files = [contestant.program, ...contestant.extra ?? []];
    add("size", contestant.name, sum(files.map((file) => Deno.statSync(file).size)) / 1e6);
    if (plan !== FULL) continue;
    const sizes = await Promise.all(files.map(gzipSize));
    add("size-compressed", contestant.name, sum(sizes) / 1e6);
  }
  // Every table lists the contestants in the same order, whichever ran first.
  const place = ({ who }: Figure) => contestants.findIndex(({ name }) => name === who);
  return { figures: figures().toSorted((a, b) => place(a) - place(b)), reused };
}

function withHooks(wrapper: Contestant, hooks: number): Contestant {
  const words = ({ ports }: Setup) =>
    ports.slice(0, hooks).flatMap((port) => ["--hook", `istio=http://127.0.0.1:${port}`]);
  return { ...wrapper, words };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** The size of a file as a registry stores it and a node downloads it. */
async function gzipSize(path: string): Promise<number> {
  let size = 0;
  const file = await Deno.open(path);
  for await (const chunk of file.readable.pipeThrough(new CompressionStream("gzip"))) {
    size += chunk.byteLength;
  }
  return size;
}

async function deno(...args: string[]): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).spawn().status;
  if (!success) throw new Error(`deno ${args.join(" ")} failed`);
}

function describeMachine(): string {
  const text = Deno.readTextFileSync("/proc/cpuinfo");
  const cpu = /^model name\s*:\s*(.*)$/m.exec(text)?.[1] ?? Deno.build.arch;
  const memory = (Deno.systemMemoryInfo().total / 2 ** 30).toFixed(0);
  return `${navigator.hardwareConcurrency} × ${cpu}, ${memory} GiB, Linux ${Deno.osRelease()}`;
}

async function versionOf(wrapper: string): Promise<string> {
  const { stdout } = await new Deno.Command(wrapper, { args: ["--version"] }).output();
  return new TextDecoder().decode(stdout).trim();
}

async function main(short: boolean): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "wrapper-bench-" });
  let bench: Bench | undefined;
  try {
    const wrapper = Deno.env.get("BENCH_WRAPPER") ?? `${ROOT}dist/wrapper`;
    if (Deno.env.get("BENCH_WRAPPER") === undefined) {
      await deno("run", "--allow-all", "scripts/compile.ts");
    }
    const floors = { [FLOOR]: "", [FLOOR_SOCKET]: "", [FLOOR_KY]: "" };
    for (const name of [FLOOR, FLOOR_SOCKET, FLOOR_KY] as const) {
      const file = FLOORS[name];
      floors[name] = `${folder}/${file.replace(".ts", "")}`;
      const words = ["--entry", `${ROOT}bench/${file}`, "--output", floors[name]];
      await deno("run", "--allow-all", "scripts/compile.ts", ...words);
    }

    // Two processes of one file would share its memory, and look smaller than the floor.
    const copy = `${folder}/wrapper-no-hook`;
    Deno.copyFileSync(wrapper, copy);

    const { found, absent } = findPeers();
    const contestants = [...ownContestants(wrapper, copy, floors), ...found];
    for (const line of absent) console.error(line);
    const fixedPorts = found.flatMap(({ fixedPort }) => fixedPort === undefined ? [] : [fixedPort]);
    bench = await openBench(folder, 20, fixedPorts);

    const before = Deno.loadavg()[0] ?? NaN;
    const measured = await measureAll(short ? SHORT : FULL, bench, contestants);
    const results: Results = {
      date: new Date().toISOString().slice(0, 10),
      machine: describeMachine(),
      wrapper: await versionOf(wrapper),
      load: [before, Deno.loadavg()[0] ?? NaN],
      absent,
      ...measured,
    };
    console.log(performanceTables(results));
    if (short) return;
    Deno.mkdirSync(`${ROOT}docs`, { recursive: true });
    Deno.writeTextFileSync(`${ROOT}docs/performance.json`, JSON.stringify(results, null, 2) + "\n");
    Deno.writeTextFileSync(`${ROOT}docs/performance.svg`, chart(results));
    // In a separate process, because this one has already read the figures of the run before.
    await deno("task", "--quiet", "docs");
  } finally {
    await bench?.close();
    Deno.removeSync(folder, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    await main(Deno.args.includes("--short"));
  } catch (error) {
    if (!(error instanceof NoCompilerError)) throw error;
    console.error(`the benchmark ${error.message}`);
    Deno.exit(1);
  }
}
