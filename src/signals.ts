/**
 * The signals that the wrapper gets.
 *
 * @module
 */

import {
  addSignalListener,
  CATCHABLE_SIGNALS,
  type CatchableSignal,
  removeSignalListener,
} from "./platform.ts";

export type { CatchableSignal } from "./platform.ts";

/** Takes a signal; one that it returns false for is kept for the next listener. */
export type SignalListener = (signal: CatchableSignal) => boolean;

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

  const removals = CATCHABLE_SIGNALS.filter((signal) => signal !== "SIGCHLD").map((signal) => {
    const take = () => {
      if (signal === "SIGTERM" || signal === "SIGINT") endRequests++;
      if (listener === undefined || listener(signal) === false) held.push(signal);
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
      held = held.filter((signal) => next(signal) === false);
    },
    hold() {
      listener = undefined;
    },
    release() {
      for (const remove of removals) remove();
    },
  };
}

/** For a caller that keeps its signals to itself. */
export const noSignals: Signals = {
  endRequests: 0,
  listen: () => {},
  hold: () => {},
  release: () => {},
};

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGTERM: 15,
};

/** The exit code that stands for the end by one of the signals that end a wait. */
export function exitCodeOf(signal: CatchableSignal): number {
  return 128 + (SIGNAL_NUMBERS[signal] ?? 0);
}

/** Whether a signal asks a program to end. */
export function asksToEnd(signal: CatchableSignal): boolean {
  return signal in SIGNAL_NUMBERS;
}
