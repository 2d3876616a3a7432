/** Runs the real command line, from source or as the compiled binary, in a process of its own. */

import { PERMISSION } from "../../scripts/compile.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** How a wrapper is started. */
export interface Start {
  /** The words after the program's name. */
  readonly args: readonly string[];
  /** Variables beside the test's own; `WRAPPER_*` and `KUBERNETES_*` of the machine are not given. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its working directory. */
  readonly cwd?: string;
  /** What stdin is; nothing by default. */
  readonly stdin?: "null" | "piped" | "inherit";
}

/** What a wrapper that ended has left. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** From its start to its end, in milliseconds. */
  readonly durationMs: number;
}

/** A wrapper that runs. */
export interface Running {
  readonly pid: number;
  readonly child: Deno.ChildProcess;
  kill(signal: Deno.Signal): void;
  /** Waits until stdout or stderr has this text. */
  waitFor(text: string): Promise<void>;
  /** Waits for its end. */
  ended: Promise<Ended>;
}

/** Which wrapper is run. */
export type Which = "source" | "binary";

/** The compiled binary. */
export const BINARY = Deno.env.get("WRAPPER_TEST_BINARY") ?? `${ROOT}dist/wrapper`;

/** The words that start a wrapper. */
export function wrapperWords(which: Which): readonly string[] {
  return which === "binary"
    ? [BINARY]
    : [Deno.execPath(), "run", "--quiet", "--no-prompt", PERMISSION, `${ROOT}cli.ts`];
}

/** Starts a wrapper. */
export function startWrapper(which: Which, start: Start): Running {
  const [file = "", ...words] = wrapperWords(which);
  const startMs = performance.now();
  const child = new Deno.Command(file, {
    args: [...words, ...start.args],
    env: { ...cleanEnvironment(), ...start.env },
    clearEnv: true,
    stdin: start.stdin ?? "null",
    stdout: "piped",
    stderr: "piped",
    ...(start.cwd === undefined ? {} : { cwd: start.cwd }),
  }).spawn();

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

  function waitFor(text: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = () => {
      if (!output.stdout.includes(text) && !output.stderr.includes(text)) return;
      waiting.delete(check);
      resolve();
    };
    waiting.add(check);
    check();
    ended.then(() => reject(new Error(`ended without ${JSON.stringify(text)}: ${output.stderr}`)));
    return promise;
  }

  return {
    pid: child.pid,
    child,
    kill: (signal) => Deno.kill(child.pid, signal),
    waitFor,
    ended,
  };
}

/** Runs a wrapper to its end. */
export async function runWrapper(which: Which, start: Start): Promise<Ended> {
  return await startWrapper(which, start).ended;
}

/** The machine's environment without what a wrapper would heed. */
function cleanEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) =>
      !/^(WRAPPER_|KUBERNETES_|.*_PROXY$|.*_proxy$|.*(ENVOY|ISTIO|SCUTTLE|QUIT)_)/.test(name)
    ),
  );
}
