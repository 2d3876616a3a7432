/**
 * The options of the library's functions. The defaults are those of the table of options.
 *
 * @module
 */

import type { Awaitable, Hook } from "../hook.ts";
import type { Logger } from "../log/log.ts";
import {
  impliedDefaults,
  INJECTED_WINDOW_MS,
  JOB_OPTIONS,
  type JobSettings,
  readAll,
} from "../options.ts";
import { environmentVariable } from "../platform/mod.ts";
import type { SignalRewrites } from "../platform/signals.ts";

/** When hooks run: always, only if COMMAND's exit code is 0, or only if it is not. */
export type RunHooksOn = "always" | "success" | "failure";

/** What happens if the sidecars are not ready in time: fail with 125, or start COMMAND anyway. */
export type OnWaitTimeout = "fail" | "start";

/** What happens to the processes that COMMAND leaves behind, before the hooks run. */
export type OnLeftovers = "ignore" | "wait" | "end";

/**
 * How hooks are run. Every field has a default.
 *
 * @example
 * ```ts
 * import { type HookOptions, istio, run, stopSidecars } from "@k8s-job/wrapper";
 *
 * const limits: HookOptions = { requestTimeoutMs: 2000, shutdownTimeoutMs: 10_000, retries: 3 };
 * await run(["true"], { ...limits, hooks: [istio()] });
 * await stopSidecars([istio()], limits);
 * ```
 */
export interface HookOptions {
  /**
   * How long after this process's own start a sidecar that has never answered is still expected, in
   * milliseconds.
   *
   * @default 30000 in a Kubernetes pod, where `KUBERNETES_SERVICE_HOST` is set, else 0
   */
  readonly startupWindowMs?: number;
  /**
   * Whether the pod has a sidecar, where that is known: `false`, none comes, so that none is expected
   * or waited for; `true`, at least one comes, which is expected for 10 minutes if `startupWindowMs` is
   * not set. Once one was seen, the others are expected for the ordinary window.
   *
   * @default undefined, which is not known
   */
  readonly injected?: boolean | undefined;
  /**
   * One attempt at one request, in milliseconds; at least 1.
   *
   * @default 5000
   */
  readonly requestTimeoutMs?: number;
  /**
   * The time limit for a hook once its sidecar is there, retries included, in milliseconds; at
   * least 1.
   *
   * @default 15000
   */
  readonly shutdownTimeoutMs?: number;
  /**
   * How long to look, after the stop request was accepted, until nobody listens at the sidecar's address
   * any more, in milliseconds. The outcome is then `gone` or `still-listening`.
   *
   * @default 0, which is not at all
   */
  readonly confirmMs?: number;
  /**
   * Further attempts after the first.
   *
   * @default 10
   */
  readonly retries?: number;
  /**
   * Receives the log entries.
   *
   * @default silentLogger
   */
  readonly log?: Logger;
}

/**
 * How a command is run. Every field has a default.
 *
 * @example
 * ```ts
 * import { istio, run, type RunOptions } from "@k8s-job/wrapper";
 *
 * const options: RunOptions = {
 *   hooks: [istio()],
 *   timeoutMs: 60 * 60_000,
 *   killAfterMs: 10_000,
 *   strict: true,
 * };
 * console.log((await run(["true"], options)).exitCode);
 * ```
 */
