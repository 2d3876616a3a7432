/**
 * What the kernel reports about processes in `/proc`. What cannot be read is undefined.
 *
 * @module
 */

import { IS_LINUX, listFolder, readTextFile } from "../platform/mod.ts";

/** One process, as `/proc/PID/stat` shows it. */
export interface ProcessState {
  /** The kernel's name for its program. */
  readonly comm: string;
  /** `R` and `S` run or sleep, `T` is stopped, `Z` has ended and was not waited for. */
  readonly state: string;
  /** Its parent's id. */
  readonly parent: number;
  /** Its process group. */
  readonly group: number;
  /** Its session. */
  readonly session: number;
  /** Whether its session has a controlling terminal. */
  readonly hasTerminal: boolean;
  /** The process group that gets the terminal's keys; -1 without a terminal. */
  readonly foregroundGroup: number;
  /** When it started, in clock ticks since the machine booted. */
  readonly startTime: string;
}

/** The index of the start time in `/proc/PID/stat`, counted from the state. */
const START_TIME = 19;

/** Reads one process; undefined if it does not exist or cannot be read. */
export function readProcess(pid: number | "self"): ProcessState | undefined {
  const text = readOrUndefined(() => readTextFile(`/proc/${pid}/stat`));
  if (text === undefined) return undefined;
  // The program's name is in parentheses, and may itself contain blanks and parentheses.
  const [, comm = "", rest = ""] = /^\d+ \((.*)\) (.*)$/s.exec(text) ?? [];
  const fields = rest.split(" ");
  const [state = "", ...numbers] = fields;
  const [parent = 0, group = 0, session = 0, terminal = 0, foregroundGroup = -1] = numbers
    .map(Number);
  const hasTerminal = terminal !== 0;
  const startTime = fields[START_TIME] ?? "";
  return { comm, state, parent, group, session, hasTerminal, foregroundGroup, startTime };
}

/** Whether the wrapper has a controlling terminal; undefined if that cannot be known. */
export function hasTerminal(): boolean | undefined {
  return readProcess("self")?.hasTerminal;
}

/** Whether a process has ended, even if its parent has not taken its status yet. */
export function hasEnded({ state }: ProcessState): boolean {
  return state === "Z" || state === "X";
}

/**
 * The ids of all processes that can be seen.
 *
 * @throws the system's error if `/proc` cannot be read
 */
export function processIds(): readonly number[] {
  if (!IS_LINUX) throw new Error("finding processes by name needs Linux");
  return listFolder("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
}

/** The processes of this kind that run or are stopped; undefined if that cannot be known. */
export function findProcesses(
  isWanted: (process: ProcessState) => boolean,
): readonly { readonly pid: number; readonly process: ProcessState }[] | undefined {
  return readOrUndefined(processIds)?.flatMap((pid) => {
    const process = readProcess(pid);
    return process !== undefined && !hasEnded(process) && isWanted(process)
      ? [{ pid, process }]
      : [];
  });
}

/** What a process does with signals, as sets of bits: signal N is bit N - 1. */
export interface Dispositions {
  /** The signals that wait until they are unblocked. */
  readonly blocked: number;
  /** The signals that are ignored. */
  readonly ignored: number;
  /** The signals that are handled by a function. */
  readonly caught: number;
}

/** Reads what a process does with the signals up to 31; undefined if that cannot be known. */
export function readDispositions(pid: number | "self"): Dispositions | undefined {
  const text = readOrUndefined(() => readTextFile(`/proc/${pid}/status`));
  if (text === undefined) return undefined;
  // Sixteen hexadecimal digits, of which the last eight are the signals up to 32.
  const bits = (name: string) => {
    const label = `\n${name}:\t`;
    const start = text.indexOf(label) + label.length;
    return start < label.length ? 0 : parseInt(text.slice(start + 8, start + 16), 16);
  };
  return { blocked: bits("SigBlk"), ignored: bits("SigIgn"), caught: bits("SigCgt") };
}

/** The result of `read`; undefined if the process has gone, or belongs to another user. */
export function readOrUndefined<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
