/**
 * Log lines on stderr, and the signals that they cause.
 *
 * @module
 */

import { errorCode } from "../platform/errors.ts";
import { writeText } from "../platform/mod.ts";
import type { CatchableSignal, SignalName } from "../platform/signals.ts";

/**
 * What the kernel sends to a process that catches it, for each of its writes that fails so: to a pipe
 * that nobody reads, and past the limit of a file's size (`ulimit -f`).
 */
export const CAUSED_BY_WRITES: ReadonlyMap<string, CatchableSignal> = new Map([
  ["EPIPE", "SIGPIPE"],
  ["EFBIG", "SIGXFSZ"],
]);

/** How many of these signals are still to come. */
const caused = new Map<SignalName, number>();

/** Writes a line to stderr. If it cannot be written, it is lost, and nothing else happens. */
export function writeToStderr(line: string): void {
  try {
    writeText("stderr", line);
  } catch (error) {
    // The reader of stderr is gone, or the disk behind it is full: the hooks matter more.
    const signal = CAUSED_BY_WRITES.get(errorCode(error));
    if (signal !== undefined) caused.set(signal, (caused.get(signal) ?? 0) + 1);
  }
}

/** Whether a signal that has just come was caused by a log line, and so is not for COMMAND. */
export function takeOwnSignal(signal: SignalName): boolean {
  const left = caused.get(signal) ?? 0;
  // Each counts once.
  if (left > 0) caused.set(signal, left - 1);
  return left > 0;
}
