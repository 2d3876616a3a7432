/**
 * Terminals and job control: the wrapper and COMMAND are one job of the user's shell.
 *
 * Without `--process-group` both are in one process group. The terminal's keys go to that group, so
 * that COMMAND has a signal already when the wrapper gets it.
 *
 * @module
 */

import type { CatchableSignal } from "../platform/signals.ts";
import { addSignalListener, kill, processId, removeSignalListener } from "../platform/mod.ts";
import { type ProcessState, readProcess } from "./proc.ts";

/** Whether the wrapper has a controlling terminal. */
export function hasTerminal(): boolean {
  return readProcess("self")?.hasTerminal ?? false;
}

/**
 * Whether a signal that the wrapper just got was given by the terminal to the wrapper's whole
 * process group. Nobody tells who sent a signal; so one of these that somebody sends by hand, while
 * the wrapper is in the foreground, counts as the terminal's too.
 */
export function isFromTerminal(signal: CatchableSignal): boolean {
  switch (signal) {
    case "SIGINT":
    case "SIGQUIT":
    case "SIGTSTP":
    case "SIGWINCH": {
      const self = readProcess("self");
      return self !== undefined && self.hasTerminal && self.group === self.foregroundGroup;
    }
    // The wrapper never reads the terminal: COMMAND did, from the background.
    case "SIGTTIN":
      return hasTerminal();
    default:
      return false;
  }
}

/** What is known of COMMAND's stops. */
export interface Stops {
  /** Whether SIGCONT, which has come, ends a stop of the wrapper's own; asked once for each. */
  endsStop(): boolean;
  /** Whether COMMAND has gone on since the wrapper last stopped with it. */
  hasMoved(): boolean;
  /** Lets COMMAND stop without the wrapper. */
  unfollow(): void;
}

/**
 * Stops the wrapper each time that COMMAND has stopped, so that the shell gets its terminal back;
 * not before, as a full-screen program first puts the terminal in order. The kernel sends SIGCHLD
 * when a child stops, and when it goes on.
 */
export function trackStops(commandPid: number, onStop: () => void): Stops {
  let hasStopped = false;
  let hasMoved = false;
  function follow() {
    hasMoved = true;
    if (readProcess(commandPid)?.state !== "T" || !isShellJob()) return;
    onStop();
    hasStopped = true;
    hasMoved = false;
    stopSelf();
  }
  addSignalListener("SIGCHLD", follow);
  // COMMAND may have stopped before anyone listened: it reads the terminal at once, for one.
  follow();
  return {
    endsStop() {
      const endsStop = hasStopped;
      hasStopped = false;
      return endsStop;
    },
    hasMoved: () => hasMoved,
    unfollow: () => removeSignalListener("SIGCHLD", follow),
  };
}

/**
 * Stops the wrapper if that is what a signal asks for, where no COMMAND runs that would stop first.
 *
 * @returns whether it was such a signal
 */
export function stopIfAsked(signal: CatchableSignal): boolean {
  if (signal !== "SIGTSTP" || !isShellJob()) return false;
  stopSelf();
  return true;
}

/** Stops this process; returns when it goes on. */
export function stopSelf(): void {
  kill(processId(), "SIGSTOP");
}

/**
 * Whether a shell with job control would see that the wrapper stops, and could let it go on: the
 * first ancestor outside the wrapper's process group is in the same session. PID 1 and the leader
 * of a session have none.
 */
export function isShellJob(): boolean {
  const self = readProcess("self");
  if (self === undefined || !self.hasTerminal) return false;
  let ancestor: ProcessState | undefined = self;
  while (ancestor !== undefined && ancestor.group === self.group) {
    ancestor = ancestor.parent === 0 ? undefined : readProcess(ancestor.parent);
  }
  return ancestor !== undefined && ancestor.session === self.session;
}
