/**
 * The signals that the wrapper gets.
 *
 * @module
 */

import { exitCodeOfSignal } from "../exit_code.ts";
import {
  addSignalListener,
  CATCHABLE_SIGNALS,
  releaseBusSignal,
  removeSignalListener,
} from "../platform/mod.ts";
import { type CatchableSignal, type SignalName, signalNumber } from "../platform/signals.ts";
import { readDispositions } from "./proc.ts";
import { hasTerminal } from "./terminal.ts";

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
 * The signals that start the clock of `--kill-after` once COMMAND has them. Not SIGHUP: a server
 * rereads its configuration then, and is not meant to end.
 */
export const START_KILL_CLOCK: ReadonlySet<SignalName> = new Set(["SIGINT", "SIGQUIT", "SIGTERM"]);

/**
 * The signals of which a second one makes the wrapper give up its hooks: what a person in a hurry
 * types or sends again. Not SIGQUIT, which asks for a core dump of COMMAND.
 */
export const GIVE_UP_WHEN_REPEATED: ReadonlySet<SignalName> = new Set(["SIGINT", "SIGTERM"]);

/** The signals that a terminal sends to its whole foreground process group: keys and its new size. */
export const SENT_BY_TERMINAL: ReadonlySet<SignalName> = new Set([
  "SIGINT",
  "SIGQUIT",
  "SIGTSTP",
  "SIGWINCH",
]);

/**
 * Takes a signal; one that it returns false for is kept for the next listener. `held` tells whether
 * it came before this listener did.
 */
export type SignalListener = (signal: CatchableSignal, held: boolean) => boolean;

/** The signals that this process gets, from the moment that they are caught. */
export interface Signals {
  /**
   * Gives each signal to this listener, in order; first those that came while nobody listened.
   * It takes the place of the listener before it.
   */
  listen(listener: SignalListener): void;
  /** How many SIGTERM and SIGINT have come so far. */
  readonly endRequests: number;
  /** Keeps the signals that come until somebody listens again. */
  hold(): void;
  /** Lets the process have its signals as if nothing had been caught. */
  release(): void;
}

/** Catches every signal that can be caught and means something to COMMAND. */
export function catchSignals(): Signals {
  let held: CatchableSignal[] = [];
  let listener: SignalListener | undefined;
  let endRequests = 0;

  const removals = signalsToCatch().map((signal) => {
    const take = () => {
      if (signal === "SIGCHLD" || (signal === "SIGPIPE" && isOwnBrokenPipe())) return;
      if (GIVE_UP_WHEN_REPEATED.has(signal)) endRequests++;
      if (listener === undefined || listener(signal, false) === false) held.push(signal);
    };
    addSignalListener(signal, take);
    return () => removeSignalListener(signal, take);
  });

  return {
    get endRequests() {
      return endRequests;
    },
    listen(next) {
      listener = next;
      held = held.filter((signal) => next(signal, true) === false);
    },
    hold() {
      listener = undefined;
    },
    release() {
      for (const remove of removals) remove();
    },
  };
}

function signalsToCatch(): readonly CatchableSignal[] {
  const onTerminal = hasTerminal();
  const { ignored, caught } = readDispositions("self") ?? { ignored: 0, caught: 0 };
  return CATCHABLE_SIGNALS.filter((signal) => {
    switch (signal) {
      // It tells of the wrapper's own children. But whoever ignores it, as the wrapper's parent may
      // have made it do, gets no exit codes of its children; a listener ends that.
      case "SIGCHLD":
        return (ignored & bit("SIGCHLD")) !== 0;
      case "SIGBUS":
        return canCatchBus(caught);
      // A terminal can be told to stop whoever writes to it from the background (`stty tostop`). If
      // the wrapper caught that, its log line would be written, and caught, for ever.
      case "SIGTTOU":
        return !onTerminal;
      default:
        return true;
    }
  });
}

/** Whether a process does nothing about SIGINT or SIGQUIT, which then ends it. */
export function isEndedBy(pid: number, signal: CatchableSignal): boolean {
  if (signal !== "SIGINT" && signal !== "SIGQUIT") return false;
  const does = readDispositions(pid);
  return does !== undefined &&
    ((does.blocked | does.ignored | does.caught) & bit(signal)) === 0;
}

let busIsReleased = false;

/** Whether SIGBUS can be caught, and not only once. */
function canCatchBus(caught: number): boolean {
  if (busIsReleased || (caught & bit("SIGBUS")) === 0) return true;
  // Someone in this process listens to signals already, and perhaps to this one: hands off.
  if ((caught & bit("SIGTERM")) !== 0) return false;
  releaseBusSignal();
  // In a worker it comes later than the call. A listener would then take it for a real one.
  busIsReleased = ((readDispositions("self")?.caught ?? 0) & bit("SIGBUS")) === 0;
  return busIsReleased;
}

/** For a caller that keeps its signals to itself. */
export const noSignals: Signals = {
  endRequests: 0,
  listen: () => {},
  hold: () => {},
  release: () => {},
};

let ownBrokenPipes = 0;

/**
 * To be called when the wrapper's own write failed with EPIPE: once SIGPIPE is caught, the kernel
 * sends it for that too, and that one is not for COMMAND.
 */
export function noteBrokenPipe(): void {
  ownBrokenPipes++;
}

function isOwnBrokenPipe(): boolean {
  if (ownBrokenPipes === 0) return false;
  ownBrokenPipes--;
  return true;
}

function bit(signal: CatchableSignal): number {
  return 1 << (signalNumber(signal) - 1);
}

/** The exit code that stands for the end by a signal. */
export function exitCodeOf(signal: SignalName): number {
  return exitCodeOfSignal(signalNumber(signal));
}
