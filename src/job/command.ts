/**
 * COMMAND: its start, the signals and time limits while it runs, its end, and that of its group.
 *
 * @module
 */

import type { Report } from "../log/log.ts";
import { redactCommand } from "../log/redact.ts";
import type { JobSettings } from "../options.ts";
import { errorReason } from "../platform/errors.ts";
import { IS_WINDOWS, kill } from "../platform/mod.ts";
import type { CatchableSignal, SignalName } from "../platform/signals.ts";
import type { Child, ChildWaiter, Exit } from "../platform/types.ts";
import { readProcess } from "../process/proc.ts";
import { leaveToRuntime } from "../process/commands.ts";
import { exitCodeAfter, isEndedBy, rewrite, START_KILL_CLOCK } from "../process/signals.ts";
import {
  ifShellJob,
  isFromTerminal,
  stopIfAsked,
  stopSelf,
  trackStops,
} from "../process/terminal.ts";
import {
  DEFAULT_GRACE_MS,
  describeSession,
  type EndRequest,
  type Leftovers,
  superviseLeftovers,
} from "./leftovers.ts";
import { startProgram } from "./program.ts";

/** How COMMAND runs. */
export interface CommandOptions
  extends
    Pick<JobSettings, "timeoutMs" | "killAfterMs" | "processGroup" | "leftovers" | "rewrite"> {
  /** Whether this process exists for COMMAND only, and so stops with it on a terminal. */
  readonly jobControl: boolean;
  /** Variables that it gets in addition to the wrapper's own, or in their place. */
  readonly variables?: Readonly<Record<string, string>> | undefined;
  /** Whether this process has a controlling terminal; undefined if that cannot be known. */
  readonly onTerminal: boolean | undefined;
  /** Waits for children, if this process is the parent of COMMAND's orphans, too. */
  readonly waiter: ChildWaiter | undefined;
}

/** COMMAND, running. */
export interface RunningCommand {
  /** Its process id. */
  readonly pid: number;
  /** How it ended, and whether the time limit ended it; never rejects. */
  readonly end: Promise<Exit & { readonly timedOut: boolean }>;
  /**
   * Sends a signal that somebody else asks for, or what `rewrite` has in its place; after COMMAND's end
   * to what it left behind.
   */
  send(signal: CatchableSignal): void;
  /** Sends SIGTERM, or what `rewrite` has in its place. */
  askToEnd(): void;
  /** Passes on a signal that the wrapper got, unless COMMAND has it already from the terminal. */
  pass(signal: CatchableSignal): void;
  /** Once COMMAND has ended: waits for what it left behind, or ends it, as `leftovers` has it. */
  settleLeftovers(exit: Exit): Promise<void>;
  /** Whether COMMAND may have died alone of a signal that processes of its session have not had. */
  mayBeOutlived(exit: Exit): boolean;
  /** Reports these processes, if there are any. */
  reportOutliving(exit: Exit): void;
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
  leaveToRuntime(child.pid, child.exit);
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
  /** When the clock of `--kill-after` runs out. */
  let killAtMs = Infinity;
  /** What asked COMMAND to end, from outside. */
  const asked: EndRequest[] = [];
  /** Every signal that was sent to COMMAND. */
  const sent = new Set<string>();
  const startMs = performance.now();
  const startTicks = options.waiter !== undefined && options.leftovers !== "ignore"
    ? Number(readProcess(child.pid)?.startTime)
    : undefined;

  function after(ms: number, action: () => void) {
    if (ms > 0) timers.add(setTimeout(action, ms));
  }

  /** SIGTERM, SIGINT and SIGQUIT ask COMMAND to end, and start the clock of `--kill-after`. */
  function startKillClock(signal: SignalName) {
    if (killing || !START_KILL_CLOCK.has(signal)) return;
    killing = true;
    if (options.killAfterMs > 0) killAtMs = performance.now() + options.killAfterMs;
    after(options.killAfterMs, () => {
      report("command-killed", { signal, limitMs: options.killAfterMs });
      trySend("SIGKILL");
    });
  }

  function trySend(signal: SignalName) {
    sent.add(signal);
    try {
      kill(target, signal);
    } catch (error) {
      // COMMAND may have become another user, or root.
      report("signal-refused", { signal, reason: errorReason(error) });
    }
  }

  /** What asks to end, and what has been asked, is decided by the signal that came. */
  function sendAs(signal: SignalName, rewritten: SignalName) {
    if (rewritten === signal) report("signal-forwarded", { signal });
    else report("signal-rewritten", { signal, sent: rewritten });
    if (left !== undefined) return left.send(signal);
    trySend(rewritten);
    startKillClock(signal);
    if (START_KILL_CLOCK.has(signal)) asked.push({ signal, isFromTerminal: false });
  }

  function send(signal: CatchableSignal) {
    const rewritten = rewrite(signal, options.rewrite);
    if (rewritten === null) report("signal-dropped", { signal });
    else sendAs(signal, rewritten);
  }

