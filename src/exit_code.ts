/**
 * The exit codes that are not COMMAND's own.
 *
 * @module
 */

/** The time limit ended COMMAND: the code of coreutils' `timeout`. */
export const TIMED_OUT = 124;

/** The wrapper itself failed: wrong settings, a wait that ran out, `--strict`, a defect. */
export const WRAPPER_FAILED = 125;

/** COMMAND was found but cannot be executed, as in a shell. */
export const CANNOT_EXECUTE = 126;

/** COMMAND was not found, as in a shell. */
export const NOT_FOUND = 127;

/** The exit code of a program that a signal ended, as shells show it. */
export function exitCodeOfSignal(number: number): number {
  return 128 + number;
}
