/**
 * The life of a job, from top to bottom.
 *
 * @module
 */

import { startCommand, StartError } from "./command.ts";
import type { Hook, JobSummary } from "./hook.ts";
import { type Logger, type Report, reportTo, silentLogger } from "./log.ts";
import { type HookOutcome, keepTrack, type Sidecar, sleep } from "./sidecar.ts";
import { asksToEnd, catchSignals, exitCodeOf, noSignals, type Signals } from "./signals.ts";

/** How hooks are run. Every field has a default. */
export interface HookOptions {
  /**
   * How long a sidecar that has never answered is still expected, in milliseconds from the call.
   *
   * @default 0
   */
  readonly startupWindowMs?: number;
  /**
   * One attempt at one request, in milliseconds.
   *
   * @default 5000
   */
  readonly requestTimeoutMs?: number;
  /**
   * The whole of a hook once its sidecar is there, retries included, in milliseconds.
   *
   * @default 15000
   */
  readonly shutdownTimeoutMs?: number;
  /**
   * Further attempts after the first.
   *
   * @default 10
   */
  readonly retries?: number;
  /**
   * Takes the log lines.
   *
   * @default silentLogger
   */
  readonly log?: Logger;
}

/** When hooks run: after every end of COMMAND, only after exit code 0, or only after another. */
export type RunHooksOn = "always" | "success" | "failure";

/** What follows when the sidecars are not ready in time: fail with 125, or start COMMAND anyway. */
export type OnWaitTimeout = "fail" | "start";

/** How a command is run. Every field has a default. */
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
   * Whether a hook that fails makes 125 of COMMAND's exit code 0.
   *
   * @default false
   */
  readonly strict?: boolean;
  /**
   * Whether the signals that this process gets go on to COMMAND.
   *
   * @default false
   */
  readonly forwardSignals?: boolean;
  /** When it is aborted, COMMAND gets SIGTERM and the hooks run. */
  readonly signal?: AbortSignal;
}

/** What came of a job. */
export interface RunResult extends JobSummary {
  /** Whether COMMAND's time limit ended it. */
  readonly timedOut: boolean;
  /** Each hook's outcome, in the order of the hooks; empty if they did not run. */
  readonly hooks: readonly HookOutcome[];
}

/** COMMAND's part of the result. */
type CommandResult = JobSummary & { readonly timedOut: boolean };

/** The exit code where the wrapper itself failed. */
const WRAPPER_FAILED = 125;
/** The exit code where the time limit ended COMMAND, as coreutils' `timeout` has it. */
const TIMED_OUT = 124;

/**
 * Runs a command, then stops its sidecars.
 *
 * It never throws and never ends the process: whatever happens is in the result, and the hooks run.
 *
 * @param command COMMAND's words; the first is looked up on PATH
 * @param options what to stop, and the limits
 *
 * @example
 * ```ts
 * import { run } from "./run.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const result = await run(["sh", "-c", "exit 7"]);
 * assertEquals(result.exitCode, 7);
 * ```
 */
export async function run(
  command: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const log = reportTo(options.log ?? silentLogger);
  const signals = options.forwardSignals ? catchSignals() : noSignals;
  const sidecars = track(options.hooks ?? [], options, log);
  try {
    const ended = await waitForSidecars(sidecars, command, options, signals, log) ??
      await runCommand(sidecars, command, options, signals, log);
    if (!hooksWanted(ended.exitCode, options.on ?? "always", log)) return { ...ended, hooks: [] };
    const hooks = await stopSidecars(sidecars, ended, signals, log);
    return { ...ended, exitCode: strictExitCode(ended.exitCode, hooks, options, log), hooks };
  } finally {
    signals.release();
  }
}

/**
 * Stops sidecars, without a command: for a job that knows itself when it is over.
 *
 * @param hooks what to stop
 * @param options the limits
 * @param job what the hooks may tell about the job
 * @returns each hook's outcome, in the order of the hooks
 *
 * @example
 * ```ts
 * import { quit } from "./run.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await quit([]), []);
 * ```
 */
export async function quit(
  hooks: readonly Hook[],
  options: HookOptions & Pick<RunOptions, "forwardSignals"> = {},
  job: JobSummary = { command: "", exitCode: 0, durationMs: 0 },
): Promise<readonly HookOutcome[]> {
  const log = reportTo(options.log ?? silentLogger);
  const signals = options.forwardSignals ? catchSignals() : noSignals;
  try {
    return await stopSidecars(track(hooks, options, log), job, signals, log);
  } finally {
    signals.release();
  }
}

