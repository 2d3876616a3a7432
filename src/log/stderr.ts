/**
 * Log lines on stderr, and the signals that they cause.
 *
 * @module
 */

import { errorCode } from "../platform/errors.ts";
import { writeToStderr } from "../platform/mod.ts";
import type { CatchableSignal, SignalName } from "../platform/signals.ts";
import { backoffMs } from "../time.ts";

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

/** How much is kept while stderr takes nothing, in bytes; the lines after that are lost. */
const MOST_QUEUED_BYTES = 256 * 1024;

/** How long to pause before stderr is tried again, at first and at most. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [20, 1000];

/** How long the end of a job waits for a stderr that takes nothing. */
const LONGEST_WAIT_MS = 1000;

/** What stderr has not taken yet, a line each; of the first perhaps only the rest. */
const queue: Uint8Array[] = [];
let queuedBytes = 0;

let retry: ReturnType<typeof setTimeout> | undefined;

/**
 * Writes a line to stderr, after those before it. It never waits: a full pipe that nobody reads must
 * not hold up the job. If the line cannot be written, it is lost, and nothing else happens.
 */
export function queueLine(line: string): void {
  const bytes = new TextEncoder().encode(line);
  if (queuedBytes + bytes.length > MOST_QUEUED_BYTES) return;
  queue.push(bytes);
  queuedBytes += bytes.length;
  if (retry === undefined) writeOrRetry(1);
}

function writeOrRetry(attempt: number): void {
  retry = undefined;
  if (writeQueue()) return;
  const pauseMs = backoffMs(attempt, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
  retry = setTimeout(() => writeOrRetry(attempt + 1), pauseMs);
}

/** Writes what stderr takes now; returns whether that was all. */
function writeQueue(): boolean {
  for (let bytes = queue[0]; bytes !== undefined; bytes = queue[0]) {
    let written = bytes.length;
    try {
      written = writeToStderr(bytes);
    } catch (error) {
      const code = errorCode(error);
      if (code === "EAGAIN") return false;
      // The reader of stderr is gone, or the disk behind it is full: the hooks matter more.
      const signal = CAUSED_BY_WRITES.get(code);
      if (signal !== undefined) caused.set(signal, (caused.get(signal) ?? 0) + 1);
    }
    queuedBytes -= written;
    if (written < bytes.length) queue[0] = bytes.subarray(written);
    else queue.shift();
  }
  return true;
}

/** Waits until stderr has taken every line, for a second at most; what is left then is lost. */
export async function linesTaken(): Promise<void> {
  const endMs = performance.now() + LONGEST_WAIT_MS;
  while (!writeQueue() && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MS));
  }
  queue.length = 0;
  queuedBytes = 0;
  clearTimeout(retry);
  retry = undefined;
}

/** Whether a signal that has just come was caused by a log line, and so is not for COMMAND. */
export function takeOwnSignal(signal: SignalName): boolean {
  const left = caused.get(signal) ?? 0;
  // Each counts once.
  if (left > 0) caused.set(signal, left - 1);
  return left > 0;
}
