/**
 * What the kernel tells about processes, in `/proc`. Where it cannot be read, nothing is known.
 *
 * @module
 */

import { listFolder, readTextFile } from "./platform.ts";

/** One process, as `/proc/PID/stat` shows it. */
export interface ProcessState {
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
  /** The process group that the terminal's keys go to; -1 without a terminal. */
  readonly foregroundGroup: number;
}

/** Reads one process; undefined if there is none, or if it cannot be read. */
export function readProcess(pid: number | "self"): ProcessState | undefined {
  const text = tryRead(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The program's name stands in parentheses, and may hold blanks and parentheses itself.
  const [state = "", ...numbers] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [parent = 0, group = 0, session = 0, terminal = 0, foregroundGroup = -1] = numbers
    .map(Number);
  return { state, parent, group, session, hasTerminal: terminal !== 0, foregroundGroup };
}

/** How many processes of a group run or are stopped; undefined if that cannot be known. */
export function countGroup(group: number): number | undefined {
  let names: readonly string[];
  try {
    names = listFolder("/proc");
  } catch {
    return undefined;
  }
  return names.filter((name) => {
    const process = /^\d+$/.test(name) ? readProcess(Number(name)) : undefined;
    return process?.group === group && process.state !== "Z" && process.state !== "X";
  }).length;
}

/** What a process does with signals: sets of bits, signal N is bit N - 1. */
export interface Dispositions {
  /** Put off. */
  readonly blocked: number;
  /** Ignored. */
  readonly ignored: number;
  /** Given to a function. */
  readonly caught: number;
}

/** Reads what a process does with the signals up to 31; undefined if that cannot be known. */
export function readDispositions(pid: number | "self"): Dispositions | undefined {
  const text = tryRead(`/proc/${pid}/status`);
  if (text === undefined) return undefined;
  // Sixteen hexadecimal digits, of which the last eight are the signals up to 32.
  const bits = (name: string) => {
    const label = `\n${name}:\t`;
    const start = text.indexOf(label) + label.length;
    return start < label.length ? 0 : parseInt(text.slice(start + 8, start + 16), 16);
  };
  return { blocked: bits("SigBlk"), ignored: bits("SigIgn"), caught: bits("SigCgt") };
}

function tryRead(path: string): string | undefined {
  try {
    return readTextFile(path);
  } catch {
    return undefined;
  }
}
