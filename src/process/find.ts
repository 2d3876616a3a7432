/**
 * Finds processes in `/proc`, or by `ps` where there is none.
 *
 * @module
 */

import { IS_LINUX, listFolder, readLink, readTextFile } from "../platform/mod.ts";
import { hasEnded, hasTerminal, readOrUndefined, readProcess } from "./proc.ts";
import { processesByPs } from "./ps.ts";
import type { ProcessState } from "./state.ts";

/** A process. */
export interface Process {
  /** Its id, which another process may get later. */
  readonly pid: number;
  /** When it started, in clock ticks since the machine booted. Id and start time are unique. */
  readonly startTime: string;
}

/**
 * All processes of a kind that run or are stopped. Zombies do not count.
 *
 * @throws an error if they cannot be listed
 */
export function findProcesses(
  isWanted: (state: ProcessState, pid: number) => boolean,
): readonly (Process & ProcessState)[] {
  if (!IS_LINUX) {
    // Ctrl-Z would stop `ps`, and this process would wait for it.
    const all = hasTerminal() === false ? processesByPs("-A") : undefined;
    if (all === undefined) throw new Error("the processes cannot be listed");
    return all.flatMap(({ pid, process }) =>
      !hasEnded(process) && isWanted(process, pid) ? [{ pid, ...process }] : []
    );
  }
  return listFolder("/proc").filter((name) => /^\d+$/.test(name)).map(Number).flatMap((pid) => {
    const state = readProcess(pid);
    return state !== undefined && !hasEnded(state) && isWanted(state, pid)
      ? [{ pid, ...state }]
      : [];
  });
}

/** The kernel cuts a process's name (`comm`) to this many bytes. */
const COMM_BYTES = 15;

/**
 * All processes with a name: that of their executable, their first word, or the kernel's name for
 * them.
 *
 * @param name the base name, as `ps` shows it
 * @throws the system's error if `/proc` cannot be read
 */
export function findByName(name: string): readonly Process[] {
  if (!IS_LINUX) throw new Error("finding processes by name needs Linux");
  return findProcesses(({ comm }, pid) => isCalled(pid, comm, name));
}

/** Whether a process still runs. A zombie does not, nor does one whose id another process has now. */
export function runs({ pid, startTime }: Process): boolean {
  const process = readProcess(pid);
  return process !== undefined && !hasEnded(process) && process.startTime === startTime;
}

function isCalled(pid: number, comm: string, name: string): boolean {
  const bytes = new TextEncoder().encode(name);
  const isCut = bytes.length > COMM_BYTES;
  if (!isCut && comm === name) return true;
  // The link to another user's executable cannot be read.
  const executable = readOrUndefined(() => readLink(`/proc/${pid}/exe`))
    ?.replace(/ \(deleted\)$/, "");
  if (executable !== undefined && baseName(executable) === name) return true;
  const words = readOrUndefined(() => readTextFile(`/proc/${pid}/cmdline`))?.split("\0") ?? [];
  if (baseName(words[0] ?? "") === name) return true;
  // A cut name alone could belong to another program. A script's own name is its second word.
  const cut = new TextDecoder().decode(bytes.slice(0, COMM_BYTES));
  return isCut && comm === cut && baseName(words[1] ?? "") === name;
}

function baseName(path: string): string {
  return path.split("/").at(-1) ?? path;
}
