/**
 * The life of a job, from top to bottom.
 *
 * @module
 */

import { TIMED_OUT, WRAPPER_FAILED } from "../exit_code.ts";
import { type Hook, hookProblems, isHook, type JobSummary, type SidecarHook } from "../hook.ts";
import { createLogger, createReport, type Report, silentLogger } from "../log/log.ts";
import { describeDefect, redactCommand } from "../log/redact.ts";
import { linesTaken } from "../log/stderr.ts";
import { adoptOrphans, reapOrphans } from "../process/reap.ts";
import {
  ASK_TO_END,
  catchSignals,
  exitCodeAfter,
  GIVE_UP_WHEN_REPEATED,
  noSignals,
  type Signals,
} from "../process/signals.ts";
import { stopIfAsked } from "../process/terminal.ts";
import { sleep } from "../time.ts";
import { type Awaited, awaitedOf, trackAwaited, waitProblems } from "./awaited.ts";
import { type Armed, noneArmed } from "./armed.ts";
import { type RunningCommand, startCommand } from "./command.ts";
import {
  describeLate,
  isSettingsError,
  type NotReadyError,
  PodError,
  StartError,
} from "./errors.ts";
import {
  type ResolvedOptions,
  resolveOptions,
  type RunHooksOn,
  type RunOptions,
  type StopSidecarsOptions,
} from "./options.ts";
import type { Pod } from "./pod.ts";
import type { CommandResult, HookOutcome, RunResult } from "./result.ts";
import type { Sidecar } from "./sidecar.ts";
import { trackAll } from "./sidecars.ts";
import { openTerminationLog, type WriteSummary } from "./termination_log.ts";
import { validateCommand, validateHooks, validateOptions } from "./validate.ts";
import { waitForAll } from "./wait.ts";

/**
 * Runs a command, then stops its sidecars.
 *
 * It never ends the process, and whatever happens to COMMAND or a sidecar is in the result. The
 * promise is rejected only for a wrong argument, before anything is started.
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
 * @example With a sidecar, a time limit, and an AbortSignal
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
  const [problem] = [
    ...hookProblems([...options.hooks ?? [], ...options.waitFor ?? []]),
    ...waitProblems(options),
  ];
  if (problem !== undefined) throw new TypeError(problem);
  const job = prepareJob(command, options);
  let pod: Pod | undefined;
  let result: CommandResult;
  try {
    for (const sidecar of job.sidecars) sidecar.foresee();
    pod = await joinOtherContainers(job);
    result = await waitForSidecars(job) ?? await runCommand(job);
  } catch (error) {
    if (isSettingsError(error)) {
      result = { ...refused(job, [error.message]), error };
    } else {
      // A defect of the wrapper: a sidecar that nothing stops leaves the pod hanging.
      job.report("internal-error", { reason: describeDefect(error) });
      result = withoutRun(job, WRAPPER_FAILED);
    }
  }
  const problems = isSettingsError(result.error) ? [result.error.message] : [];
  return await conclude(job, result, pod, problems);
}

/**
 * Before everything else: makes itself known to the other work containers of the pod, if there are any.
 *
 * @throws {PodError} if the folder that they share cannot be used
 */
async function joinOtherContainers(job: Job): Promise<Pod | undefined> {
  const { settings, askedToEnd, report } = job;
  if (settings.containers === 1) return undefined;
  const { enterPod } = await import("./pod.ts");
  return await enterPod({ ...settings, askedToEnd, report });
}

/**
 * First: waits until everything that COMMAND needs is ready.
 *
 * @returns undefined if COMMAND is to be started, else how the job has ended already
 */
