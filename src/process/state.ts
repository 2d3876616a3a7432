/**
 * What the wrapper has to know about a process.
 *
 * @module
 */

/** One process, as `/proc/PID/stat` or `ps` shows it. */
export interface ProcessState {
  /** The kernel's name for its program. */
  readonly comm: string;
  /** `R` and `S` run or sleep, `T` is stopped, `Z` has ended and was not waited for. */
  readonly state: string;
  /** Its parent's id. */
  readonly parent: number;
  /** Its process group. */
  readonly group: number;
  /** Its session; undefined if that is not known, as `ps` shows it of a session's leader alone. */
  readonly session: number | undefined;
  /** The terminal of its session, by whatever name. */
  readonly terminal: string;
  /** Whether its session has a controlling terminal. */
  readonly hasTerminal: boolean;
  /** The process group that gets the terminal's keys; -1 without a terminal. */
  readonly foregroundGroup: number;
  /** When it started, in clock ticks since the machine booted; by `ps`, in milliseconds of the clock. */
  readonly startTime: string;
}
