/**
 * The life of a job, from top to bottom.
 *
 * @module
 */

import { validateCommand, validateHooks, validateOptions } from "./validate.ts";
import { startCommand, StartError } from "./command.ts";
import type { Hook, JobSummary } from "../hook.ts";
import { createReport, type Report, silentLogger } from "../log/log.ts";
import { redactPath } from "../log/redact.ts";
import { type HookOptions, type HookOutcome, type Sidecar, trackAll } from "./sidecar.ts";
import { reapOrphans } from "../process/reap.ts";
import {
  ASK_TO_END,
  catchSignals,
  exitCodeOf,
  GIVE_UP_WHEN_REPEATED,
  noSignals,
  type Signals,
} from "../process/signals.ts";
import { stopIfAsked } from "../process/terminal.ts";
import { writeTerminationLog } from "./termination_log.ts";
import { type NotReadyError, waitForAll } from "./wait.ts";

/**
 * When hooks run: after every end of COMMAND, only after exit code 0, or only after another.
 *
 * @example
 * ```ts
 * import { run, type RunHooksOn } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const on: RunHooksOn = "failure";
 * assertEquals((await run(["true"], { on })).hooks, []);
 * ```
 */
export type RunHooksOn = "always" | "success" | "failure";

/**
 * What follows when the sidecars are not ready in time: fail with 125, or start COMMAND anyway.
 *
 * @example
 * ```ts
 * import { envoy, type OnWaitTimeout, run } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * // Nobody listens on this port here.
 * const hooks = [envoy({ baseUrl: "http://127.0.0.1:9" })];
 * const onWaitTimeout: OnWaitTimeout = "start";
 * const { exitCode } = await run(["true"], { hooks, waitMs: 100, onWaitTimeout });
 * assertEquals(exitCode, 0);
 * ```
 */
export type OnWaitTimeout = "fail" | "start";

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
   * What to stop when COMMAND is over.
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
   * What to wait for before COMMAND, if `waitMs` says so.
   *
   * @default hooks
   */
  readonly waitFor?: readonly Hook[];
  /**
   * How long to wait for every sidecar to be ready before COMMAND starts, in milliseconds.
   *
   * @default 0, which is not at all
   */
  readonly waitMs?: number;
  /**
   * What follows when they are not.
   *
   * @default "fail"
   */
  readonly onWaitTimeout?: OnWaitTimeout;
  /**
   * The longest run of COMMAND, in milliseconds: then SIGTERM, and exit code 124.
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
   * Whether COMMAND leads a session of its own, and signals go to its whole process group.
   *
   * @default false
   */
  readonly processGroup?: boolean;
  /**
   * Whether the status of orphans is taken, so that no zombie stays: for PID 1, or for a process that
   * wants the orphans among its descendants. Not for one that starts other commands itself.
   *
   * @default false
   */
  readonly reap?: boolean;
  /**
   * Whether a hook that fails makes 125 of COMMAND's exit code 0.
   *
   * @default false
   */
  readonly strict?: boolean;
  /**
   * Where a summary of the job is written when it is over: one JSON line of at most 4,096 bytes.
   * Kubernetes shows what a container has left in `/dev/termination-log`.
   *
   * @default none
   */
  readonly terminationLog?: string;
  /**
   * Whether the signals that this process gets go on to COMMAND.
   *
   * @default false
   */
  readonly forwardSignals?: boolean;
  /**
   * When it is aborted, the job ends as if SIGTERM had come: before COMMAND has started it is not
   * started (exit code 143), while it runs it gets SIGTERM, and then the hooks run. Once they run,
   * nothing is left to abort: their own limits hold.
   */
  readonly signal?: AbortSignal;
}

/**
 * How hooks are run without a command. Every field has a default.
 *
 * @example
 * ```ts
 * import { istio, stopSidecars, type StopSidecarsOptions } from "@k8s-job/wrapper";
 *
 * const options: StopSidecarsOptions = { shutdownTimeoutMs: 10_000, signal: AbortSignal.timeout(20_000) };
 * console.log(await stopSidecars([istio()], options));
 * ```
 */
export interface StopSidecarsOptions extends HookOptions {
  /**
   * Whether a first SIGTERM or SIGINT leaves this process alive until the hooks are done; a second
   * one gives them up.
   *
   * @default false
   */
  readonly catchSignals?: boolean;
  /** When it is aborted, hooks that are not done are given up: their outcome is `failed`. */
  readonly signal?: AbortSignal;
}

/**
 * What came of a job.
 *
 * @example
 * ```ts
 * import { run, type RunResult } from "@k8s-job/wrapper";
 *
 * const { exitCode, signal, timedOut, hooks, error }: RunResult = await run(["true"]);
 * console.log(exitCode, signal, timedOut, hooks.length, error?.message);
 * ```
 */
export interface RunResult extends JobSummary {
  /** Whether COMMAND's time limit ended it. */
  readonly timedOut: boolean;
  /** Why COMMAND did not run: it could not be started, or the sidecars were not ready in time. */
  readonly error?: StartError | NotReadyError;
  /** Each hook's outcome, in the order of the hooks; empty if they did not run. */
  readonly hooks: readonly HookOutcome[];
}

