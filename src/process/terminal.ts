/**
 * Terminals and job control: the wrapper and COMMAND are one job of the user's shell.
 *
 * On a terminal, and without `--process-group`, both are in one process group. A key on the terminal
 * sends its signal to that whole group, so COMMAND already has a signal when the wrapper gets it.
 *
 * @module
 */

import {
  addSignalListener,
  IS_LINUX,
  kill,
  processId,
  removeSignalListener,
} from "../platform/mod.ts";
import type { CatchableSignal } from "../platform/signals.ts";
import { sleep } from "../time.ts";
import { hasTerminal, readProcess, shareSession } from "./proc.ts";
import { allByPs } from "./ps.ts";
import { SENT_BY_TERMINAL } from "./signals.ts";
import type { ProcessState } from "./state.ts";

/**
 * Whether the terminal sent a signal that the wrapper just got, and so sent it to the wrapper's whole
 * process group. The runtimes do not report who sent a signal: one of these that somebody sends by
 * hand, while the wrapper is in the foreground, counts as the terminal's too.
 */
export function isFromTerminal(signal: CatchableSignal): boolean {
  if (SENT_BY_TERMINAL.has(signal)) {
    // There is no time to ask `ps`. A shell's `kill %1` goes to the whole group as well.
    if (!IS_LINUX) return hasTerminal() === true;
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
  /** The terminal has asked COMMAND to stop. */
  expectStop(): void;
  /** Lets COMMAND stop without the wrapper from now on. */
  stopTracking(): void;
}

/**
 * Stops the wrapper each time that COMMAND has stopped, so that the shell gets its terminal back. Not
 * earlier: a full-screen program first restores the terminal's settings. The kernel sends SIGCHLD
 * when a child stops, and when it continues.
 */
export function trackStops(commandPid: number, onStop: () => void): StopTracker {
  if (!IS_LINUX) return trackStopsByPs(commandPid, onStop);
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
    // SIGCHLD tells.
    expectStop: () => {},
    stopTracking: () => removeSignalListener("SIGCHLD", follow),
  };
}

/** More than enough time for a SIGCHLD to reach the event loop. */
const PS_LAG_MS = 20;

/** The same without `/proc`. */
function trackStopsByPs(commandPid: number, onStop: () => void): StopTracker {
  let hasStopped = false;
  let isExpected = false;
  let isFollowing = false;
  const over = new AbortController();

  async function follow() {
    if (isFollowing) return;
    isFollowing = true;
    do {
      isExpected = false;
      // To look is to run `ps`, whose own end is a SIGCHLD, too. COMMAND's may come along with it, so
      // that there is a second look, but no third one.
      for (let looks = 1; looks <= 2 && !over.signal.aborted; looks++) {
        const stopped = await look();
        await sleep(PS_LAG_MS, over.signal);
        if (stopped) break;
      }
    } while (isExpected && !over.signal.aborted);
    isFollowing = false;
  }

  async function look(): Promise<boolean> {
    const all = await allByPs();
    if (over.signal.aborted || all.get(commandPid)?.state !== "T") return false;
    if (!hasShell(all.get(processId()), (pid) => all.get(pid))) return false;
    onStop();
    hasStopped = true;
    stopSelf();
    return true;
  }

  const start = () => void follow();
  addSignalListener("SIGCHLD", start);
  start();
  return {
    takeOwnStop() {
      const taken = hasStopped;
      hasStopped = false;
      return taken;
    },
    commandHasContinued: () => true,
    expectStop() {
      isExpected = true;
      start();
    },
    stopTracking() {
      over.abort();
      removeSignalListener("SIGCHLD", start);
    },
  };
}

/**
 * Stops the wrapper if a signal asks for that, while no COMMAND runs that would stop first.
 *
 * @returns whether it was such a signal
 */
export function stopIfAsked(signal: CatchableSignal): boolean {
  if (signal !== "SIGTSTP") return false;
  if (!IS_LINUX) {
    void ifShellJob(stopSelf, () => {});
    return true;
  }
  if (!isShellJob()) return false;
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
function isShellJob(): boolean {
  return hasShell(readProcess("self"), readProcess);
}

function hasShell(
  self: ProcessState | undefined,
  read: (pid: number) => ProcessState | undefined,
): boolean {
  if (self === undefined || !self.hasTerminal) return false;
  let ancestor: ProcessState | undefined = self;
  while (ancestor !== undefined && ancestor.group === self.group) {
    ancestor = ancestor.parent === 0 ? undefined : read(ancestor.parent);
  }
  return ancestor !== undefined && shareSession(ancestor, self);
}

/** Calls one of them: at once, where there is `/proc`. */
export async function ifShellJob(yes: () => void, no: () => void): Promise<void> {
  if (IS_LINUX) return isShellJob() ? yes() : no();
  const all = await allByPs();
  return hasShell(all.get(processId()), (pid) => all.get(pid)) ? yes() : no();
}
