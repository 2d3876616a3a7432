/**
 * What the kernel reports about processes in `/proc`, or `ps` where there is none. What cannot be read
 * is undefined.
 *
 * @module
 */

import { IS_LINUX, opensTerminal, processId, readTextFile } from "../platform/mod.ts";
import { processesByPs } from "./ps.ts";
import type { ProcessState } from "./state.ts";

/** The index of the start time in `/proc/PID/stat`, counted from the state. */
const START_TIME = 19;

/** Reads one process; undefined if it does not exist or cannot be read. */
export function readProcess(pid: number | "self"): ProcessState | undefined {
  if (!IS_LINUX) {
    // Ctrl-Z would stop `ps`, and this process would wait for it.
    if (hasTerminal() !== false) return undefined;
    const words = ["-p", String(pid === "self" ? processId() : pid)];
    // A terminal that hangs up sends a second SIGHUP to the group, which `ps` is in by then.
    return (processesByPs(...words) ?? processesByPs(...words))?.[0]?.process;
  }
  const text = readOrUndefined(() => readTextFile(`/proc/${pid}/stat`));
  if (text === undefined) return undefined;
  // The program's name is in parentheses, and may itself contain blanks and parentheses.
  const [, comm = "", rest = ""] = /^\d+ \((.*)\) (.*)$/s.exec(text) ?? [];
  const fields = rest.split(" ");
  const [state = "", ...numbers] = fields;
  const [parent = 0, group = 0, session = 0, terminal = 0, foregroundGroup = -1] = numbers
    .map(Number);
  return {
    comm,
    state,
    parent,
    group,
    session,
    terminal: String(terminal),
    hasTerminal: terminal !== 0,
    foregroundGroup,
    startTime: fields[START_TIME] ?? "",
  };
}

/** Whether the wrapper has a controlling terminal; undefined if that cannot be known. */
export function hasTerminal(): boolean | undefined {
  const self = IS_LINUX ? readProcess("self") : undefined;
  return self === undefined ? opensTerminal() : self.hasTerminal;
}

/**
 * Whether a process is in the session that another one leads or led. Where only leaders are known, its
 * process group counts, which the leader of a session leads, too.
 */
export function isInSession({ session, group }: ProcessState, leader: number): boolean {
  return (session ?? group) === leader;
}

/** Whether two processes are in one session; where that is not known, whether they have one terminal. */
export function shareSession(one: ProcessState, other: ProcessState): boolean {
  if (IS_LINUX) return one.session === other.session;
  return one.hasTerminal && one.terminal === other.terminal;
}

/** Whether a process has ended, even if its parent has not taken its status yet. */
export function hasEnded({ state }: ProcessState): boolean {
  return state === "Z" || state === "X";
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
  if (!IS_LINUX) return undefined;
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
