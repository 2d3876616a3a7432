/**
 * COMMAND: its start, the signals and time limits while it runs, its end, and that of its group.
 *
 * @module
 */

import type { Report } from "../log/log.ts";
import { redactCommand } from "../log/redact.ts";
import type { JobSettings } from "../options.ts";
import { errorReason } from "../platform/errors.ts";
import { kill } from "../platform/mod.ts";
import type { CatchableSignal, SignalName } from "../platform/signals.ts";
import type { Child, Exit } from "../platform/types.ts";
import { countGroup, readProcess } from "../process/proc.ts";
import { isEndedBy, START_KILL_CLOCK } from "../process/signals.ts";
import { isFromTerminal, isShellJob, stopSelf, trackStops } from "../process/terminal.ts";
import { backoffMs } from "../time.ts";
import { startProgram } from "./program.ts";

/** How COMMAND runs. */
export interface CommandOptions
  extends Pick<JobSettings, "timeoutMs" | "killAfterMs" | "processGroup"> {
  /** Whether this process exists for COMMAND only, and so stops with it on a terminal. */
  readonly jobControl: boolean;
  /** Variables that it gets in addition to the wrapper's own, or in their place. */
  readonly variables?: Readonly<Record<string, string>> | undefined;
  /** Whether this process has a controlling terminal; undefined if that cannot be known. */
  readonly onTerminal: boolean | undefined;
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
  /** Once COMMAND has ended: ends what is left of its process group, if it had one of its own. */
  endGroup(): Promise<void>;
}

/** More than enough time for a pending signal to reach the event loop. */
const EVENT_LAG_MS = 20;

/**
 * Starts COMMAND with the wrapper's own stdin, stdout, stderr and working directory, and its
 * environment plus `variables`.
 *
 * @throws {StartError} if it could not be started
 */
export async function startCommand(
  words: readonly string[],
  options: CommandOptions,
  report: Report,
): Promise<RunningCommand> {
  const { variables } = options;
  const child = await startProgram(words, { newSession: hasOwnSession(options), variables });
  report("command-started", { command: redactCommand(words[0] ?? ""), pid: child.pid });
  return superviseCommand(child, options, report);
}

/**
 * Whether COMMAND leads a session and a process group of its own: what a job does to its own group
 * must not hit the wrapper, and what is sent to the wrapper's group must not reach COMMAND twice. Job
 * control on a terminal needs one group for both.
 */
function hasOwnSession({ processGroup, jobControl, onTerminal }: CommandOptions): boolean {
  return processGroup || (jobControl && onTerminal === false);
}

function superviseCommand(child: Child, options: CommandOptions, report: Report): RunningCommand {
  const target = options.processGroup ? -child.pid : child.pid;
  const sharesTerminal = options.jobControl && !options.processGroup &&
    options.onTerminal === true;
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
      report("command-killed", { signal, limitMs: options.killAfterMs });
      trySend("SIGKILL");
    });
  }

  function trySend(signal: SignalName) {
    try {
      kill(target, signal);
    } catch (error) {
      // COMMAND may have become another user, or root.
      report("signal-refused", { signal, reason: errorReason(error) });
    }
  }

  function send(signal: SignalName) {
    report("signal-forwarded", { signal });
    trySend(signal);
    startKillClock(signal);
  }

  function pass(signal: CatchableSignal) {
    if (sharesTerminal && isFromTerminal(signal)) {
      report("signal-from-terminal", { signal });
      // Unless it came a moment before COMMAND was there. If COMMAND does not handle the signal,
      // sending it again is safe: the first one ends it.
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
    // Or COMMAND continued too, and has stopped again since: the kernel reports that by SIGCHLD,
    // which may not have reached the event loop yet.
    after(EVENT_LAG_MS, () => {
      if (!stops?.commandHasContinued() && readProcess(child.pid)?.state === "T") send("SIGCONT");
    });
  }

  const stops = sharesTerminal
    ? trackStops(child.pid, () => report("command-stopped", {}))
    : undefined;

  if (isNew) after(EVENT_LAG_MS, () => isNew = false);
  after(options.timeoutMs, () => {
    timedOut = true;
    report("command-timeout", { limitMs: options.timeoutMs });
    send("SIGTERM");
    // A stopped process gets SIGTERM only once it continues.
    trySend("SIGCONT");
  });

  const end = child.exit.then((exit) => {
    for (const timer of timers) clearTimeout(timer);
    stops?.stopTracking();
    return { ...exit, timedOut };
  });

  async function endGroup() {
    if (!options.processGroup) return;
    await endProcessGroup(child.pid, options.killAfterMs || DEFAULT_GROUP_GRACE_MS, report);
  }

  return { pid: child.pid, end, send, pass, endGroup };
}

/** How long what is left of COMMAND's process group has after SIGTERM, without `--kill-after`. */
const DEFAULT_GROUP_GRACE_MS = 5000;

/** SIGKILL cannot be refused, but a process can hang in the kernel, on a dead network disk for one. */
const KILL_GRACE_MS = 2000;

/** Ends the processes of a group: SIGTERM, and SIGKILL for those that ignore it. */
async function endProcessGroup(group: number, graceMs: number, report: Report): Promise<void> {
  // A stopped process gets SIGTERM only once it continues. The call also shows whether any is left.
  if (!signalGroup(group, "SIGCONT")) return;
  const left = countGroup(group);
  if (left === 0) return;
  report("group-ending", { count: String(left ?? "some") });
  signalGroup(group, "SIGTERM");
  if (await groupIsGone(group, graceMs)) return;
  report("group-killed", { limitMs: graceMs });
  signalGroup(group, "SIGKILL");
  await groupIsGone(group, KILL_GRACE_MS);
}

/** The kernel does not report the end of a process that is not a child of this one, so this asks. */
async function groupIsGone(group: number, limitMs: number): Promise<boolean> {
  const endMs = performance.now() + limitMs;
  for (let attempt = 1;; attempt++) {
    const left = countGroup(group) ?? (signalGroup(group, "SIGCONT") ? 1 : 0);
    if (left === 0) return true;
    const remainingMs = endMs - performance.now();
    if (remainingMs <= 0) return false;
    const pauseMs = Math.min(backoffMs(attempt, 1, 50), remainingMs);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** @returns whether any process of the group is there */
function signalGroup(group: number, signal: SignalName): boolean {
  try {
    return kill(-group, signal);
  } catch {
    // They are there, but all of them belong to another user now.
    return true;
  }
}
