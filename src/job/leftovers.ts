/**
 * What COMMAND leaves behind: processes that it started, and that still run when it has ended.
 *
 * @module
 */

import type { Report } from "../log/log.ts";
import type { JobSettings } from "../options.ts";
import { addSignalListener, kill, processId, removeSignalListener } from "../platform/mod.ts";
import type { SignalName } from "../platform/signals.ts";
import { findProcesses, type Process, runs } from "../process/find.ts";
import { isInSession, readOrUndefined, readProcess } from "../process/proc.ts";
import { isCommand } from "../process/commands.ts";
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
interface Leftover extends Process {
  readonly program: string;
  readonly isInGroup: boolean;
  /** Whether it is in the wrapper's own process group, to which a terminal gives its signals. */
  readonly sharesGroup: boolean;
}

/** What asks COMMAND to end, from outside. */
export interface EndRequest {
  /** The signal. */
  readonly signal: SignalName;
  /** Whether a terminal gave it to the wrapper's whole process group. */
  readonly isFromTerminal: boolean;
}

/** What happens to them. */
export interface LeftoverLimits extends Pick<JobSettings, "killAfterMs" | "leftovers" | "rewrite"> {
  /**
   * When those in COMMAND's group are killed, on the clock of `performance.now()`, if the group has had
   * its signal already: it gets no second one. Infinity for never.
   */
  readonly groupKillAtMs?: number | undefined;
  /** What asked COMMAND to end, from outside. */
  readonly asked?: EndRequest | undefined;
  /** When `--kill-after` kills those that get this signal; Infinity for never. */
  readonly killAtMs: number;
}

/** What COMMAND has left behind, until the last of it has ended. */
export interface Leftovers {
  /** Settles when none is left, or those that are cannot be ended. */
  readonly gone: Promise<void>;
  /**
   * Sends a signal to each of them.
   *
   * @param isFromTerminal whether those in the wrapper's group have it already; the others then get it
   * only if it asks to end
   */
  send(signal: SignalName, isFromTerminal?: boolean): void;
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
  const ownGroup = readProcess("self")?.group;
  const found = readOrUndefined(() =>
    findProcesses((process) =>
      (hasOwnSession && isInSession(process, command)) ||
      (adopts && process.parent === self && startTicks !== undefined &&
        Number(process.startTime) >= startTicks)
    )
  );
  if (found === undefined) return groupAsOne(command, hasOwnSession);
  return found.filter(({ pid }) => pid !== self && !isCommand(pid)).map((
    { pid, startTime, comm, group },
  ) => ({
    pid,
    startTime,
    program: comm,
    isInGroup: hasOwnSession && group === command,
    sharesGroup: group === ownGroup,
  }));
}

/** Where `/proc` cannot be read, the group stands for its processes, and SIGCONT shows if any is left. */
function groupAsOne(command: number, hasOwnSession: boolean): Leftover[] {
  const group = {
    pid: -command,
    startTime: "",
    program: "some",
    isInGroup: true,
    sharesGroup: false,
  };
  return hasOwnSession && signalOne(group, "SIGCONT") ? [group] : [];
}

