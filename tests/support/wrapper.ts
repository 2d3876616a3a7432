/** Runs the real command line, from source or as the compiled binary, in its own process. */

import { PERMISSION } from "../../scripts/compile.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** How a wrapper is started. */
export interface Start {
  /** The arguments. */
  readonly args: readonly string[];
  /** Variables in addition to this process's own, without those that a wrapper reads. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its working directory. */
  readonly cwd?: string;
  /** Its stdin; `null` by default. */
  readonly stdin?: "null" | "piped" | "inherit";
  /** Whether it has its own session, and so not the test's terminal. */
  readonly detached?: boolean;
}

/** A wrapper that has ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** From its start to its end, in milliseconds. */
  readonly durationMs: number;
}

/** A running wrapper; it is killed at the end of an `await using` block. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  readonly child: Deno.ChildProcess;
  kill(signal: Deno.Signal): void;
  /** Waits until stdout or stderr has this text this many times. */
  waitFor(text: string, times?: number): Promise<void>;
  /** What stdout and stderr contain so far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  /** Writes to stdin, if it is piped. */
  type(text: string): Promise<void>;
  /** Resolves when it has ended. */
  ended: Promise<Ended>;
}

/** Which wrapper to run. */
export type Which = "source" | "binary";

/** The compiled binary. */
export const BINARY = Deno.env.get("WRAPPER_TEST_BINARY") ?? `${ROOT}dist/wrapper`;

/** The words of the command that starts a wrapper. */
export function wrapperWords(which: Which): readonly string[] {
  return which === "binary"
    ? [BINARY]
    : [Deno.execPath(), "run", "--quiet", "--no-prompt", PERMISSION, `${ROOT}cli.ts`];
}

/** What puts a program of Deno into the simulation of macOS, by `--preload`. */
export const PRELOAD_MACOS: string = `${ROOT}tests/macos/preload.ts`;

/** The words that start a wrapper from source in the simulation of macOS. */
export function onMacOs(): readonly string[] {
  const flags = ["--quiet", "--no-prompt", PERMISSION, "--preload", PRELOAD_MACOS];
  return [Deno.execPath(), "run", ...flags, `${ROOT}cli.ts`];
}

/** Starts a wrapper. */
export function startWrapper(which: Which, start: Start): Running {
  return startProgram([...wrapperWords(which), ...start.args], start);
}

/** Many times longer than any program here takes. One that hangs is killed then, and its test fails. */
const LONGEST_RUN_MS = 180_000;

/** Starts any program in the same way. */
export function startProgram(words: readonly string[], start: Omit<Start, "args"> = {}): Running {
  const [file = "", ...args] = words;
  const startMs = performance.now();
  const child = new Deno.Command(file, {
    args,
    detached: start.detached ?? false,
    env: { ...cleanEnvironment(), ...start.env },
    clearEnv: true,
    stdin: start.stdin ?? "null",
    stdout: "piped",
    stderr: "piped",
    ...(start.cwd === undefined ? {} : { cwd: start.cwd }),
  }).spawn();

  const timer = setTimeout(() => child.kill("SIGKILL"), LONGEST_RUN_MS);
  child.status.then(() => clearTimeout(timer));

  const output = { stdout: "", stderr: "" };
  const waiting = new Set<() => void>();
  async function collect(name: "stdout" | "stderr") {
    for await (const text of child[name].pipeThrough(new TextDecoderStream())) {
      output[name] += text;
      for (const check of waiting) check();
    }
  }
  const ended = Promise.all([child.status, collect("stdout"), collect("stderr")]).then(
    ([{ code }]) => ({ code, ...output, durationMs: performance.now() - startMs }),
  );

  const count = (where: string, text: string) => where.split(text).length - 1;

  function waitFor(text: string, times = 1): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = () => {
      if (count(output.stdout, text) < times && count(output.stderr, text) < times) return;
      waiting.delete(check);
      resolve();
    };
    waiting.add(check);
    check();
    ended.then(() => {
      const { stdout, stderr } = output;
      reject(
        new Error(`ended without ${JSON.stringify(text)}: ${JSON.stringify({ stdout, stderr })}`),
      );
    });
    return promise;
  }

  return {
    pid: child.pid,
    child,
    kill: (signal) => Deno.kill(child.pid, signal),
    waitFor,
    output,
    async type(text) {
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(text));
      writer.releaseLock();
    },
    ended,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has already ended.
      }
      await child.status;
    },
  };
}

/** Runs a wrapper to its end. */
export async function runWrapper(which: Which, start: Start): Promise<Ended> {
  return await startWrapper(which, start).ended;
}

/** Runs the compiled wrapper with a text on its stdin, as in a pipe. */
export async function runWithInput(args: readonly string[], text: string): Promise<Ended> {
  await using wrapper = startWrapper("binary", { args, stdin: "piped" });
  const writer = wrapper.child.stdin.getWriter();
  // A wrapper that refuses the text in the middle of it does not read the rest.
  await writer.write(new TextEncoder().encode(text)).then(() => writer.close()).catch(() => {});
  return await wrapper.ended;
}

/** Runs the compiled `wrapper --wrap -`. */
export async function wrapStdin(text: string): Promise<Ended> {
  return await runWithInput(["--wrap", "-"], text);
}

/** Waits until the compiled wrapper catches a signal. */
export async function untilCaught(pid: number, signal: number): Promise<void> {
  // The kernel keeps 15 bytes of a program's name.
  const name = BINARY.slice(BINARY.lastIndexOf("/") + 1).slice(0, 15);
  for (;;) {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const caught = parseInt(/SigCgt:.*([0-9a-f]{8})\n/.exec(status)?.[1] ?? "", 16);
    // The process may still be the shell, which catches signals, too.
    if (status.startsWith(`Name:\t${name}\n`) && (caught >> (signal - 1)) & 1) return;
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/** This process's environment without the variables that a wrapper reads. */
function cleanEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) =>
      !/^(WRAPPER_|KUBERNETES_|.*_PROXY$|.*_proxy$|.*(ENVOY|ISTIO|SCUTTLE|QUIT)_|.*_KILL_ENVOY$)/
        .test(name)
    ),
  );
}
