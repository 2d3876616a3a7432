/**
 * What a hook is: the thing that knows how to find one sidecar and how to stop it.
 *
 * @module
 */

/**
 * What one look at a sidecar found.
 *
 * @example
 * ```ts
 * import type { Probe } from "@k8s-job/wrapper";
 *
 * const found: Probe = { state: "present", answer: "503 Service Unavailable" };
 * console.log(found.state);
 * ```
 */
export interface Probe {
  /**
   * - `ready`: it answers, and says that it is ready
   * - `present`: it answers, but is not ready
   * - `absent`: nobody is there
   */
  readonly state: "ready" | "present" | "absent";
  /** What was seen, in a few words for a person: `200 OK`, `connection refused`. */
  readonly answer: string;
}

/**
 * What came of telling a sidecar to quit.
 *
 * @example
 * ```ts
 * import type { Stop } from "@k8s-job/wrapper";
 *
 * const stop: Stop = {
 *   state: "failed",
 *   answer: "answered 403 Forbidden",
 *   hint: "Give the job the agent's token",
 * };
 * console.log(stop.state);
 * ```
 */
export interface Stop {
  /**
   * - `stopped`: it took the request
   * - `absent`: nobody is there; the caller decides what that means
   * - `unneeded`: it is there and need not be told: something else stops it
   * - `failed`: it is there and did not take the request
   */
  readonly state: "stopped" | "absent" | "unneeded" | "failed";
  /** What was seen, in a few words for a person: `200 OK`, `no answer within 5s`. */
  readonly answer: string;
  /** What the operator can do about it, as a sentence without its full stop. */
  readonly hint?: string;
}

/**
 * The job as far as it is known while hooks run.
 *
 * @example
 * ```ts
 * import { type JobSummary, stopSidecars } from "@k8s-job/wrapper";
 *
 * const job: JobSummary = { command: "nightly-report", exitCode: 0, durationMs: performance.now() };
 * await stopSidecars([], {}, job);
 * ```
 */
export interface JobSummary {
  /** COMMAND's words, the first only: arguments may hold secrets. */
  readonly command: string;
  /** The exit code that the job has so far; a hook that fails under `strict` can still change it. */
  readonly exitCode: number;
  /** The signal that ended COMMAND, if one did. */
  readonly signal?: string;
  /** How long COMMAND ran, in milliseconds; 0 if it never started. */
  readonly durationMs: number;
  /** COMMAND's process id, if it was started. */
  readonly pid?: number;
}

/**
 * What a hook is given each time that it is called.
 *
 * @example
 * ```ts
 * import type { HookContext, Stop } from "@k8s-job/wrapper";
 *
 * async function stop({ job, signal, debug }: HookContext): Promise<Stop> {
 *   debug(`the job ended with ${job?.exitCode}`);
 *   signal.throwIfAborted();
 *   await Promise.resolve();
 *   return { state: "stopped", answer: "done" };
 * }
 * console.log(stop.name);
 * ```
 */
export interface HookContext {
  /** Aborted when the hook shall give up: its deadline is over, or the user does not want to wait. */
  readonly signal: AbortSignal;
  /** The longest that one attempt at one request may take, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** The longest that this whole call may take, in milliseconds; `signal` is aborted then. */
  readonly deadlineMs: number;
  /** How often a failed attempt may be repeated. */
  readonly retries: number;
  /** Whether the sidecar has ever given a sign of life. */
  readonly wasSeen: () => boolean;
  /** To be called at the sidecar's first sign of life. */
  readonly markSeen: () => void;
  /** Writes a line to the log at level `debug`; the hook's name stands before it. */
  readonly debug: (text: string) => void;
  /** COMMAND's process id, while it runs. */
  readonly commandPid?: number;
  /** The job, once COMMAND is over; undefined before. */
  readonly job?: JobSummary;
}

/** A hook for one sidecar. */
export type SidecarHook = Hook;

/**
 * One sidecar: how to see whether it is there, and how to make it quit.
 *
 * Presence, the startup window and log lines are the caller's business. A hook only says what it
 * saw. A refused connection that it throws counts as `absent`, and any other error as a failure with
 * that error's message.
 *
 * @example
 * ```ts
 * import type { Hook } from "@k8s-job/wrapper";
 *
 * const lockFile: Hook = {
 *   name: "lock-file",
 *   address: "/shared/lock",
 *   probe: () => Promise.resolve({ state: "ready", answer: "always" }),
 *   stop: async () => {
 *     await Deno.remove("/shared/lock");
 *     return { state: "stopped", answer: "removed" };
 *   },
 * };
 * console.log(lockFile.name);
 * ```
 */
export interface Hook {
  /** What the operator calls it; it stands in each log line. */
  readonly name: string;
  /** Where the sidecar is told to quit, for people to read. Without credentials or query. */
  readonly address: string;
  /** Where {@linkcode Hook.probe} probes, if that is another place than `address`. */
  readonly readyAddress?: string;
  /** Looks once, harmlessly, whether the sidecar is there and ready. */
  probe(context: HookContext): Promise<Probe>;
  /**
   * Looks once, harmlessly, whether the sidecar is there, at the very address that will be told to
   * quit, so that the connection is made already. Without it, {@linkcode Hook.probe} is used.
   */
  warmUp?(context: HookContext): Promise<Probe>;
  /** Tells the sidecar to quit; repeats failed attempts itself as `context` allows. */
  stop(context: HookContext): Promise<Stop>;
  /**
   * Set by a hook that is for any number of sidecars: a hook for each that may be there. They are
   * kept track of one by one, and of those that never come the log says nothing.
   */
  readonly candidates?: readonly Hook[];
}