/** @returns whether the process is there */
function signalOne(leftover: Leftover, signal: SignalName): boolean {
  if (leftover.pid > 0 && !runs(leftover)) return false;
  try {
    return kill(leftover.pid, signal);
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
  const { groupKillAtMs } = limits;
  /** When each one that has had its signal is killed. */
  const killAtMs = new Map<string, number>();
  const killed = new Set<string>();
  let { leftovers: mode, asked, killAtMs: askedKillAtMs } = limits;
  /** When all that are ended are killed. Those that they start until then get no time of their own. */
  let endAtMs = Infinity;
  /** When those that have had their signal are killed, too, because the time limit is over. */
  let timeoutKillAtMs = Infinity;
  let isAnnounced = false;
  let wake = () => {};

  const key = ({ pid, startTime }: Leftover) => `${pid} ${startTime}`;
  const limitOf = (leftover: Leftover) => killAtMs.get(key(leftover)) ?? Infinity;
  const hadSignal = ({ isInGroup }: Leftover) => groupKillAtMs !== undefined && isInGroup;

  /** One that is to be dropped has not come here, unless it is the wrapper's own. */
  const asSent = (signal: SignalName) => rewrite(signal, limits.rewrite) ?? signal;

  function ask(leftover: Leftover, signal: SignalName, limitMs: number) {
    // A stopped process gets the signal only once it continues.
    if (signalOne(leftover, asSent(signal)) && START_KILL_CLOCK.has(signal)) {
      signalOne(leftover, "SIGCONT");
    }
    limit(leftover, limitMs);
  }

  function limit(leftover: Leftover, limitMs: number) {
    killAtMs.set(key(leftover), Math.min(limitOf(leftover), limitMs));
  }

  /** Passes on what asked COMMAND, or those that are left, to end. */
  function passOn({ signal, isFromTerminal }: EndRequest, leftover: Leftover) {
    if (isFromTerminal && leftover.sharesGroup) limit(leftover, askedKillAtMs);
    else ask(leftover, signal, askedKillAtMs);
  }

  /** Tells those that have come since the last look what the others were told. */
  function tend(left: readonly Leftover[]) {
    const fresh = left.filter((leftover) => !killAtMs.has(key(leftover)));
    for (const leftover of fresh.filter(hadSignal)) {
      killAtMs.set(key(leftover), Math.min(groupKillAtMs ?? Infinity, timeoutKillAtMs));
    }
    const untold = fresh.filter((leftover) => !hadSignal(leftover));
    if (mode === "end" && untold.length > 0) {
      if (endAtMs === Infinity) endAtMs = performance.now() + graceMs;
      // A program that starts itself again and again must not fill the log.
      if (performance.now() < endAtMs) {
        report("group-ending", { ...describe(untold), signal: asSent("SIGTERM") });
      }
      for (const leftover of untold) ask(leftover, "SIGTERM", endAtMs);
    } else if (asked !== undefined) {
      for (const leftover of untold) passOn(asked, leftover);
    }
    const awaited = mode === "end" ? left.filter(hadSignal) : left;
    if (isAnnounced || awaited.length === 0) return;
    isAnnounced = true;
    report("leftovers-awaited", describe(awaited));
  }

  function killDue(left: readonly Leftover[]) {
    const nowMs = performance.now();
    const due = left.filter((leftover) => limitOf(leftover) <= nowMs && !killed.has(key(leftover)));
    if (due.length > 0 && killed.size === 0) report("group-killed", { limitMs: graceMs });
    for (const leftover of due) {
      signalOne(leftover, "SIGKILL");
      killed.add(key(leftover));
    }
  }

  async function settle() {
    // Without orphans it has no children, but for `ps`.
    const onChildEnd = () => origin.adopts && wake();
    addSignalListener("SIGCHLD", onChildEnd);
    try {
      for (let attempt = 1;; attempt++) {
        const left = findLeftovers(origin);
        tend(left);
        killDue(left);
        const nextAtMs = left.map((leftover) =>
          limitOf(leftover) + (killed.has(key(leftover)) ? KILL_GRACE_MS : 0)
        );
        const nowMs = performance.now();
        const open = nextAtMs.filter((atMs) => atMs > nowMs);
        if (open.length === 0) return;
        const nextMs = Math.min(...open) - nowMs;
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
    send(signal, isFromTerminal = false) {
      const left = findLeftovers(origin);
      if (START_KILL_CLOCK.has(signal)) {
        asked = { signal, isFromTerminal };
        const limitMs = limits.killAfterMs > 0 ? performance.now() + limits.killAfterMs : Infinity;
        askedKillAtMs = Math.min(askedKillAtMs, limitMs);
        for (const leftover of left) passOn(asked, leftover);
        wake();
      } else if (!isFromTerminal) {
        // What has left the terminal's group has nothing to do with its end or its size.
        for (const leftover of left) signalOne(leftover, asSent(signal));
      }
    },
    endNow() {
      const left = findLeftovers(origin);
      if (left.length > 0) report("leftovers-timeout", describe(left));
      mode = "end";
      timeoutKillAtMs = performance.now() + graceMs;
      for (const [name, atMs] of killAtMs) killAtMs.set(name, Math.min(atMs, timeoutKillAtMs));
      wake();
    },
  };
}