export interface RunOptions extends HookOptions {
  /**
   * What to stop when COMMAND has ended.
   *
   * @default none
   */
  readonly hooks?: readonly Hook[];
  /**
   * When hooks run.
   *
   * @default "always"
   */
  readonly on?: RunHooksOn;
  /**
   * How many containers of this pod run under a wrapper side by side and share its sidecars: only the
   * last of them to end stops them. Not on Node.
   *
   * @default 1
   */
  readonly containers?: number;
  /**
   * A folder that these containers share, if there are several.
   *
   * @default "/run/wrapper"
   */
  readonly sharedDir?: string;
  /**
   * What to wait for before COMMAND, if `waitMs` is not 0: hooks, for their sidecars' readiness, and
   * conditions such as {@linkcode tcpReady}'s. Of these, only what is in `hooks` too is told to quit.
   *
   * @default hooks
   */
  readonly waitFor?: readonly Awaitable[];
  /**
   * How long to wait until all of that is ready before COMMAND starts, in milliseconds.
   *
   * @default 0, which is not at all, or 300000 if `waitFor` has anything
   */
  readonly waitMs?: number;
  /**
   * What happens if they are not ready in that time.
   *
   * @default "fail"
   */
  readonly onWaitTimeout?: OnWaitTimeout;
  /**
   * Files of `KEY=VALUE` lines, read when COMMAND is about to start, whose variables it gets in addition
   * to this process's own; the last one wins. COMMAND is looked up on the PATH that results.
   *
   * @default none
   */
  readonly envFile?: readonly string[];
  /**
   * The time limit for COMMAND, in milliseconds: then SIGTERM, and exit code 124.
   *
   * @default 0, which is without a limit
   */
  readonly timeoutMs?: number;
  /**
   * SIGKILL this many milliseconds after a SIGTERM, SIGINT or SIGQUIT was passed on.
   *
   * @default 0, which is never
   */
  readonly killAfterMs?: number;
  /**
   * Whether signals go to COMMAND's whole process group. It then leads a session and a group of its
   * own, whatever `forwardSignals` is, and on a terminal too.
   *
   * @default false
   */
  readonly processGroup?: boolean;
  /**
   * What happens to the processes that COMMAND leaves behind, in its session or fallen to this process
   * as orphans, before the hooks run: nothing; they are waited for, and get the signals; or they are
   * ended by SIGTERM, and SIGKILL after `killAfterMs` or 5 s.
   *
   * @default "ignore", which is "end" with `processGroup`
   */
  readonly leftovers?: OnLeftovers;
  /**
   * The signal that COMMAND gets in place of one that came; null drops it. That of the time limit and
   * of an abort is replaced too, but never dropped. What a terminal gave to the whole process group
   * stays as it is.
   *
   * @default none
   */
  readonly rewrite?: SignalRewrites;
  /**
   * Whether the status of orphans is collected, so that no zombie stays: for PID 1, or for a process
   * that wants the orphans among its descendants. Not for a process that starts other commands
   * by other means than {@linkcode run}. Without it, `leftovers` reaches COMMAND's session only.
   *
   * @default false, which is true if `leftovers` is given and not "ignore"
   */
  readonly reap?: boolean;
  /**
   * Exit codes of COMMAND, from 1 to 255, that count as success: the job's is 0 then. 128 + N is the
   * code of a COMMAND that signal N ended. They never change a code of the job's own, such as 124 of
   * the time limit.
   *
   * @default none
   */
  readonly successCodes?: readonly number[];
  /**
   * Whether a hook that fails turns COMMAND's exit code 0 into 125.
   *
   * @default false
   */
  readonly strict?: boolean;
  /**
   * Where a summary of the job is written at its end: one JSON line of at most 4,096 bytes.
   * Kubernetes shows what a container has left in `/dev/termination-log`.
   *
   * @default none
   */
  readonly terminationLog?: string;
  /**
   * Whether the signals that this process gets are passed on to COMMAND. It then leads a session and
   * a process group of its own, unless this process has a controlling terminal.
   *
   * @default false
   */
  readonly forwardSignals?: boolean;
  /**
   * When it is aborted, the job ends as if SIGTERM had come: COMMAND is not started (exit code 143),
   * or gets SIGTERM if it runs already, and then the hooks run. From then on no sidecar is expected
   * that has not been seen; those that were are stopped within their limits.
   */
  readonly signal?: AbortSignal;
}

/** How sidecars are stopped without a command. Every field has a default. */
export interface StopSidecarsOptions extends HookOptions {
  /**
   * Whether a first SIGTERM or SIGINT leaves this process alive until the hooks are done; a second
   * one ends them at once.
   *
   * @default false
   */
  readonly catchSignals?: boolean;
  /** When it is aborted, hooks that are not done are given up: their outcome is `failed`. */
  readonly signal?: AbortSignal;
}

/** The options with their defaults filled in. */
export interface ResolvedOptions extends JobSettings {
  /** The startup window of the other sidecars, once one was seen. */
  readonly furtherWindowMs: number;
  /** The startup window of the pod's other work containers. */
  readonly containersWindowMs: number;
}

/** Fills in the defaults. */
export function resolveOptions(
  options: Partial<JobSettings> & Pick<RunOptions, "waitFor">,
): ResolvedOptions {
  const given: Partial<JobSettings> = options;
  const isSet = (key: keyof JobSettings) => given[key] !== undefined;
  const own = readAll<JobSettings>(JOB_OPTIONS, (key) => {
    const { libraryDefault, defaultValue } = JOB_OPTIONS[key];
    return given[key] ?? libraryDefault ?? defaultValue(environmentVariable);
  });
  const settings = {
    ...own,
    ...impliedDefaults(own, isSet, (options.waitFor?.length ?? 0) > 0),
    // `processGroup` alone does not make this process the parent of orphans.
    ...(isSet("leftovers") && !isSet("reap") && { reap: own.leftovers !== "ignore" }),
    furtherWindowMs: own.startupWindowMs,
    containersWindowMs: isSet("startupWindowMs") ? own.startupWindowMs : INJECTED_WINDOW_MS,
  };
  return settings.injected === false
    ? { ...settings, startupWindowMs: 0, furtherWindowMs: 0 }
    : settings;
}