async function waitForSidecars(job: Job): Promise<CommandResult | undefined> {
  const { settings: { waitMs, onWaitTimeout }, awaited, signals, abort, report } = job;
  if (abort.aborted) {
    const code = exitCodeAfter("SIGTERM");
    report("command-aborted", { code });
    return withoutRun(job, code);
  }
  if (waitMs === 0) return undefined;
  if (job.waitsForNothing) {
    report("wait-for-nothing", {
      hooks: job.sidecars.map(({ name }) => name).join(", ") || "none",
    });
  }
  if (awaited.length === 0) return undefined;

  const interruption = new AbortController();
  let interruptedBy: number | undefined;
  const interrupt = (code: number, signal: string) => {
    interruptedBy ??= code;
    report("wait-interrupted", { signal, code });
    interruption.abort();
  };
  signals.listen((signal) => {
    if (stopIfAsked(signal)) return true;
    // What does not ask to end is for COMMAND, once it runs.
    if (!ASK_TO_END.has(signal)) return false;
    interrupt(exitCodeAfter(signal), signal);
    return true;
  });
  const onAbort = () => interrupt(exitCodeAfter("SIGTERM"), "abort");
  abort.addEventListener("abort", onAbort);
  let error: NotReadyError | undefined;
  try {
    error = await waitForAll(awaited, waitMs, interruption.signal, report);
  } finally {
    abort.removeEventListener("abort", onAbort);
    signals.hold();
  }

  if (interruptedBy !== undefined) return withoutRun(job, interruptedBy);
  if (error === undefined) return undefined;
  const fails = onWaitTimeout === "fail";
  const consequence = fails
    ? `command not started (exit code ${WRAPPER_FAILED})`
    : "command started anyway";
  report("wait-timeout", { limitMs: waitMs, hooks: describeLate(error.late), consequence });
  return fails ? { ...withoutRun(job, WRAPPER_FAILED), error } : undefined;
}

/** Then: runs COMMAND to its end, and looks for the sidecars meanwhile. */
async function runCommand(job: Job): Promise<CommandResult> {
  const { command, settings, sidecars, signals, abort, report } = job;
  const startMs = performance.now();
  const watching = new AbortController();
  const commandEnded = new AbortController();
  let isWatching = sidecars.length > 0;
  let commandEnd: RunningCommand["end"] | undefined;
  try {
    const variables = await readVariables(settings);
    // Earlier only where no orphan may be missed: it delays COMMAND.
    const early = settings.reap && settings.leftovers !== "ignore";
    let waiter = early ? adoptOrphans(report) : undefined;
    const running = await startCommand(command, {
      ...settings,
      jobControl: job.forwardsSignals,
      onTerminal: signals.onTerminal,
      waiter,
      variables,
    }, report);
    commandEnd = running.end;
    if (settings.reap && !early) waiter = adoptOrphans(report);
    if (waiter !== undefined) reapOrphans(waiter, job.over, report);
    signals.listen((signal, held) => {
      // A signal that came before COMMAND started cannot also have reached it from the terminal.
      if (held) running.send(signal);
      else running.pass(signal);
      return true;
    });
    if (abort.aborted) running.askToEnd();
    abort.addEventListener("abort", () => running.askToEnd(), { signal: commandEnded.signal });
    const { pid } = running;
    const armed = job.armed = await noneArmed();
    const whileRunning = { commandPid: pid, armed, ended: commandEnded.signal, over: job.over };
    const watchAll = async () => {
      await Promise.all(sidecars.map((sidecar) => sidecar.watch(watching.signal, whileRunning)));
      isWatching = false;
      if (!commandEnded.signal.aborted && sidecars.some((sidecar) => sidecar.isSeen())) {
        await rehearseEnd(job);
      }
    };
    watchAll().catch((error) => report("internal-error", { reason: describeDefect(error) }));

    const exit = await running.end;
    const { code, signal, timedOut } = exit;
    const isSuccess = !timedOut && settings.successCodes.includes(code);
    const exitCode = timedOut ? TIMED_OUT : isSuccess ? 0 : code;
    const durationMs = performance.now() - startMs;
    // Before everything else, if nothing else decides whether the sidecars may go.
    const isDecided = settings.leftovers === "ignore" && settings.containers === 1;
    if (isDecided && isWanted(settings.on, exitCode)) {
      const sent = armed.send();
      // COMMAND's process id may be another's now.
      signals.hold();
      commandEnded.abort();
      await sent;
    }
    report("command-ended", { code: timedOut ? TIMED_OUT : code, durationMs });
    if (isSuccess) report("exit-code-accepted", { code });
    await running.settleLeftovers(exit);
    if (running.mayBeOutlived(exit)) job.late.push(() => running.reportOutliving(exit));
    return {
      ...withoutRun(job, exitCode),
      ...(code !== exitCode && { commandExitCode: code }),
      durationMs,
      timedOut,
      pid,
      ...(signal && { signal }),
    };
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    const result = { ...withoutRun(job, error.exitCode), error };
    const { command, exitCode: code } = result;
    report("command-not-started", { command: command || '""', reason: error.message, code });
    return result;
  } finally {
    // After a defect too: COMMAND still needs its sidecars.
    await commandEnd;
    // Every request so far depends on this signal, so that aborting it would delay the stop request.
    if (isWatching) watching.abort();
    commandEnded.abort();
    // Its process id may be another's now.
    signals.hold();
  }
}

