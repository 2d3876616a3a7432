/**
 * Runs a program once and returns the times and memory that it took. Small C programs read the clock,
 * so that this runtime's own time stays out of the figures.
 *
 * @module
 */

import type { Contestant, Setup } from "./contestants.ts";

/** What one process took. */
interface Process {
  readonly code: number;
  readonly exec: number;
  readonly exit: number;
  readonly cpuMicros: number;
  readonly peakKiB: number;
}

/** What `launch` prints; times are nanoseconds of one clock. */
interface Launched {
  readonly processes: readonly Process[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** A stop request as the sidecar received it. */
interface Arrival {
  readonly port: number;
  readonly at: number;
  /** Which request of its connection it was: 1 on a new connection. */
  readonly nth: number;
}

/** What one run took, in milliseconds and megabytes. */
export interface Run {
  /** From `exec` to COMMAND's first statement. */
  readonly startMs: number;
  /** From COMMAND's last statement to the last stop request's arrival; NaN without a request. */
  readonly stopMs: number;
  /** From COMMAND's last statement to the program's exit. */
  readonly exitMs: number;
  /** From `exec` to the program's exit. */
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly peakMB: number;
  /** How many of the stop requests came on a connection that was already open. */
  readonly reused: number;
}

/** What a program did while COMMAND slept. */
export interface Waiting {
  readonly cpuMs: number;
  readonly switches: number;
  readonly residentMB: number;
  readonly proportionalMB: number;
}

/** The compiled C programs, and the running sidecar. */
export interface Bench {
  readonly setup: Setup;
  /** Runs a COMMAND that takes `jobMs`, and waits until the program exits. */
  run(contestant: Contestant, jobMs: number): Promise<Run>;
  /** Starts `count` copies at once, and returns the milliseconds until the last one exits. */
  runAtOnce(contestant: Contestant, count: number): Promise<number>;
  /** Watches the program while COMMAND sleeps. */
  watch(contestant: Contestant, windowMs: number): Promise<Waiting>;
  /** Ends the sidecar. */
  close(): Promise<void>;
}

const SOURCES = new URL("./", import.meta.url).pathname;
/** By then the sidecar was seen, and its stop request stands ready. */
const SETTLE_MS = 1000;

/** There is no C compiler, or it failed. The message is a sentence for the operator. */
export class NoCompilerError extends Error {
  override readonly name = "NoCompilerError";
}

async function compileC(name: string, folder: string): Promise<string> {
  const output = `${folder}/${name}`;
  const args = ["-O2", "-Wall", "-Wextra", "-Werror", "-o", output, `${SOURCES}${name}.c`];
  let result;
  try {
    result = await new Deno.Command("cc", { args, stdout: "null", stderr: "inherit" }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new NoCompilerError(
      "needs a C compiler named cc (Debian: apt-get install gcc libc6-dev)",
    );
  }
  if (!result.success) throw new NoCompilerError(`needs ${name}.c, which cc could not compile`);
  return output;
}

/** The lines of a stream, one at a time. */
async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}

/** The environment without the variables that could affect a contestant. */
function cleanEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) =>
      !/^(WRAPPER_|KUBERNETES_|BENCH_|DENO_|.*_PROXY$|.*_proxy$)/.test(name)
    ),
  );
}

/**
 * Compiles the C programs and starts the sidecar.
 *
 * @param folder for files
 * @param portCount the number of free ports on which the sidecar listens
 * @param fixedPorts further ports on which it listens
 * @throws {NoCompilerError} if there is no C compiler, or it fails
 */
