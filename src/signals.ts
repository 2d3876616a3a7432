/**
 * The signals that the wrapper gets.
 *
 * @module
 */

import {
  addSignalListener,
  CATCHABLE_SIGNALS,
  type CatchableSignal,
  releaseBusSignal,
  removeSignalListener,
} from "./platform.ts";
import { readDispositions } from "./process_state.ts";
import { hasTerminal } from "./terminal.ts";

export type { CatchableSignal } from "./platform.ts";

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
      if (signal === "SIGTERM" || signal === "SIGINT") endRequests++;
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

/** Linux' numbers, the same on x86-64 and on 64-bit ARM. */
const SIGNAL_NUMBERS: Readonly<Record<CatchableSignal, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
};

function bit(signal: CatchableSignal): number {
  return 1 << (SIGNAL_NUMBERS[signal] - 1);
}

/** The exit code that stands for the end by a signal. */
export function exitCodeOf(signal: CatchableSignal): number {
  return 128 + SIGNAL_NUMBERS[signal];
}

/** Whether a signal asks a program to end. */
export function asksToEnd(signal: CatchableSignal): boolean {
  return ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"].includes(signal);
}
