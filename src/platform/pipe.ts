/**
 * Writing to a pipe that may be full.
 *
 * @module
 */

import { errorCode } from "./errors.ts";

/** How long to wait for the reader of a full pipe, in milliseconds. */
const PAUSE_MS = 2;

/** How much is offered at a time. */
const CHUNK_BYTES = 65_536;

/**
 * Writes all bytes, also to a pipe that another process has made non-blocking, as a parent on Node does
 * with the stdout that it shares: while it is full, this waits.
 *
 * @param write writes bytes, and returns how many were taken; if it throws `EAGAIN`, none were
 */
export function writeAll(bytes: Uint8Array, write: (bytes: Uint8Array) => number): void {
  for (let done = 0; done < bytes.length;) {
    try {
      done += write(bytes.subarray(done, done + CHUNK_BYTES));
    } catch (error) {
      if (errorCode(error) !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    }
  }
}
