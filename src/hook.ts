/**
 * The contract between a hook and a job: a hook knows how to find one sidecar and how to stop it; the
 * job decides when, how often, and what the result means.
 *
 * @module
 */

/** What one probe of a sidecar found. */
export interface Probe {
  /**
   * - `ready`: it answers, and says that it is ready
   * - `present`: it answers, but is not ready
   * - `absent`: nothing is there
   */
  readonly state: "ready" | "present" | "absent";
  /** What was seen, in a few words for a person: `200 OK`, `connection refused`. */
  readonly answer: string;
  /** Where that was seen, for people to read, if it may be another place than the hook's own. */
  readonly address?: string;
  /** What will make {@linkcode SidecarHook.stop} fail, if the sidecar says so beforehand. */
  readonly obstacle?: Obstacle;
}

/** What will make a hook fail. */
export type Obstacle = Pick<Stop, "answer" | "hint">;

/** The result of telling a sidecar to quit. */
export interface Stop {
  /**
   * - `stopped`: it accepted the request
   * - `absent`: nothing is there; the caller decides what that means
   * - `unneeded`: it is there and does not have to be told, because something else stops it
   * - `failed`: it is there and did not accept the request
   */
  readonly state: "stopped" | "absent" | "unneeded" | "failed";
  /** What was seen, in a few words for a person: `200 OK`, `no answer within 5s`. */
  readonly answer: string;
  /** What the operator can do about it, as a sentence without its period. */
  readonly hint?: string;
  /**
   * With `absent`: whether it is known to end for good, because it was told to, or says so. Otherwise
   * it may have crashed, and be started again.
   */
  readonly isEnding?: boolean;
  /**
   * With `absent`: what is wrong if that does not change soon, because the sidecar still answers at another
   * address. It may be about to come, or to end.
   */
  readonly elsewhere?: Obstacle;
  /** With `absent`: when its last connection ended, as `performance.now()` has it, if that was seen. */
  readonly lostAtMs?: number;
}

/** A stop request that stands ready, so that it can be sent before anything else is done. */
export interface ArmedStop {
  /**
   * Sends the request at once; `stop` is called right after it, and waits for the answer. It is called
   * once at most.
   *
   * @returns settles at the first sign of an answer, or when there will be none; never rejects
   */
  send(): Promise<void>;
  /**
   * Settles when the sidecar has ended the connection that is kept for the request, so that it has to be
   * looked for again; undefined if none is kept.
   */
  readonly lost?: Promise<void>;
}

/** What is known of the job when hooks run. */
export interface JobSummary {
  /** The first word of COMMAND only, because arguments may hold secrets. */
  readonly command: string;
  /** The exit code that the job has so far; with `strict`, a hook that fails can still change it. */
  readonly exitCode: number;
  /** COMMAND's own exit code, where the job's is another: a time limit, `successCodes`, `strict`. */
  readonly commandExitCode?: number;
  /** The signal that ended COMMAND, if one did. */
  readonly signal?: string;
  /** How long COMMAND ran, in milliseconds; 0 if it never started. */
  readonly durationMs: number;
  /** COMMAND's process ID, if it was started. */
  readonly pid?: number;
}

/**
 * What a hook is given each time it is called.
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
  /** Aborted when the hook has to give up: its deadline has passed, or the user will not wait. */
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
  /** Writes a line to the log at level `debug`, after the hook's name. */
  readonly debug: (text: string) => void;
  /** COMMAND's process ID, while it runs. */
  readonly commandPid?: number;
  /** The job, once COMMAND has ended; undefined before that. */
  readonly job?: JobSummary;
}

/**
 * Something that COMMAND needs before it starts: how to see whether it is ready. It is never told to
 * quit.
 *
 * @example
 * ```ts
 * import { type Condition, run } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const lunch: Condition = {
 *   name: "lunch",
 *   address: "the canteen",
 *   probe: () => Promise.resolve({ state: "ready", answer: "served" }),
 * };
 * const { exitCode } = await run(["true"], { waitFor: [lunch] });
 * assertEquals(exitCode, 0);
 * ```
 */
export interface Condition {
  /** What the operator calls it; it is part of each log line. */
  readonly name: string;
  /** Where {@linkcode Condition.probe} looks, for people to read. Without credentials or query. */
  readonly address: string;
  /** Why it cannot be waited for, if it cannot; a sentence for the operator. */
  readonly waitProblem?: string;
  /** Looks once, without side effects, whether it is ready. */
  probe(context: HookContext): Promise<Probe>;
}

