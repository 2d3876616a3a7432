/**
 * What COMMAND leaves behind: processes that it started, and that still run when it has ended.
 *
 * @module
 */

import type { Report } from "../log/log.ts";
import type { JobSettings } from "../options.ts";
import { addSignalListener, kill, processId, removeSignalListener } from "../platform/mod.ts";
import type { SignalName } from "../platform/signals.ts";
import { findProcesses, readProcess } from "../process/proc.ts";
import { rewrite, START_KILL_CLOCK } from "../process/signals.ts";
import { backoffMs, LONGEST_MS } from "../time.ts";

/** Which processes COMMAND can have left behind. */
export interface Origin {
  /** COMMAND's process id. */
  readonly pid: number;
  /** When COMMAND started, in clock ticks; undefined if that is not known. */
  readonly startTicks: number | undefined;
  /** Whether it led a session of its own; else its session is the user's shell's. */
  readonly hasOwnSession: boolean;
  /** Whether the wrapper is the parent of orphans, and takes their status. */
  readonly adopts: boolean;
}

/** A process that COMMAND has left behind. */
interface Leftover {
  readonly pid: number;
  readonly startTicks: number;
  readonly program: string;
  readonly isInGroup: boolean;
}

/** What happens to them. */
export interface LeftoverLimits extends Pick<JobSettings, "killAfterMs" | "leftovers" | "rewrite"> {
  /**
   * When those in COMMAND's group are killed, on the clock of `performance.now()`, if the group has had
   * its signal already: it gets no second one. Infinity for never.
   */
  readonly groupKillAtMs?: number | undefined;
  /** The signal from outside that asked COMMAND to end. */
  readonly askedBy?: SignalName | undefined;
}

/** What COMMAND has left behind, until the last of it has ended. */
export interface Leftovers {
  /** Settles when none is left, or those that are cannot be ended. */
  readonly gone: Promise<void>;
  /** Sends a signal to each of them. */
  send(signal: SignalName): void;
  /** Ends them, because the time limit is over. */
  endNow(): void;
}

/** How long processes have after SIGTERM, without `--kill-after`. */
export const DEFAULT_GRACE_MS = 5000;

/** SIGKILL cannot be refused, but a process can hang in the kernel, on a dead network disk for one. */
const KILL_GRACE_MS = 2000;

/** How often to look, where the kernel does not report the end of a process: soon, and then rarely. */
const [FIRST_PAUSE_MS, PAUSE_MS, LONG_PAUSE_MS] = [1, 50, 500];

/** The processes that COMMAND has left behind. Those that were there before it are not its own. */
function findLeftovers({ pid: command, startTicks, hasOwnSession, adopts }: Origin): Leftover[] {
  const self = processId();
  const found = findProcesses(({ session, parent, startTime }) =>
    (hasOwnSession && session === command) ||
    (adopts && parent === self && startTicks !== undefined && Number(startTime) >= startTicks)
  );
  if (found === undefined) return groupAsOne(command, hasOwnSession);
  return found.filter(({ pid }) => pid !== self).map(({ pid, process }) => ({
    pid,
    startTicks: Number(process.startTime),
    program: process.comm,
    isInGroup: hasOwnSession && process.group === command,
  }));
}

/** Where `/proc` cannot be read, the group stands for its processes, and SIGCONT shows if any is left. */
function groupAsOne(command: number, hasOwnSession: boolean): Leftover[] {
  const group = { pid: -command, startTicks: 0, program: "some", isInGroup: true };
  return hasOwnSession && signalOne(group, "SIGCONT") ? [group] : [];
}

/** @returns whether the process is there */
function signalOne({ pid, startTicks }: Leftover, signal: SignalName): boolean {
  if (pid > 0 && Number(readProcess(pid)?.startTime) !== startTicks) return false;
  try {
    return kill(pid, signal);
  } catch {
    // It belongs to another user now.
    return true;
  }
}

/** Says how many there are, and which programs, for a log line. */
function describe(
  left: readonly Leftover[],
): { readonly count: string; readonly programs: string } {
  const programs = [...new Set(left.map(({ program }) => program))];
  const shown = programs.slice(0, 5).join(", ");
  return {
    count: String(left.length),
    programs: programs.length > 5 ? `${shown} …` : shown,
  };
}

/** Says which processes of COMMAND's session are left; undefined if there are none. */
export function describeSession(pid: number): ReturnType<typeof describe> | undefined {
  const origin = { pid, startTicks: undefined, hasOwnSession: true, adopts: false };
  const left = findLeftovers(origin);
  return left.length === 0 ? undefined : describe(left);
}