/** COMMAND's part of the result. */
type CommandResult = Omit<RunResult, "hooks">;

/** The exit code where the wrapper itself failed. */
const WRAPPER_FAILED = 125;
/** The exit code where the time limit ended COMMAND, as coreutils' `timeout` has it. */
const TIMED_OUT = 124;
/** The exit code where the caller aborted before COMMAND was started: that of SIGTERM. */
const ABORTED = 143;

/**
 * Runs a command, then stops its sidecars.
 *
 * It never ends the process, and whatever happens to COMMAND or a sidecar is in the result; the
 * promise is rejected for a wrong argument only, before anything is started.
 *
 * @param command COMMAND's words; the first is looked up on PATH
 * @param options what to stop, and the limits
 * @throws {TypeError} or {RangeError} for a wrong argument
 *
 * @example
 * ```ts
 * import { run } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const result = await run(["sh", "-c", "exit 7"]);
 * assertEquals(result.exitCode, 7);
 * ```
 *
 * @example With a sidecar, a time limit, and a signal of the caller's own
 * ```ts
 * import { istio, run } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const shutdown = new AbortController();
 * const running = run(["sleep", "60"], {
 *   hooks: [istio()],
 *   timeoutMs: 30 * 60_000,
 *   signal: shutdown.signal,
 * });
 * shutdown.abort();
 * const { exitCode, hooks } = await running;
 * assertEquals(exitCode, 143);
 * assertEquals(hooks.map(({ outcome }) => outcome), ["no-sidecar"]);
 * ```
 */
export async function run(
  command: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  validateCommand(command);
  validateOptions(options);
  const log = createReport(options.log ?? silentLogger);
  const signals = options.forwardSignals ? catchSignals() : noSignals;
  const over = new AbortController();
  const hooks = options.hooks ?? [];
  const sidecars = trackAll(hooks, options, log);
  const awaited = options.waitFor?.flatMap((hook) =>
    sidecars[hooks.indexOf(hook)] ?? trackAll([hook], options, log)
  );
  try {
    const ended = await waitForSidecars(awaited ?? sidecars, command, options, signals, log) ??
      await runCommand(sidecars, command, options, signals, over.signal, log);
    const outcomes = hooksWanted(ended.exitCode, options.on ?? "always", log)
      ? await stopAll(sidecars, ended, signals, log)
      : [];
    const exitCode = strictExitCode(ended.exitCode, outcomes, options, log);
    const result = { ...ended, exitCode, hooks: outcomes };
    if (options.terminationLog) writeTerminationLog(options.terminationLog, result, log);
    return result;
  } finally {
    over.abort();
    signals.release();
  }
}

/**
 * Stops sidecars, without a command: for a job that knows itself when it is over.
 *
 * A sidecar that cannot be stopped is an outcome, and no error.
 *
 * @param hooks what to stop
 * @param options the limits
 * @param job what the hooks may tell about the job
 * @returns each hook's outcome, in the order of the hooks
 * @throws {TypeError} or {RangeError} for a wrong argument
 *
 * @example
 * ```ts
 * import { httpHook, stopSidecars } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * await using sidecar = Deno.serve({ port: 0, onListen: () => {} }, () => new Response("bye"));
 * const stop = { url: `http://localhost:${sidecar.addr.port}/quit` };
 * const [outcome] = await stopSidecars([httpHook({ name: "mine", stop })]);
 * assertEquals([outcome?.hook, outcome?.outcome], ["mine", "stopped"]);
 * ```
 */
export async function stopSidecars(
  hooks: readonly Hook[],
  options: StopSidecarsOptions = {},
  job: JobSummary = { command: "", exitCode: 0, durationMs: 0 },
): Promise<readonly HookOutcome[]> {
  validateHooks(hooks);
  validateOptions(options);
  const log = createReport(options.log ?? silentLogger);
  const signals = options.catchSignals ? catchSignals() : noSignals;
  try {
    const sidecars = trackAll(hooks, options, log);
    return await stopAll(sidecars, job, signals, log, options.signal);
  } finally {
    signals.release();
  }
}

/**
 * First: waits until every sidecar is ready.
 *
 * @returns undefined if COMMAND is to be started, else how the job has ended already
 */
