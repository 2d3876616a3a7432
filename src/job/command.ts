/**
 * COMMAND: its start, the signals and time limits while it runs, its end and its group's.
 *
 * @module
 */

import type { Report } from "../log/log.ts";
import { errorCode, errorText, startErrorReason } from "../platform/errors.ts";
import { type Child, type Exit, kill, spawn } from "../platform/mod.ts";
import type { CatchableSignal, SignalName } from "../platform/signals.ts";
import { countGroup, readProcess } from "../process/proc.ts";
import { redactPath } from "../log/redact.ts";
import { isEndedBy, START_KILL_CLOCK } from "../process/signals.ts";
import {
  hasTerminal,
  isFromTerminal,
  isShellJob,
  stopSelf,
  trackStops,
} from "../process/terminal.ts";

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
    const [reason, exitCode] = startErrorReason(cause);
    super(reason, { cause });
    this.command = command;
    this.exitCode = exitCode;
    this.code = errorCode(cause);
  }
}

/** How COMMAND runs. */
export interface CommandOptions {
  /** The longest run, in milliseconds; 0 is without a limit. */
  readonly timeoutMs: number;
  /** From a signal that asks it to end to SIGKILL, in milliseconds; 0 is never. */
  readonly killAfterMs: number;
  /** Whether it leads a session of its own, and signals go to its whole process group. */
  readonly processGroup: boolean;
  /** Whether this process is there for COMMAND only, and so stops with it on a terminal. */
  readonly jobControl: boolean;
}

/** COMMAND, running. */
export interface RunningCommand {
  /** Its process id. */
  readonly pid: number;
  /** How it ended, and whether the time limit ended it; never rejects. */
  readonly end: Promise<Exit & { readonly timedOut: boolean }>;
  /** Sends a signal. */
  send(signal: SignalName): void;
  /** Passes on a signal that the wrapper got, unless COMMAND has it already from the terminal. */
  pass(signal: CatchableSignal): void;
  /** Once COMMAND is over: ends what is left of its process group, if it had one of its own. */
  endGroup(): Promise<void>;
}

/** By far enough for a signal that has come to arrive in the event loop. */
const EVENT_LAG_MS = 20;

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
  const sharesTerminal = options.jobControl && !options.processGroup && hasTerminal();
  const timers = new Set<ReturnType<typeof setTimeout>>();
  let timedOut = false;
  let killing = false;
  let isNew = sharesTerminal;

  function after(ms: number, action: () => void) {
    if (ms > 0) timers.add(setTimeout(action, ms));
  }

  /** SIGTERM, SIGINT and SIGQUIT ask COMMAND to end, and start the clock of `--kill-after`. */
  function startKillClock(signal: SignalName) {
    if (killing || !START_KILL_CLOCK.has(signal)) return;
    killing = true;
    after(options.killAfterMs, () => {
      log("command-killed", { signal, limitMs: options.killAfterMs });
      trySend("SIGKILL");
    });
  }

  function trySend(signal: SignalName) {
    try {
      kill(target, signal);
    } catch (error) {
      // COMMAND may have become another user, or root.
      log("signal-refused", { signal, reason: error instanceof Error ? error.message : "" });
    }
  }

  function send(signal: SignalName) {
    log("signal-forwarded", { signal });
    trySend(signal);
    startKillClock(signal);
  }

  function pass(signal: CatchableSignal) {
    if (sharesTerminal && isFromTerminal(signal)) {
      log("signal-from-terminal", { signal });
      // Unless it came a moment before COMMAND was there. One that is ended by it can be sent it
      // again: it does not live to see it twice.
      if (isNew && isEndedBy(child.pid, signal)) trySend(signal);
      startKillClock(signal);
    } else if (signal === "SIGCONT" && stops?.takeOwnStop()) {
      continueIfLeftBehind();
    } else if (signal === "SIGTSTP" && options.processGroup && options.jobControl && isShellJob()) {
      // COMMAND's session has no terminal, where SIGTSTP would not stop anything.
      send("SIGSTOP");
      stopSelf();
    } else {
      send(signal);
    }
  }

  /** The shell's `fg` and `bg` let the whole group go on; a `kill -CONT` only the wrapper. */
  function continueIfLeftBehind() {
    if (readProcess(child.pid)?.state !== "T") return;
    // Or COMMAND went on too, and has stopped again since: the kernel has told so by SIGCHLD then,
    // if not yet as far as here.
    after(EVENT_LAG_MS, () => {
      if (!stops?.commandHasContinued() && readProcess(child.pid)?.state === "T") send("SIGCONT");
    });
  }

  const stops = sharesTerminal
    ? trackStops(child.pid, () => log("command-stopped", {}))
    : undefined;

  if (isNew) after(EVENT_LAG_MS, () => isNew = false);
  after(options.timeoutMs, () => {
    timedOut = true;
    log("command-timeout", { limitMs: options.timeoutMs });
    send("SIGTERM");
    // A stopped process gets SIGTERM only once it goes on.
    trySend("SIGCONT");
  });

  const end = child.exit.then((exit) => {
    for (const timer of timers) clearTimeout(timer);
    stops?.stopTracking();
    return { ...exit, timedOut };
  });

  async function endGroup() {
    if (!options.processGroup) return;
    await endProcessGroup(child.pid, options.killAfterMs || DEFAULT_GROUP_GRACE_MS, log);
  }

  return { pid: child.pid, end, send, pass, endGroup };
}

/** How long what is left of COMMAND's process group has after SIGTERM, without `--kill-after`. */
const DEFAULT_GROUP_GRACE_MS = 5000;

/** SIGKILL cannot be refused, but a process can hang in the kernel, on a dead network disk for one. */
const KILL_GRACE_MS = 2000;

/** Ends the processes of a group: SIGTERM, and SIGKILL for those that do not heed it in time. */
async function endProcessGroup(group: number, graceMs: number, log: Report): Promise<void> {
  // A stopped process gets SIGTERM only once it goes on. This tells too whether anyone is left.
  if (!signalGroup(group, "SIGCONT")) return;
  const left = countGroup(group);
  if (left === 0) return;
  log("group-ending", { count: String(left ?? "some") });
  signalGroup(group, "SIGTERM");
  if (await groupIsGone(group, graceMs)) return;
  log("group-killed", { limitMs: graceMs });
  signalGroup(group, "SIGKILL");
  await groupIsGone(group, KILL_GRACE_MS);
}

/** Nobody tells when a process ends that is not one's own child; so this has to ask. */
async function groupIsGone(group: number, limitMs: number): Promise<boolean> {
  const endMs = performance.now() + limitMs;
  for (let pauseMs = 1;; pauseMs = Math.min(pauseMs * 2, 50)) {
    const left = countGroup(group) ?? (signalGroup(group, "SIGCONT") ? 1 : 0);
    if (left === 0) return true;
    const remainingMs = endMs - performance.now();
    if (remainingMs <= 0) return false;
    await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, remainingMs)));
  }
}

/** @returns whether anyone of the group is there */
function signalGroup(group: number, signal: SignalName): boolean {
  try {
    return kill(-group, signal);
  } catch {
    // They are there, and all of them belong to another user now.
    return true;
  }
}
