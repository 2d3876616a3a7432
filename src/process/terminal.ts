/**
 * Terminals and job control: the wrapper and COMMAND are one job of the user's shell.
 *
 * On a terminal, and without `--process-group`, both are in one process group. A key on the terminal
 * sends its signal to that whole group, so COMMAND already has a signal when the wrapper gets it.
 *
 * @module
 */

import { addSignalListener, kill, processId, removeSignalListener } from "../platform/mod.ts";
import type { CatchableSignal } from "../platform/signals.ts";
import { hasTerminal, type ProcessState, readProcess } from "./proc.ts";
import { SENT_BY_TERMINAL } from "./signals.ts";

/**
 * Whether the terminal sent a signal that the wrapper just got, and so sent it to the wrapper's whole
 * process group. The runtimes do not report who sent a signal: one of these that somebody sends by
 * hand, while the wrapper is in the foreground, counts as the terminal's too.
 */
export function isFromTerminal(signal: CatchableSignal): boolean {
  if (SENT_BY_TERMINAL.has(signal)) {
    const self = readProcess("self");
    return self !== undefined && self.hasTerminal && self.group === self.foregroundGroup;
  }
  if (signal === "SIGHUP") {
    // When a terminal hangs up, its session loses it, and only then do the session's leader, the
    // kernel at the leader's end, and a shell for each of its jobs send SIGHUP to whole groups. The
    // leader itself gets the first one alone.
    const self = readProcess("self");
    return self !== undefined && !self.hasTerminal && self.session !== processId();
  }
  // The wrapper never reads from the terminal: COMMAND did, in the background.
  return signal === "SIGTTIN" && hasTerminal() === true;
}

/** Tracks when COMMAND is stopped (Ctrl-Z). */
export interface StopTracker {
  /** Whether the SIGCONT that has just come ends a stop of the wrapper. Each stop counts once. */
  takeOwnStop(): boolean;
  /** Whether COMMAND has continued since the wrapper last stopped with it. */
  commandHasContinued(): boolean;
  /** Lets COMMAND stop without the wrapper from now on. */
  stopTracking(): void;
}

/**
 * Stops the wrapper each time that COMMAND has stopped, so that the shell gets its terminal back. Not
 * earlier: a full-screen program first restores the terminal's settings. The kernel sends SIGCHLD
 * when a child stops, and when it continues.
 */
export function trackStops(commandPid: number, onStop: () => void): StopTracker {
  let hasStopped = false;
  let hasContinued = false;
  function follow() {
    hasContinued = true;
    if (readProcess(commandPid)?.state !== "T" || !isShellJob()) return;
    onStop();
    hasStopped = true;
    hasContinued = false;
    stopSelf();
  }
  addSignalListener("SIGCHLD", follow);
  // COMMAND may have stopped before the listener was there, for example by reading the terminal.
  follow();
  return {
    takeOwnStop() {
      const taken = hasStopped;
      hasStopped = false;
      return taken;
    },
    commandHasContinued: () => hasContinued,
    stopTracking: () => removeSignalListener("SIGCHLD", follow),
  };
}

/**
 * Stops the wrapper if a signal asks for that, while no COMMAND runs that would stop first.
 *
 * @returns whether it was such a signal
 */
export function stopIfAsked(signal: CatchableSignal): boolean {
  if (signal !== "SIGTSTP" || !isShellJob()) return false;
  stopSelf();
  return true;
}

/** Stops this process; returns when it continues. */
export function stopSelf(): void {
  kill(processId(), "SIGSTOP");
}

/**
 * Whether a shell with job control would notice that the wrapper stops, and could continue it: the
 * first ancestor outside the wrapper's process group is in the same session. PID 1 and the leader of
 * a session have no such ancestor.
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
