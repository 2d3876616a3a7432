/**
 * The processes that this one can see, by `/proc`.
 *
 * @module
 */

import { listFolder, readLink, readTextFile } from "./platform.ts";

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
  return listFolder("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      const status = readStatus(Number(entry));
      return status !== undefined && isCalled(status, name)
        ? [{ pid: status.pid, startTime: status.startTime }]
        : [];
    });
}

/** Whether it still runs; a zombie does not, and another process that got its id is another. */
export function runs(process: Process): boolean {
  return readStatus(process.pid)?.startTime === process.startTime;
}

interface Status extends Process {
  readonly comm: string;
}

/** @returns undefined if there is no such process, or it is over and only not yet reaped */
function readStatus(pid: number): Status | undefined {
  const stat = attempt(() => readTextFile(`/proc/${pid}/stat`));
  // The name stands in parentheses and may hold any character, a parenthesis too.
  const [, comm, rest] = /^\d+ \((.*)\) (.*)$/s.exec(stat ?? "") ?? [];
  const fields = rest?.split(" ") ?? [];
  const [state, startTime] = [fields[0], fields[19]];
  if (comm === undefined || startTime === undefined || state === "Z" || state === "X") {
    return undefined;
  }
  return { pid, startTime, comm };
}

function isCalled({ pid, comm }: Status, name: string): boolean {
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

/** The result, or undefined where the process has gone meanwhile or is none of this user's. */
function attempt(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
