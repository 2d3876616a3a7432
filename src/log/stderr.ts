/**
 * Log lines on stderr, and the SIGPIPEs that they cause.
 *
 * @module
 */

import { errorCode } from "../platform/errors.ts";
import { writeText } from "../platform/mod.ts";

let brokenPipes = 0;

/** Writes a line to stderr. If it cannot be written, it is lost, and nothing else happens. */
export function writeToStderr(line: string): void {
  try {
    writeText("stderr", line);
  } catch (error) {
    // The reader of stderr is gone, or the disk behind it is full: the hooks matter more.
    if (errorCode(error) === "EPIPE") brokenPipes++;
  }
}

/**
 * Whether a SIGPIPE that has just come was caused by a log line. Once SIGPIPE is caught, the kernel
 * sends it for each write to a broken pipe, and these are not for COMMAND. Each counts once.
 */
export function takeOwnBrokenPipe(): boolean {
  if (brokenPipes === 0) return false;
  brokenPipes--;
  return true;
}