  const endSignal = rewrite("SIGTERM", options.rewrite) ?? "SIGTERM";

  function askToEnd() {
    sendAs("SIGTERM", endSignal);
  }

  function pass(signal: CatchableSignal) {
    if (sharesTerminal && isFromTerminal(signal)) {
      // COMMAND has ended: its process id may be another's, and nothing stops before the wrapper.
      if (left !== undefined) return stopIfAsked(signal) || left.send(signal, true);
      report("signal-from-terminal", { signal });
      // Unless it came a moment before COMMAND was there. If COMMAND does not handle the signal,
      // sending it again is safe: the first one ends it.
      if (isNew && isEndedBy(child.pid, signal)) trySend(signal);
      startKillClock(signal);
      if (START_KILL_CLOCK.has(signal)) asked.push({ signal, isFromTerminal: true });
      if (signal === "SIGTSTP" || signal === "SIGTTIN") stops?.expectStop();
    } else if (signal === "SIGCONT" && stops?.takeOwnStop()) {
      continueIfLeftBehind();
    } else if (options.rewrite[signal] !== undefined) {
      send(signal);
    } else if (signal === "SIGTSTP" && options.processGroup && options.jobControl) {
      void ifShellJob(() => {
        // COMMAND's session has no terminal, where SIGTSTP would not stop anything.
        sendAs("SIGSTOP", "SIGSTOP");
        stopSelf();
      }, () => send(signal));
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
      if (!stops?.commandHasContinued() && readProcess(child.pid)?.state === "T") {
        sendAs("SIGCONT", "SIGCONT");
      }
    });
  }

  const stops = sharesTerminal
    ? trackStops(child.pid, () => report("command-stopped", {}))
    : undefined;

  if (isNew) after(EVENT_LAG_MS, () => isNew = false);
  after(options.timeoutMs, () => {
    timedOut = true;
    report("command-timeout", { limitMs: options.timeoutMs, signal: endSignal });
    report("signal-forwarded", { signal: endSignal });
    trySend(endSignal);
    startKillClock("SIGTERM");
    // A stopped process gets SIGTERM only once it continues. On Windows none is ever stopped.
    if (!IS_WINDOWS) trySend("SIGCONT");
  });

  let left: Leftovers | undefined;
  const end = child.exit.then((exit) => {
    for (const timer of timers) clearTimeout(timer);
    stops?.stopTracking();
    return { ...exit, timedOut };
  });

  /**
   * The request of which COMMAND has ended, or nearly so. After SIGTERM nothing is expected to go on. Other
   * signals it may have survived long ago.
   */
  function endedBy({ code, signal }: Exit): EndRequest | undefined {
    return asked.findLast((request) => {
      if (request.signal === "SIGTERM") return true;
      const rewritten = request.isFromTerminal ? null : rewrite(request.signal, options.rewrite);
      const had = rewritten ?? request.signal;
      return had === signal || exitCodeAfter(had) === code;
    });
  }

  /** When the group is killed that has had the signal of which COMMAND has ended. */
  function groupKillAtMs(exit: Exit): number | undefined {
    if (!options.processGroup) return undefined;
    if (timedOut) return options.killAfterMs ? killAtMs : performance.now() + DEFAULT_GRACE_MS;
    return endedBy(exit) === undefined ? undefined : killAtMs;
  }

  async function settleLeftovers(exit: Exit) {
    if (options.leftovers === "ignore") return;
    // A search in `/proc` would delay the stop requests.
    if (options.waiter?.hasChildren() === false) return;
    // With `--process-group` alone, only the group is promised.
    const isGroupAlone = options.processGroup && options.leftovers === "end";
    if (options.waiter === undefined && !isGroupAlone) report("leftovers-unseen", {});
    left = superviseLeftovers(
      {
        pid: child.pid,
        startTicks,
        hasOwnSession: hasOwnSession(options),
        adopts: options.waiter !== undefined,
      },
      {
        ...options,
        leftovers: timedOut ? "end" : options.leftovers,
        groupKillAtMs: groupKillAtMs(exit),
        asked: endedBy(exit),
        killAtMs,
      },
      report,
    );
    const remainingMs = startMs + options.timeoutMs - performance.now();
    const timer = options.timeoutMs > 0 && !timedOut
      ? setTimeout(left.endNow, Math.max(remainingMs, 0))
      : undefined;
    await left.gone;
    clearTimeout(timer);
  }

  function mayBeOutlived({ signal }: Exit) {
    return signal !== undefined && sent.has(signal) && hasOwnSession(options) &&
      !options.processGroup && options.leftovers === "ignore";
  }

  function reportOutliving({ signal = "" }: Exit) {
    const found = describeSession(child.pid);
    if (found !== undefined) report("command-outlived", { signal, ...found });
  }

  return {
    pid: child.pid,
    end,
    send,
    askToEnd,
    pass,
    settleLeftovers,
    mayBeOutlived,
    reportOutliving,
  };
}
