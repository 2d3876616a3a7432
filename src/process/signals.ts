/**
 * The signals that the wrapper gets.
 *
 * @module
 */

import { exitCodeOfSignal } from "../exit_code.ts";
import type { Report } from "../log/log.ts";
import { CAUSED_BY_WRITES, takeOwnSignal } from "../log/stderr.ts";
import { thrownReason } from "../platform/errors.ts";
import {
  addSignalListener,
  CATCHABLE_SIGNALS,
  releaseBusSignal,
  removeSignalListener,
  unblockSignals,
} from "../platform/mod.ts";
import {
  type CatchableSignal,
  type SignalName,
  signalNumber,
  type SignalRewrites,
} from "../platform/signals.ts";
import { hasTerminal, readDispositions } from "./proc.ts";

/**
 * The signals that ask a program to end. Before COMMAND has started, each of them ends the job. SIGHUP
 * is one of them: it comes when a terminal is closed.
 */
export const ASK_TO_END: ReadonlySet<SignalName> = new Set([
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
]);

/**
 * The signals that start the clock of `--kill-after` when COMMAND gets them. Not SIGHUP: it makes a
 * server reread its configuration, not end.
 */
export const START_KILL_CLOCK: ReadonlySet<SignalName> = new Set(["SIGINT", "SIGQUIT", "SIGTERM"]);

/**
 * The signals that make the wrapper give up its hooks when a second one comes: what a person in a
 * hurry types or sends again. Not SIGQUIT, which asks for a core dump of COMMAND.
 */
export const GIVE_UP_WHEN_REPEATED: ReadonlySet<SignalName> = new Set(["SIGINT", "SIGTERM"]);

/**
 * The signals that a terminal sends to its whole foreground process group, for a key or a new size.
 * Not SIGTTIN and SIGTTOU: background processes get them, for what they do themselves.
 */
export const SENT_BY_TERMINAL: ReadonlySet<SignalName> = new Set([
  "SIGINT",
  "SIGQUIT",
  "SIGTSTP",
  "SIGWINCH",
  // Ctrl-T on macOS.
  "SIGINFO",
]);

/** The signals of these that end a program which does nothing about them: Ctrl-C and Ctrl-\. */
const END_FROM_TERMINAL: ReadonlySet<SignalName> = new Set(["SIGINT", "SIGQUIT"]);

/**
 * Takes a signal, or returns false to leave it for the next listener. `held` is true for a signal
 * that came before this listener did.
 */
export type SignalListener = (signal: CatchableSignal, held: boolean) => boolean;

/** The signals that this process gets, from the moment that they are caught. */
export interface Signals {
  /**
   * Passes each signal to this listener, in order, starting with those that came while nobody
   * listened. It replaces the listener before it.
   */
  listen(listener: SignalListener): void;
  /** How many SIGTERM and SIGINT have come so far, from outside. */
  readonly endRequests: number;
  /** Whether this process has a controlling terminal; undefined if that cannot be known. */
  readonly onTerminal: boolean | undefined;
  /** Holds the signals that come until the next call of `listen`. */
  hold(): void;
  /** Stops catching: signals have their default actions again. */
  release(): void;
}

/**
 * Catches every signal that can be caught and means something to COMMAND.
 *
 * @param onEndRequest called at each SIGTERM and SIGINT
 */
export function catchSignals(onEndRequest: () => void, report: Report): Signals {
  let held: CatchableSignal[] = [];
  let listener: SignalListener | undefined;
  let endRequests = 0;

  const onTerminal = hasTerminal();
  const signals = signalsToCatch(onTerminal);
  surviveOwnSignals();
  const removals = signals.flatMap((signal) => {
    const take = () => {
      if (signal === "SIGCHLD" || takeOwnSignal(signal)) return;
      if (GIVE_UP_WHEN_REPEATED.has(signal)) {
        endRequests++;
        onEndRequest();
      }
      if (listener === undefined || listener(signal, false) === false) held.push(signal);
    };
    return addSignalListener(signal, take) ? [() => removeSignalListener(signal, take)] : [];
  });
  // Only now: what is pending comes at once, and would end a process that does not catch it.
  unblock(onTerminal, report);

  return {
    get endRequests() {
      return endRequests;
    },
    onTerminal,
    listen(next) {
      listener = next;
      held = held.filter((signal) => next(signal, true) === false);
    },
    hold() {
      listener = undefined;
    },
    release() {
      listener = () => true;
      if (areKept) return;
      for (const remove of removals) remove();
    },
  };
}