/** Waits for what COMMAND has left behind, or ends it. COMMAND has ended. */
export function superviseLeftovers(
  origin: Origin,
  limits: LeftoverLimits,
  report: Report,
): Leftovers {
  const graceMs = limits.killAfterMs || DEFAULT_GRACE_MS;
  /** When each one that has had its signal is killed. */
  const killAtMs = new Map<string, number>();
  let { leftovers: mode, askedBy } = limits;
  let isAnnounced = false;
  let isKilling = false;
  let giveUpAtMs = Infinity;
  let wake = () => {};

  const key = ({ pid, startTicks }: Leftover) => `${pid} ${startTicks}`;
  const limitOf = (leftover: Leftover) => killAtMs.get(key(leftover)) ?? Infinity;

  /** One that is to be dropped has not come here, unless it is the wrapper's own. */
  const asSent = (signal: SignalName) => rewrite(signal, limits.rewrite) ?? signal;

  function ask(leftover: Leftover, signal: SignalName, limitMs: number) {
    // A stopped process gets the signal only once it continues.
    if (signalOne(leftover, asSent(signal)) && START_KILL_CLOCK.has(signal)) {
      signalOne(leftover, "SIGCONT");
    }
    killAtMs.set(key(leftover), Math.min(limitOf(leftover), performance.now() + limitMs));
  }

  /** Does what is due for those that have come since the last look. */
  function tend(left: readonly Leftover[]) {
    const fresh = left.filter((leftover) => !killAtMs.has(key(leftover)));
    const hadSignal = (leftover: Leftover) =>
      limits.groupKillAtMs !== undefined && leftover.isInGroup;
    for (const leftover of fresh.filter(hadSignal)) {
      killAtMs.set(key(leftover), limits.groupKillAtMs ?? Infinity);
    }
    const untold = fresh.filter((leftover) => !hadSignal(leftover));
    if (mode === "end") {
      if (untold.length > 0) {
        report("group-ending", { ...describe(untold), signal: asSent("SIGTERM") });
      }
      for (const leftover of untold) ask(leftover, "SIGTERM", graceMs);
    } else if (askedBy !== undefined) {
      for (const leftover of untold) ask(leftover, askedBy, limits.killAfterMs || Infinity);
    }
    const awaited = mode === "end" ? left.filter(hadSignal) : left;
    if (!isAnnounced && awaited.length > 0) {
      isAnnounced = true;
      report("leftovers-awaited", describe(awaited));
    }
  }

  function killDue(left: readonly Leftover[]) {
    const due = left.filter((leftover) => limitOf(leftover) <= performance.now());
    if (due.length === 0) return;
    if (!isKilling) report("group-killed", { limitMs: graceMs });
    isKilling = true;
    for (const leftover of due) {
      signalOne(leftover, "SIGKILL");
      killAtMs.set(key(leftover), Infinity);
    }
    giveUpAtMs = performance.now() + KILL_GRACE_MS;
  }

  async function settle() {
    const onChildEnd = () => wake();
    addSignalListener("SIGCHLD", onChildEnd);
    try {
      for (let attempt = 1;; attempt++) {
        const left = findLeftovers(origin);
        if (left.length === 0) return;
        tend(left);
        killDue(left);
        const nowMs = performance.now();
        if (nowMs >= giveUpAtMs) return;
        const nextMs = Math.min(giveUpAtMs, ...left.map(limitOf)) - nowMs;
        const longestMs = nextMs === Infinity ? LONG_PAUSE_MS : PAUSE_MS;
        // The wrapper hears of the end of its own children, and of whatever then falls to it.
        const pauseMs = origin.adopts ? LONGEST_MS : backoffMs(attempt, FIRST_PAUSE_MS, longestMs);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, Math.min(nextMs, pauseMs));
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    } finally {
      removeSignalListener("SIGCHLD", onChildEnd);
    }
  }

  return {
    gone: settle(),
    send(signal) {
      const asks = START_KILL_CLOCK.has(signal);
      for (const leftover of findLeftovers(origin)) {
        if (asks) ask(leftover, signal, limits.killAfterMs || Infinity);
        else signalOne(leftover, asSent(signal));
      }
      if (asks) askedBy = signal;
      wake();
    },
    endNow() {
      const left = findLeftovers(origin);
      if (left.length > 0) report("leftovers-timeout", describe(left));
      mode = "end";
      const endMs = performance.now() + graceMs;
      for (const [name, limitMs] of killAtMs) killAtMs.set(name, Math.min(limitMs, endMs));
      wake();
    },
  };
}