async function waitForSidecars(
  sidecars: readonly Sidecar[],
  command: readonly string[],
  options: RunOptions,
  signals: Signals,
  log: Report,
): Promise<CommandResult | undefined> {
  const notStarted = (exitCode: number): CommandResult => ({
    command: redactPath(command[0] ?? ""),
    exitCode,
    durationMs: 0,
    timedOut: false,
  });
  if (options.signal?.aborted) {
    log("command-aborted", { code: ABORTED });
    return notStarted(ABORTED);
  }
  const waitMs = options.waitMs ?? 0;
  if (waitMs === 0 || sidecars.length === 0) return undefined;

  const stopped = new AbortController();
  let interruptedBy: number | undefined;
  const interrupt = (exitCode: number, signal: string) => {
    interruptedBy ??= exitCode;
    log("wait-interrupted", { signal, code: exitCode });
    stopped.abort();
  };
  signals.listen((signal) => {
    if (stopIfAsked(signal)) return true;
    // What does not ask to end is for COMMAND, once it runs.
    if (!ASK_TO_END.has(signal)) return false;
    interrupt(exitCodeOf(signal), signal);
    return true;
  });
  const onAbort = () => interrupt(ABORTED, "abort");
  options.signal?.addEventListener("abort", onAbort, { once: true });

  const error = await waitForAll(sidecars, waitMs, stopped.signal, log);
  options.signal?.removeEventListener("abort", onAbort);
  signals.hold();

  if (interruptedBy !== undefined) return notStarted(interruptedBy);
  if (error === undefined) return undefined;
  const fail = (options.onWaitTimeout ?? "fail") === "fail";
  const consequence = fail ? "command not started (exit code 125)" : "command started anyway";
  const hooks = error.late.map(({ hook, answer }) => `${hook} (${answer})`).join(", ");
  log("wait-timeout", { limitMs: waitMs, hooks, consequence });
  return fail ? { ...notStarted(WRAPPER_FAILED), error } : undefined;
}

/** Then: runs COMMAND to its end, and looks out for the sidecars meanwhile. */
async function runCommand(
  sidecars: readonly Sidecar[],
  command: readonly string[],
  options: RunOptions,
  signals: Signals,
  over: AbortSignal,
  log: Report,
): Promise<CommandResult> {
  const startMs = performance.now();
  const name = redactPath(command[0] ?? "");
  const watch = new AbortController();
  const ended = new AbortController();
  let isLooking = sidecars.length > 0;
  try {
    const running = await startCommand(command, {
      timeoutMs: options.timeoutMs ?? 0,
      killAfterMs: options.killAfterMs ?? 0,
      processGroup: options.processGroup ?? false,
      jobControl: options.forwardSignals ?? false,
    }, log);
    signals.listen((signal, held) => {
      // What came before COMMAND was there, it cannot have from anyone else.
      if (held) running.send(signal);
      else running.pass(signal);
      return true;
    });
    if (options.signal?.aborted) running.send("SIGTERM");
    options.signal?.addEventListener("abort", () => running.send("SIGTERM"), {
      signal: ended.signal,
    });
    if (options.reap) reapOrphans(running, over, log);
    const lookingOut = sidecars.map((sidecar) => sidecar.watch(watch.signal, running.pid));
    Promise.all(lookingOut).then(() => isLooking = false);

    const { code, signal, timedOut } = await running.end;
    const exitCode = timedOut ? TIMED_OUT : code;
    const durationMs = performance.now() - startMs;
    log("command-ended", { code: exitCode, durationMs });
    await running.endGroup();
    const { pid } = running;
    return { command: name, exitCode, durationMs, timedOut, pid, ...(signal && { signal }) };
  } catch (error) {
    if (error instanceof StartError) {
      const { message: reason, exitCode } = error;
      log("command-not-started", { command: name, reason, code: exitCode });
      return { command: name, exitCode, durationMs: 0, timedOut: false, error };
    }
    log("internal-error", { reason: error instanceof Error ? error.message : String(error) });
    return { command: name, exitCode: WRAPPER_FAILED, durationMs: 0, timedOut: false };
  } finally {
    // Every request so far hangs on this signal, so that aborting it would hold up the stop request.
    if (isLooking) watch.abort();
    ended.abort();
  }
}

function hooksWanted(exitCode: number, on: RunHooksOn, log: Report): boolean {
  const wanted = on === "always" || (on === "success") === (exitCode === 0);
  if (!wanted) log("hooks-skipped", { code: exitCode, on });
  return wanted;
}

/** Last: tells all sidecars to quit, at the same time. */
async function stopAll(
  sidecars: readonly Sidecar[],
  job: JobSummary,
  signals: Signals,
  log: Report,
  abort?: AbortSignal,
): Promise<readonly HookOutcome[]> {
  const givenUp = new AbortController();
  const over = abort ? AbortSignal.any([abort, givenUp.signal]) : givenUp.signal;
  const stopping = sidecars.map((sidecar) => sidecar.stop(job, over));
  signals.listen((signal) => {
    if (stopIfAsked(signal)) return true;
    if (!GIVE_UP_WHEN_REPEATED.has(signal)) return true;
    const again = signals.endRequests > 1;
    log(again ? "hooks-interrupted" : "hooks-signal", { signal });
    if (again) givenUp.abort();
    return true;
  });
  return await Promise.all(stopping);
}

function strictExitCode(
  exitCode: number,
  hooks: readonly HookOutcome[],
  options: RunOptions,
  log: Report,
): number {
  const failed = hooks.some(({ outcome }) => outcome === "failed");
  if (!options.strict || exitCode !== 0 || !failed) return exitCode;
  log("strict-failure", {});
  return WRAPPER_FAILED;
}
