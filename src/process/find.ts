/**
 * The processes that this one can see, by `/proc`.
 *
 * @module
 */

import { readLink, readTextFile } from "../platform/mod.ts";
import { attempt, isOver, processIds, readProcess } from "./proc.ts";

/** A process. */
export interface Process {
  /** Its id, which another process may have later. */
  readonly pid: number;
  /** When it started, in clock ticks since the machine did: with it, the id is unique. */
  readonly startTime: string;
}

/** The kernel cuts a process's name (`comm`) to this many bytes. */
const COMM_BYTES = 15;

/**
 * All processes of a name: that of their executable, of their first word, or the one that the kernel
 * keeps. Zombies do not count.
 *
 * @param name the base name, as `ps` shows it
 */
export function findProcesses(name: string): readonly Process[] {
  return processIds().flatMap((pid) => {
    const process = readProcess(pid);
    return process !== undefined && !isOver(process) && isCalled(pid, process.comm, name)
      ? [{ pid, startTime: process.startTime }]
      : [];
  });
}

/** Whether it still runs; a zombie does not, and another process that got its id is another. */
export function runs({ pid, startTime }: Process): boolean {
  const process = readProcess(pid);
  return process !== undefined && !isOver(process) && process.startTime === startTime;
}

function isCalled(pid: number, comm: string, name: string): boolean {
  const bytes = new TextEncoder().encode(name);
  const isCut = bytes.length > COMM_BYTES;
  if (!isCut && comm === name) return true;
  // Another user's executable cannot be read.
  const executable = attempt(() => readLink(`/proc/${pid}/exe`))?.replace(/ \(deleted\)$/, "");
  if (executable !== undefined && baseName(executable) === name) return true;
  const words = attempt(() => readTextFile(`/proc/${pid}/cmdline`))?.split("\0") ?? [];
  if (baseName(words[0] ?? "") === name) return true;
  // A cut name alone could be that of another program; a script's own name is its second word.
  const cut = new TextDecoder().decode(bytes.slice(0, COMM_BYTES));
  return isCut && comm === cut && baseName(words[1] ?? "") === name;
}

function baseName(path: string): string {
  return path.split("/").at(-1) ?? path;
}