function track(
  hooks: readonly Hook[],
  options: HookOptions,
  log: Report,
): readonly Sidecar[] {
  const limits = {
    windowEndMs: performance.now() + (options.startupWindowMs ?? 0),
    requestTimeoutMs: options.requestTimeoutMs ?? 5000,
    shutdownTimeoutMs: options.shutdownTimeoutMs ?? 15_000,
    retries: options.retries ?? 10,
  };
  return hooks.map((hook) => keepTrack(hook, limits, log));
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
  const waitMs = options.waitMs ?? 0;
  if (waitMs === 0 || sidecars.length === 0) return undefined;

  const startMs = performance.now();
  const names = (list: readonly Sidecar[]) => list.map(({ name }) => name).join(", ");
  const stopped = new AbortController();
  const over = AbortSignal.any([stopped.signal, AbortSignal.timeout(waitMs)]);
  let interruptedBy: number | undefined;
  const interrupt = (exitCode: number, signal: string) => {
    interruptedBy ??= exitCode;
    log("wait-interrupted", { signal, code: exitCode });
    stopped.abort();
  };
  signals.listen((signal) => {
    // What does not ask to end is for COMMAND, once it runs.
    if (!asksToEnd(signal)) return false;
    interrupt(exitCodeOf(signal), signal);
    return true;
  });
  const onAbort = () => interrupt(143, "abort");
  options.signal?.addEventListener("abort", onAbort, { once: true });

  log("wait-started", { limitMs: waitMs, hooks: names(sidecars) });
  const ready = await Promise.all(sidecars.map((sidecar) => becomesReady(sidecar, over)));
  options.signal?.removeEventListener("abort", onAbort);
  signals.hold();

  const notStarted = (exitCode: number): CommandResult => ({
    command: command[0] ?? "",
    exitCode,
    durationMs: 0,
    timedOut: false,
  });
  if (interruptedBy !== undefined) return notStarted(interruptedBy);
  const late = sidecars.filter((_, index) => !ready[index]);
  if (late.length === 0) {
    log("wait-ended", { hooks: names(sidecars), durationMs: performance.now() - startMs });
    return undefined;
  }
  const fail = (options.onWaitTimeout ?? "fail") === "fail";
  const consequence = fail ? "command not started (exit code 125)" : "command started anyway";
  log("wait-timeout", { limitMs: waitMs, hooks: names(late), consequence });
  return fail ? notStarted(WRAPPER_FAILED) : undefined;
}

async function becomesReady(sidecar: Sidecar, over: AbortSignal): Promise<boolean> {
  for (let pauseMs = 50; !over.aborted; pauseMs = Math.min(pauseMs * 2, 1000)) {
    if ((await sidecar.look(over)).state === "ready") return true;
    await sleep(pauseMs, over);
  }
  return false;
}

/** Then: runs COMMAND to its end, and looks out for the sidecars meanwhile. */
async function runCommand(
  sidecars: readonly Sidecar[],
  command: readonly string[],
  options: RunOptions,
  signals: Signals,
  log: Report,
): Promise<CommandResult> {
  const startMs = performance.now();
  const name = command[0] ?? "";
  const lookOut = new AbortController();
  try {
    const running = startCommand(command, {
      timeoutMs: options.timeoutMs ?? 0,
      killAfterMs: options.killAfterMs ?? 0,
      processGroup: options.processGroup ?? false,
    }, log);
    signals.listen((signal) => {
      running.send(signal);
      return true;
    });
    if (options.signal?.aborted) running.send("SIGTERM");
    options.signal?.addEventListener("abort", () => running.send("SIGTERM"), {
      signal: lookOut.signal,
    });
    for (const sidecar of sidecars) sidecar.lookOut(lookOut.signal);

    const { code, signal, timedOut } = await running.end;
    const exitCode = timedOut ? TIMED_OUT : code;
    const durationMs = performance.now() - startMs;
    log("command-ended", { code: exitCode, durationMs });
    const { pid } = running;
    return { command: name, exitCode, durationMs, timedOut, pid, ...(signal && { signal }) };
  } catch (error) {
    const exitCode = error instanceof StartError ? error.exitCode : WRAPPER_FAILED;
    const reason = error instanceof Error ? error.message : String(error);
    if (error instanceof StartError) {
      log("command-not-started", { command: name, reason, code: exitCode });
    } else {
      log("internal-error", { reason });
    }
    return { command: name, exitCode, durationMs: 0, timedOut: false };
  } finally {
    lookOut.abort();
  }
}

function hooksWanted(exitCode: number, on: RunHooksOn, log: Report): boolean {
  const wanted = on === "always" || (on === "success") === (exitCode === 0);
  if (!wanted) log("hooks-skipped", { code: exitCode, on });
  return wanted;
}

/** Last: tells all sidecars to quit, at the same time. */
async function stopSidecars(
  sidecars: readonly Sidecar[],
  job: JobSummary,
  signals: Signals,
  log: Report,
): Promise<readonly HookOutcome[]> {
  const givenUp = new AbortController();
  const stopping = sidecars.map((sidecar) => sidecar.stop(job, givenUp.signal));
  signals.listen((signal) => {
    if (signal !== "SIGTERM" && signal !== "SIGINT") return true;
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