/**
 * Reads the files that `--env-file` names, if there are any.
 *
 * @throws {EnvFileError} if one of them cannot be used
 */
async function readVariables(
  { envFile }: ResolvedOptions,
): Promise<Readonly<Record<string, string>> | undefined> {
  if (envFile.length === 0) return undefined;
  const { readEnvFiles } = await import("./env_file.ts");
  return readEnvFiles(envFile);
}

/** More than enough time for the stop requests to leave. */
const REQUEST_LAG_MS = 10;

/** Last: runs the hooks if they are wanted, and sums up. */
async function conclude(
  job: Job,
  command: CommandResult,
  pod: Pod | undefined,
  problems: readonly string[],
): Promise<RunResult> {
  try {
    const [hooks] = await Promise.all([
      runHooks(job, command, problems.length > 0, pod),
      reportLate(job),
    ]);
    const result = { ...command, ...strictExitCode(job, command, hooks), hooks };
    job.writeSummary(result, problems);
    await linesTaken();
    return result;
  } finally {
    pod?.close();
    job.release();
  }
}

/** Reports what is worth a search, which must not delay the stop requests. */
async function reportLate({ late, over }: Job): Promise<void> {
  if (late.length > 0) await sleep(REQUEST_LAG_MS, over);
  for (const report of late) report();
}

/** Tells the sidecars to quit, unless `--on` or another container of the pod keeps them. */
async function runHooks(
  job: Job,
  command: CommandResult,
  wasRefused: boolean,
  pod: Pod | undefined,
): Promise<readonly HookOutcome[]> {
  const { sidecars, report } = job;
  const { exitCode } = command;
  // Whatever `--on` says, a wrong setting must not leave the pod hanging.
  const on = wasRefused ? "always" : job.settings.on;
  if (pod !== undefined) {
    // The decision may take as long as other containers do.
    job.signals.listen((signal) => stopIfAsked(signal) || true);
  }
  const decision = await pod?.end({ succeeded: exitCode === 0, wasRefused }, on) ??
    { kind: isWanted(on, exitCode) ? "stop" : "skip" };
  switch (decision.kind) {
    case "stop":
      await job.armed?.send();
      return await stopAll(sidecars, command, job);
    case "skip":
      report("hooks-skipped", { code: exitCode, on });
      return [];
    case "leave": {
      const others = decision.others === 1
        ? "1 other container"
        : `${decision.others} other containers`;
      report("hooks-left", { others });
      return sidecars.map(({ name, address }) => (
        { hook: name, address, outcome: "left", answer: `left to ${others}`, durationMs: 0 }
      ));
    }
  }
}

/** Whether hooks run after this exit code. */
function isWanted(on: RunHooksOn, exitCode: number): boolean {
  return on === "always" || (on === "success") === (exitCode === 0);
}