/**
 * One sidecar: how to see whether it is there, and how to make it quit.
 *
 * A hook only reports what it saw. The startup window, log lines and exit codes are the job's. A
 * refused connection that a hook throws counts as `absent`, and any other error as a failure with
 * that error's message.
 *
 * @example
 * ```ts
 * import type { SidecarHook } from "@k8s-job/wrapper";
 *
 * const lockFile: SidecarHook = {
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
export interface SidecarHook {
  /** What the operator calls it; it is part of each log line. */
  readonly name: string;
  /** Where the sidecar is told to quit, for people to read. Without credentials or query. */
  readonly address: string;
  /** Where {@linkcode SidecarHook.probe} looks, if that is another place than `address`. */
  readonly readyAddress?: string;
  /**
   * Whether a pod may well lack this sidecar. If it never comes, that is worth an information in the
   * log then, and otherwise a warning.
   *
   * @default false
   */
  readonly optional?: boolean;
  /**
   * What is wrong with the settings that the hook has read from the environment, each a sentence for
   * the operator without the value. COMMAND is not started then; the hook is run all the same, so that
   * the pod ends.
   */
  readonly problems?: readonly string[];
  /** Whether it counts as ready without a look, so that nothing can be waited for. */
  readonly isAlwaysReady?: boolean;
  /** Why it cannot be waited for, if it cannot, and what can be instead; a sentence for the operator. */
  readonly waitProblem?: string;
  /** Looks once, without side effects, whether the sidecar is there and ready. */
  probe(context: HookContext): Promise<Probe>;
  /**
   * Looks once, without side effects, whether the sidecar is there, at the very address that will be
   * told to quit, so that the connection is open when it is needed. Without it,
   * {@linkcode SidecarHook.probe} is used.
   */
  warmUp?(context: HookContext): Promise<Probe>;
  /**
   * Prepares the stop request, after {@linkcode SidecarHook.warmUp} has found the sidecar.
   *
   * @returns undefined if it must not be sent yet
   */
  arm?(): ArmedStop | undefined;
  /**
   * Looks, before COMMAND is started, for what will make {@linkcode SidecarHook.stop} fail, without
   * doing what it does.
   *
   * @returns undefined if nothing is in the way that can be seen so early
   */
  foresee?(): Obstacle | undefined;
  /** Tells the sidecar to quit; repeats failed attempts itself, as `context` allows. */
  stop(context: HookContext): Promise<Stop>;
  /**
   * Looks once, without side effects, whether anything still listens at the address that was told to
   * quit, for `--confirm`. Without it, nothing can be seen of the sidecar's end.
   */
  isListening?(context: HookContext): Promise<boolean>;
}

/**
 * Any number of sidecars under one name: whichever of them are there are stopped. Each is tracked by
 * itself, and the log says nothing about those that never come.
 */
export interface HookGroup {
  /** What the operator calls the group; it is part of its log lines. */
  readonly name: string;
  /** Where the sidecars are told to quit, for people to read. */
  readonly address: string;
  /** A hook for each sidecar that may be there. */
  readonly candidates: readonly SidecarHook[];
}

/**
 * What is wrong with the settings of these hooks, each problem once.
 *
 * @example
 * ```ts
 * import { envoy, hookProblems } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(hookProblems([envoy()]), []);
 * ```
 */
export function hookProblems(hooks: readonly Awaitable[]): readonly string[] {
  const all = hooks.filter(isHook)
    .flatMap((hook) => "candidates" in hook ? hook.candidates : [hook]);
  return [...new Set(all.flatMap(({ problems = [] }) => problems))];
}

/** What a job stops: one sidecar, or whichever sidecars of a group are there. */
export type Hook = SidecarHook | HookGroup;

/** What a job can wait for: a condition, or the readiness of sidecars. */
export type Awaitable = Condition | Hook;

/**
 * Whether this is a hook, and not only a condition.
 *
 * @example
 * ```ts
 * import { isHook, istio, tcpReady } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals([isHook(istio()), isHook(tcpReady({ address: "db:5432" }))], [true, false]);
 * ```
 */
export function isHook(awaitable: Awaitable): awaitable is Hook {
  return "stop" in awaitable || "candidates" in awaitable;
}
