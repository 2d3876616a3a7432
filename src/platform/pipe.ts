/**
 * Writing to a pipe that may be full.
 *
 * @module
 */

import { errorCode } from "./errors.ts";

/** How long to wait for the reader of a full pipe, in milliseconds. */
const PAUSE_MS = 2;

/**
 * What a pipe takes as a whole or not at all: POSIX's least PIPE_BUF. Of more, the runtime may have written
 * a part when it says that the pipe is full.
 */
const WHOLE_BYTES = 512;

/**
 * Writes all bytes, also to a pipe that another process has made non-blocking, as a parent on Node does
 * with the stdout that it shares: while it is full, this waits.
 *
 * @param write writes bytes, and returns how many were taken
 */
export function writeAll(bytes: Uint8Array, write: (bytes: Uint8Array) => number): void {
  for (let done = 0; done < bytes.length;) {
    try {
      done += write(bytes.subarray(done, done + WHOLE_BYTES));
    } catch (error) {
      if (errorCode(error) !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    }
  }
}