/** Tells all sidecars to quit, at the same time. */
async function stopAll(
  sidecars: readonly Sidecar[],
  summary: JobSummary,
  { signals, report }: Pick<Job, "signals" | "report">,
  abort?: AbortSignal,
): Promise<readonly HookOutcome[]> {
  const hurry = new AbortController();
  const givenUp = abort ? AbortSignal.any([abort, hurry.signal]) : hurry.signal;
  const stopping = sidecars.map((sidecar) => sidecar.stop(summary, givenUp));
  signals.listen((signal) => {
    if (stopIfAsked(signal)) return true;
    if (!GIVE_UP_WHEN_REPEATED.has(signal)) return true;
    const again = signals.endRequests > 1;
    report(again ? "hooks-interrupted" : "hooks-signal", { signal });
    if (again) hurry.abort();
    return true;
  });
  return await Promise.all(stopping);
}

/**
 * Goes through the end of a job once, with a sidecar that is not there and lines that nobody gets: V8
 * compiles a function when it first runs, which at the real end takes a millisecond.
 */
async function rehearseEnd(job: Job): Promise<void> {
  const report = createReport(createLogger({ write: () => {} }));
  const hook: SidecarHook = {
    name: "rehearsal",
    address: "",
    probe: () => Promise.resolve({ state: "absent", answer: "" }),
    stop: () => Promise.resolve({ state: "stopped", answer: "" }),
  };
  const settings: ResolvedOptions = { ...job.settings, on: "always", confirmMs: 0 };
  const sidecars = trackAll([hook], settings, new AbortController().signal, report);
  const onStage = { ...job, settings, sidecars, report, signals: noSignals, armed: undefined };
  const command = withoutRun(job, 0);
  report("command-ended", { code: 0, durationMs: 0 });
  strictExitCode(onStage, command, await runHooks(onStage, command, false, undefined));
}

function strictExitCode(
  { settings: { strict }, report }: Job,
  { exitCode, commandExitCode = exitCode }: JobSummary,
  hooks: readonly HookOutcome[],
): Partial<Pick<JobSummary, "exitCode" | "commandExitCode">> {
  const failed = hooks.some(({ outcome }) => outcome === "failed" || outcome === "still-listening");
  if (!strict || exitCode !== 0 || !failed) return {};
  report("strict-failure", {});
  return { exitCode: WRAPPER_FAILED, commandExitCode };
}

/** Everything that the phases of a job share. */
interface Job {
  readonly command: readonly string[];
  readonly settings: ResolvedOptions;
  /** The hooks' sidecars. */
  readonly sidecars: readonly Sidecar[];
  /** What has to be ready before COMMAND starts. */
  readonly awaited: readonly Awaited[];
  /** Whether a wait would be for hooks that have nothing to wait for. */
  readonly waitsForNothing: boolean;
  /** The signals that are for COMMAND; none if they are not forwarded. */
  readonly signals: Signals;
  /** Whether this process exists for COMMAND only. */
  readonly forwardsSignals: boolean;
  /** Aborted when the caller wants the job to end. */
  readonly abort: AbortSignal;
  /** Aborted with it, and at the first SIGTERM or SIGINT: nothing is expected that was not seen. */
  readonly askedToEnd: AbortSignal;
  /** Aborted when the job has ended. */
  readonly over: AbortSignal;
  /** The stop requests that stand ready, once COMMAND runs. */
  armed: Armed | undefined;
  /** What is reported once the stop requests have left. */
  readonly late: (() => void)[];
  /** Stops catching signals and reaping orphans. */
  readonly release: () => void;
  readonly report: Report;
  /** Writes the termination log, if there is one. */
  readonly writeSummary: WriteSummary;
}