/** Unblocks what the wrapper's parent had blocked: it would reach neither the wrapper nor COMMAND. */
function unblock(onTerminal: boolean | undefined, report: Report): void {
  const blocked = readDispositions("self")?.blocked ?? 0;
  const signals = CATCHABLE_SIGNALS.filter((signal) =>
    (blocked & bit(signal)) !== 0 && (signal !== "SIGTTOU" || !onTerminal)
  );
  if (signals.length === 0) return;
  try {
    unblockSignals(signals);
  } catch (error) {
    report("signals-blocked", { signals: signals.join(", "), reason: thrownReason(error) });
  }
}

let ownSignalsAreSurvived = false;

/**
 * Adds listeners that stay for the signals that log lines cause. The runtimes ignore SIGPIPE from the
 * start, but the end of its last listener would restore the kernel's default, and the next broken pipe
 * end the process. Deno also applies the default to a signal that came while a listener was there and
 * is handled when none is left: the last log line's own SIGXFSZ would end the process at its end.
 *
 * SIGBUS must have been released before: with any listener there it comes later than the call.
 */
function surviveOwnSignals(): void {
  if (ownSignalsAreSurvived) return;
  for (const signal of CAUSED_BY_WRITES.values()) addSignalListener(signal, () => {});
  ownSignalsAreSurvived = true;
}

let areKept = false;

/**
 * Keeps signals caught for good once a job has ended: they would have their default actions again until
 * the process has ended, and change its exit code. Nor does its end wait until each of the listeners is
 * removed.
 */
export function keepSignalsCaught(): void {
  areKept = true;
}

/** For a caller that handles its signals itself. */
export const noSignals: Signals = {
  endRequests: 0,
  onTerminal: undefined,
  listen: () => {},
  hold: () => {},
  release: () => {},
};

function signalsToCatch(onTerminal: boolean | undefined): readonly CatchableSignal[] {
  const { ignored, caught } = readDispositions("self") ?? { ignored: 0, caught: 0 };
  return CATCHABLE_SIGNALS.filter((signal) => {
    switch (signal) {
      // It is about the wrapper's own children. But a process that ignores it, as the wrapper may
      // have inherited from its parent, gets no exit codes of its children; a listener ends that.
      case "SIGCHLD":
        return (ignored & bit("SIGCHLD")) !== 0;
      case "SIGBUS":
        return canCatchBus(caught);
      // A terminal can be told to stop a process that writes to it from the background (`stty
      // tostop`). If the wrapper caught that, it would log it, which causes the next one, forever.
      case "SIGTTOU":
        return !onTerminal;
      default:
        return true;
    }
  });
}

let busIsReleased = false;

/** Whether SIGBUS can be caught more than once. */
function canCatchBus(caught: number): boolean {
  if (busIsReleased || (caught & bit("SIGBUS")) === 0) return true;
  // Something in this process listens to signals already, and perhaps to this one: hands off.
  if ((caught & bit("SIGTERM")) !== 0) return false;
  releaseBusSignal();
  // In a worker the signal comes after the call returns. A listener would take it for a real one.
  busIsReleased = ((readDispositions("self")?.caught ?? 0) & bit("SIGBUS")) === 0;
  return busIsReleased;
}

/** Whether a signal from the terminal ends a process, because it does nothing about it. */
export function isEndedBy(pid: number, signal: CatchableSignal): boolean {
  if (!END_FROM_TERMINAL.has(signal)) return false;
  const does = readDispositions(pid);
  return does !== undefined &&
    ((does.blocked | does.ignored | does.caught) & bit(signal)) === 0;
}

function bit(signal: CatchableSignal): number {
  return 1 << (signalNumber(signal) - 1);
}

/** The signal that COMMAND gets in place of another one; null if it gets none. */
export function rewrite(signal: SignalName, rewrites: SignalRewrites): SignalName | null {
  const rewritten = rewrites[signal];
  return rewritten === undefined ? signal : rewritten;
}

/** The exit code of a program that a signal ended. */
export function exitCodeAfter(signal: SignalName): number {
  return exitCodeOfSignal(signalNumber(signal));
}
