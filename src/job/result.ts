/**
 * The result of a job.
 *
 * @module
 */

import type { JobSummary } from "../hook.ts";
import type { EnvFileError, NotReadyError, PodError, StartError } from "./errors.ts";

/** The result of a job. */
export interface RunResult extends JobSummary {
  /** Whether COMMAND's time limit ended it. */
  readonly timedOut: boolean;
  /**
   * Why COMMAND did not run: it could not be started, what it waited for was not ready in time, or the
   * file with its variables or the folder that the pod's containers share cannot be used.
   */
  readonly error?: StartError | NotReadyError | EnvFileError | PodError;
  /** Each hook's outcome, in the order of the hooks; empty if they did not run. */
  readonly hooks: readonly HookOutcome[];
}

/** COMMAND's part of the result. */
export type CommandResult = Omit<RunResult, "hooks">;

/** How a hook ended. */
export interface HookOutcome {
  /** The hook's name. */
  readonly hook: string;
  /** Where the sidecar was told to quit; without credentials or query. */
  readonly address: string;
  /**
   * - `stopped`: it accepted the stop request
   * - `gone`: and nobody listens at its address any more (only with `confirmMs`)
   * - `still-listening`: and somebody still did when the time was up (only with `confirmMs`)
   * - `already-stopped`: it had been there and was gone
   * - `no-sidecar`: it was never there
   * - `unneeded`: it is there and does not have to be told, because something else stops it
   * - `left`: another container of the pod still needs it, and will stop it
   * - `failed`: it is there and was not stopped
   */
  readonly outcome:
    | "stopped"
    | "gone"
    | "still-listening"
    | "already-stopped"
    | "no-sidecar"
    | "unneeded"
    | "left"
    | "failed";
  /** What was seen, in a few words. */
  readonly answer: string;
  /** What the operator can do about it. */
  readonly hint?: string;
  /** How long it took, in milliseconds. */
  readonly durationMs: number;
  /** For a group of hooks: the outcome of each sidecar that was there. */
  readonly sidecars?: readonly HookOutcome[];
}
