/**
 * COMMAND: its start, the signals and time limits while it runs, and its end.
 *
 * @module
 */

import type { Report } from "./log.ts";
import { type Child, errorCode, type Exit, kill, type SignalName, spawn } from "./platform.ts";
import { redactPath } from "./redact.ts";

/**
 * COMMAND could not be started; the message says why in a few words.
 *
 * @example
 * ```ts
 * import { run, StartError } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const { error } = await run(["/no/such/program"]);
 * if (!(error instanceof StartError)) throw new Error("that program exists");
 * assertEquals([error.message, error.code, error.exitCode], ["not found", "ENOENT", 127]);
 * ```
 */
export class StartError extends Error {
  /** The name of the class, for where `instanceof` does not reach. */
  override readonly name = "StartError";
  /** COMMAND's first word. */
  readonly command: string;
  /** 127 if it is not found, 126 if it cannot be executed, 125 if the system had no room for it. */
  readonly exitCode: number;
  /** The system's name of the reason, `ENOENT` for one; an empty string where it has none. */
  readonly code: string;

  /** Explains the system's error. */
  constructor(command: string, cause: unknown) {
    const code = errorCode(cause);
    const message = cause instanceof Error ? cause.message : String(cause);
    const [reason, exitCode] = REASONS[code] ?? [message, 126];
    super(reason, { cause });
    this.command = command;
    this.exitCode = exitCode;
    this.code = code;
  }
}

/** The limits within which COMMAND runs. */
export interface CommandOptions {
  /** The longest run, in milliseconds; 0 is without a limit. */
  readonly timeoutMs: number;
  /** From a signal that asks it to end to SIGKILL, in milliseconds; 0 is never. */
  readonly killAfterMs: number;
  /** Whether it leads a session of its own, and signals go to its whole process group. */
  readonly processGroup: boolean;
}

/** COMMAND, running. */
export interface RunningCommand {
  /** Its process id. */
  readonly pid: number;
  /** How it ended, and whether the time limit ended it; never rejects. */
  readonly end: Promise<Exit & { readonly timedOut: boolean }>;
  /** Passes a signal on. */
  send(signal: SignalName): void;
}

const REASONS: Readonly<Record<string, readonly [reason: string, exitCode: number]>> = {
  ENOENT: ["not found", 127],
  EACCES: ["permission denied", 126],
  EISDIR: ["is a folder", 126],
  ENOTDIR: ["not found: a part of its path is no folder", 127],
  ENOEXEC: ["not an executable of this machine, or a script without #!", 126],
  E2BIG: ["arguments and environment are too long", 126],
  ENAMETOOLONG: ["its name is too long", 126],
  ELOOP: ["too many symbolic links", 126],
  ETXTBSY: ["the file is being written", 126],
  EAGAIN: ["no more processes can be started here", 125],
  ENOMEM: ["out of memory", 125],
  EMFILE: ["too many open files", 125],
  ENFILE: ["too many open files in the system", 125],
};

/**
 * Starts COMMAND with the wrapper's own stdin, stdout, stderr, environment and working directory.
 *
 * @throws {StartError} if it could not be started
 */
export async function startCommand(
  words: readonly string[],
  options: CommandOptions,
  log: Report,
): Promise<RunningCommand> {
  const child = await spawnOrExplain(words, options);
  log("command-started", { command: redactPath(words[0] ?? ""), pid: child.pid });
  return superviseCommand(child, options, log);
}

async function spawnOrExplain(
  words: readonly string[],
  options: CommandOptions,
): Promise<Child> {
  try {
    return await spawn(words, { newSession: options.processGroup });
  } catch (error) {
    throw new StartError(words[0] ?? "", error);
  }
}

function superviseCommand(child: Child, options: CommandOptions, log: Report): RunningCommand {
  const target = options.processGroup ? -child.pid : child.pid;
  const timers = new Set<ReturnType<typeof setTimeout>>();
  let timedOut = false;
  let killing = false;

  function after(ms: number, action: () => void) {
    if (ms > 0) timers.add(setTimeout(action, ms));
  }

  /** SIGTERM, SIGINT and SIGQUIT ask COMMAND to end, and start the clock of `--kill-after`. */
  function startKillClock(signal: SignalName) {
    if (killing || !["SIGTERM", "SIGINT", "SIGQUIT"].includes(signal)) return;
    killing = true;
    after(options.killAfterMs, () => {
      log("command-killed", { signal, limitMs: options.killAfterMs });
      kill(target, "SIGKILL");
    });
  }

  function send(signal: SignalName) {
    log("signal-forwarded", { signal });
    kill(target, signal);
    startKillClock(signal);
  }

  after(options.timeoutMs, () => {
    timedOut = true;
    log("command-timeout", { limitMs: options.timeoutMs });
    send("SIGTERM");
    // A stopped process gets SIGTERM only once it goes on.
    kill(target, "SIGCONT");
  });

  const end = child.exit.then((exit) => {
    for (const timer of timers) clearTimeout(timer);
    return { ...exit, timedOut };
  });
  return { pid: child.pid, end, send };
}