function prepareJob(command: readonly string[], options: RunOptions): Job {
  const { hooks = [], forwardSignals = false } = options;
  const report = createReport(options.log ?? silentLogger);
  const settings = resolveOptions(options);
  const ending = new AbortController();
  const abort = options.signal ?? new AbortController().signal;
  const endRequested = new AbortController();
  const askedToEnd = AbortSignal.any([abort, endRequested.signal]);
  const sidecars = trackAll(hooks, settings, askedToEnd, report);
  const wanted = awaitedOf(options);
  const awaited = wanted.flatMap((one) =>
    sidecars[isHook(one) ? hooks.indexOf(one) : -1] ??
      trackAwaited([one], settings, askedToEnd, report)
  );
  const writeSummary = openTerminationLog(settings.terminationLog, report);
  // Last: if anything before this threw, the listeners would stay.
  const signals = forwardSignals ? catchSignals(() => endRequested.abort(), report) : noSignals;
  return {
    command,
    settings,
    sidecars,
    awaited,
    waitsForNothing: options.waitFor === undefined && options.injected !== false &&
      wanted.length === 0,
    signals,
    forwardsSignals: forwardSignals,
    abort,
    askedToEnd,
    over: ending.signal,
    armed: undefined,
    late: [],
    release() {
      ending.abort();
      signals.release();
    },
    report,
    writeSummary,
  };
}

/** The result of a COMMAND that never ran, and what every other result starts from. */
function withoutRun({ command }: Job, exitCode: number): CommandResult {
  return { command: redactCommand(command[0] ?? ""), exitCode, durationMs: 0, timedOut: false };
}

/** Says what is wrong with the settings; COMMAND is not started. */
function refused(job: Job, problems: readonly string[]): CommandResult {
  const result = withoutRun(job, WRAPPER_FAILED);
  for (const problem of problems) job.report("settings-error", { problem });
  if (result.command !== "") {
    const reason = "the settings are wrong";
    job.report("command-not-started", { command: result.command, reason, code: WRAPPER_FAILED });
  }
  return result;
}

/**
 * The life of a job that cannot be run, because its settings are wrong: COMMAND is not started, the
 * sidecars are stopped so that the pod ends, and the exit code is 125.
 *
 * @param command COMMAND's words, if there are any
 * @param problems what is wrong, each a sentence for the operator
 * @param options what to stop, and the limits
 * @throws {TypeError} or {RangeError} for a wrong argument
 *
 * @example
 * ```ts
 * import { refuse } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const { exitCode } = await refuse(["sync"], ["SYNC_TARGET is not set"]);
 * assertEquals(exitCode, 125);
 * ```
 */
export async function refuse(
  command: readonly string[],
  problems: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  // There may be no COMMAND at all.
  if (!Array.isArray(command) || command.length > 0) validateCommand(command);
  validateOptions(options);
  const job = prepareJob(command, options);
  let pod: Pod | undefined;
  const all = [...problems];
  try {
    pod = await joinOtherContainers(job);
  } catch (error) {
    if (!(error instanceof PodError)) throw error;
    all.push(error.message);
  }
  return await conclude(job, refused(job, all), pod, all);
}

/**
 * Stops sidecars, without a command: for a job that decides for itself when it is done.
 *
 * A sidecar that cannot be stopped is an outcome, not an error.
 *
 * @param hooks what to stop
 * @param options the limits
 * @param summary what the hooks may tell about the job
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
  summary: JobSummary = { command: "", exitCode: 0, durationMs: 0 },
): Promise<readonly HookOutcome[]> {
  validateHooks(hooks);
  validateOptions(options);
  const report = createReport(options.log ?? silentLogger);
  const endRequested = new AbortController();
  const sidecars = trackAll(hooks, resolveOptions(options), endRequested.signal, report);
  const signals = options.catchSignals
    ? catchSignals(() => endRequested.abort(), report)
    : noSignals;
  try {
    const outcomes = await stopAll(sidecars, summary, { signals, report }, options.signal);
    await linesTaken();
    return outcomes;
  } finally {
    signals.release();
  }
}