export async function openBench(
  folder: string,
  portCount: number,
  fixedPorts: readonly number[],
): Promise<Bench> {
  const launch = await compileC("launch", folder);
  const job = await compileC("job", folder);
  const page = `${folder}/page`;

  const asked = [...Array.from({ length: portCount }, () => 0), ...fixedPorts];
  const sidecar = new Deno.Command(await compileC("sidecar", folder), {
    args: asked.map(String),
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const toSidecar = sidecar.stdin.getWriter();
  const fromSidecar = linesOf(sidecar.stdout);
  const nextLine = async () => {
    const { value } = await fromSidecar.next();
    if (typeof value !== "string") throw new Error("the stand-in for a sidecar has ended");
    return value.split(" ");
  };
  const listening = (await nextLine()).slice(1).map(Number);
  const setup: Setup = { ports: listening.slice(0, portCount), folder };

  async function arrivals(): Promise<readonly Arrival[]> {
    await toSidecar.write(new TextEncoder().encode("\n"));
    const list: Arrival[] = [];
    for (;;) {
      const [word, port, at, nth] = await nextLine();
      if (word === "end") return list;
      list.push({ port: Number(port), at: Number(at), nth: Number(nth) });
    }
  }

  const command = (
    contestant: Contestant,
    file: string,
    args: readonly string[],
    stdout: "piped" | "null",
  ) =>
    new Deno.Command(file, {
      args: [...args],
      env: { ...cleanEnvironment(), ...contestant.env?.(setup), BENCH_PAGE: page },
      clearEnv: true,
      stdin: "null",
      stdout,
      stderr: "null",
    });

  async function launchAll(contestant: Contestant, count: number, jobMs: number) {
    const words = [contestant.program, ...contestant.words(setup), job, String(jobMs)];
    const { stdout, success } = await command(
      contestant,
      launch,
      [String(count), ...words],
      "piped",
    )
      .output();
    if (!success) throw new Error(`launch failed for ${contestant.name}`);
    const launched: Launched = JSON.parse(new TextDecoder().decode(stdout));
    const stops = await arrivals();
    const codes = launched.processes.map(({ code }) => code);
    if (codes.some((code) => code !== 0) || launched.ends.length !== count) {
      throw new Error(`${contestant.name} ended with ${codes}, ${launched.ends.length} jobs ran`);
    }
    if (contestant.stops && stops.length < count) {
      throw new Error(`${contestant.name} sent ${stops.length} stop requests`);
    }
    return { launched, stops };
  }

  async function run(contestant: Contestant, jobMs: number): Promise<Run> {
    const { launched, stops } = await launchAll(contestant, 1, jobMs);
    const [process] = launched.processes;
    const [start] = launched.starts;
    const [end] = launched.ends;
    if (process === undefined || start === undefined || end === undefined) {
      throw new Error(`${contestant.name} did not run its job`);
    }
    const last = stops.length === 0 ? NaN : Math.max(...stops.map(({ at }) => at));
    return {
      startMs: (start - process.exec) / 1e6,
      stopMs: (last - end) / 1e6,
      exitMs: (process.exit - end) / 1e6,
      wallMs: (process.exit - process.exec) / 1e6,
      cpuMs: process.cpuMicros / 1e3,
      peakMB: process.peakKiB / 1e3 * 1.024,
      reused: stops.filter(({ nth }) => nth > 1).length,
    };
  }

  async function runAtOnce(contestant: Contestant, count: number): Promise<number> {
    const { processes } = (await launchAll(contestant, count, 0)).launched;
    const first = Math.min(...processes.map(({ exec }) => exec));
    return (Math.max(...processes.map(({ exit }) => exit)) - first) / 1e6;
  }

  async function watch(contestant: Contestant, windowMs: number): Promise<Waiting> {
    const seconds = String(Math.ceil((SETTLE_MS + windowMs) / 1000) + 3);
    const words = [...contestant.words(setup), "sleep", seconds];
    const child = command(contestant, contestant.program, words, "null").spawn();
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const before = activity(child.pid);
    await new Promise((resolve) => setTimeout(resolve, windowMs));
    const after = activity(child.pid);
    const memory = memoryOf(child.pid);
    await child.status;
    await arrivals();
    return { ...difference(before, after), ...memory };
  }

  async function close(): Promise<void> {
    await toSidecar.close();
    await fromSidecar.return(undefined);
    await sidecar.status;
  }

  return { setup, run, runAtOnce, watch, close };
}

/** The context switches and CPU time so far of each thread, by thread id. */
function activity(pid: number): ReadonlyMap<string, { cpuMs: number; switches: number }> {
  const threads = [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => {
    const read = (file: string) => Deno.readTextFileSync(`/proc/${pid}/task/${name}/${file}`);
    const switches = [...read("status").matchAll(/switches:\s+(\d+)/g)];
    return [name, {
      cpuMs: Number(read("schedstat").split(" ")[0]) / 1e6,
      switches: sum(switches.map(([, count]) => Number(count))),
    }] as const;
  });
  return new Map(threads);
}

/** The activity between two snapshots; a thread that has ended in between is not counted. */
function difference(
  before: ReturnType<typeof activity>,
  after: ReturnType<typeof activity>,
): { cpuMs: number; switches: number } {
  const threads = [...after].map(([id, { cpuMs, switches }]) => ({
    cpuMs: cpuMs - (before.get(id)?.cpuMs ?? 0),
    switches: switches - (before.get(id)?.switches ?? 0),
  }));
  return {
    cpuMs: sum(threads.map(({ cpuMs }) => cpuMs)),
    switches: sum(threads.map(({ switches }) => switches)),
  };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** The memory of the process alone, without COMMAND. */
function memoryOf(pid: number): { residentMB: number; proportionalMB: number } {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  const megabytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) * 1024 / 1e6;
  return { residentMB: megabytes("Rss"), proportionalMB: megabytes("Pss") };
}
