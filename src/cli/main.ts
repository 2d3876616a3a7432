/**
 * The command line as a function: argv and environment in, exit code out.
 *
 * @module
 */

import { readNamed } from "../../hooks/named.ts";
import type { NamedHook } from "../../hooks/preset.ts";
import { WRAPPER_FAILED } from "../exit_code.ts";
import { type Awaitable, type Hook, hookProblems, isHook } from "../hook.ts";
import { waitProblems } from "../job/awaited.ts";
import { refuse, run, stopSidecars } from "../job/run.ts";
import { createLogger, createReport, type Logger, type Report } from "../log/log.ts";
import type { LogLevel } from "../log/messages.ts";
import { describeDefect, redactPath } from "../log/redact.ts";
import { linesTaken } from "../log/stderr.ts";
import { DEFAULT_TARGETS, type JobSettings, keysOf, OPTIONS } from "../options.ts";
import { errorCode, fileErrorReason } from "../platform/errors.ts";
import {
  addUncaughtErrorListener,
  environmentVariable,
  isTerminal,
  prepareStderr,
  runtimeName,
  variableIsReadable,
  variableNames,
  writeToStdout,
} from "../platform/mod.ts";
import { keepSignalsCaught } from "../process/signals.ts";
import { couldBeScuttles } from "./scuttle_names.ts";
import { type Invocation, readInvocation, strangers } from "./settings.ts";
import { contradictions, readTargets } from "./targets.ts";
import { BUILD, VERSION } from "./version.ts";

/**
 * What {@linkcode main} can be given in addition to argv.
 *
 * @example
 * ```ts
 * import { httpPreset, main, type MainOptions } from "@k8s-job/wrapper";
 *
 * const mine = httpPreset({
 *   name: "mine",
 *   summary: "our own metrics agent",
 *   baseUrl: "http://localhost:7777",
 *   stop: { path: "/quit" },
 * });
 * const options: MainOptions = { hooks: [mine] };
 * const exitCode = await main(["--hook=mine", "--log-level=error", "true"], options);
 * console.log(exitCode);
 * ```
 */
export interface MainOptions {
  /** Custom hooks that can be asked for by name; one with a built-in name takes its place. */
  readonly hooks?: readonly NamedHook[];
}

/**
 * Runs the command line. Once it has run COMMAND, SIGHUP, SIGINT, SIGQUIT and SIGTERM end this process no
 * more: one that comes late must not take the place of COMMAND's exit code.
 *
 * @param args the words after the program's name
 * @param options custom hooks
 * @returns the exit code; the caller exits with it
 *
 * @example
 * ```ts
 * import { main } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await main(["--hook", "none", "--log-level", "error", "sh", "-c", "exit 3"]), 3);
 * ```
 */
export async function main(args: readonly string[], options: MainOptions = {}): Promise<number> {
  const known: Known = {};
  let hasDefect = false;
  /** The one net for defects of the wrapper: COMMAND runs on to its end, the hooks run, 125. */
  function catchDefect(error: unknown): void {
    hasDefect = true;
    createReport(known.log ?? createLogger())("internal-error", { reason: describeDefect(error) });
  }
  const stopListening = addUncaughtErrorListener(catchDefect);
  try {
    const exitCode = await runCommandLine(args, options, known);
    return hasDefect ? WRAPPER_FAILED : exitCode;
  } catch (error) {
    catchDefect(error);
    const { log = createLogger(), hooks = (await loadTargets([])).defaultHooks() } = known;
    await stopSidecars(hooks, { log, catchSignals: true });
    return WRAPPER_FAILED;
  } finally {
    await linesTaken();
    stopListening();
  }
}

/** What the operator is known to want, in case the wrapper itself fails. */
interface Known {
  log?: Logger;
  hooks?: readonly Hook[];
}

async function runCommandLine(
  args: readonly string[],
  options: MainOptions,
  known: Known,
): Promise<number> {
  if (!variableIsReadable(OPTIONS.hook.variable)) {
    // The default hooks would run in place of the operator's, without a word.
    const problem =
      `${OPTIONS.hook.variable} cannot be read: the permission --allow-env is missing`;
    createReport(createLogger())("settings-error", { problem });
    return WRAPPER_FAILED;
  }
  const custom = options.hooks ?? [];
  const variables = variableNames();
  const couldBeTarget = strangers(variables).length === 0
    ? undefined
    : (await loadTargets(custom)).couldBeTarget;
  // Without the permission to list them, any may be there.
  const mayBeScuttles = variables.length === 0 || variables.some(couldBeScuttles);
  const invocation = readInvocation(args, environmentVariable, {
    variables,
    ...(couldBeTarget && { couldBeTarget }),
    ...(mayBeScuttles && { scuttle: await import("./scuttle.ts") }),
  });
  const { action, actionArgument, settings } = invocation;

  // An action never runs a hook, whatever is wrong.
  if (action !== undefined || invocation.actionIsLost) known.hooks = [];
  // What only some invocations need is loaded by them, because reading code delays COMMAND.
  const isOneAction = !invocation.hasSeveralActions;
  if (action === "help" && isOneAction) {
    const [{ helpText }, { presets }] = await Promise.all([
      import("./help.ts"),
      loadTargets(custom),
    ]);
    return print(helpText(presets));
  }
  if (action === "version" && isOneAction) return print(versionText());

  const write = createLogger({ level: settings.logLevel, format: settings.logFormat });
  // Where a job runs, nothing is written before its signals are caught, as they are at its first
  // entry: past the limit of a file's size (`ulimit -f`), a line ends a process that does not catch
  // SIGXFSZ.
  let early: readonly string[] = [];
  const writeAll: Logger = (entry) => {
    const problems = early;
    early = [];
    for (const problem of problems) createReport(write)("settings-warning", { problem });
    write(entry);
  };
  // The first event brings the early lines, whatever its level is.
  const wants = (level: LogLevel) => early.length > 0 || write.wants?.(level) !== false;
  const log: Logger = Object.assign(writeAll, { wants });
  const report = createReport(log);
  const { hooks, waitFor, problems, warnings } = await readHooks(invocation, custom);
  known.log = log;
  if (invocation.actionIsLost) {
    for (const problem of problems) report("settings-error", { problem });
    return WRAPPER_FAILED;
  }
  if (action === undefined) {
    known.hooks = hooks;
    early = warnings;
    const { hook: _, waitTargets: __, logLevel: ___, logFormat: ____, ...jobSettings } = settings;
    const runOptions = {
      ...withoutDefaults(jobSettings, invocation.origins),
      hooks,
      ...(waitFor && { waitFor }),
      // Others that run must keep their sidecars, however many there are.
      ...(invocation.containersAreLost && { containers: Math.max(settings.containers, 2) }),
      log,
      forwardSignals: true,
    };
    const running = problems.length > 0
      // A typo must not leave the pod hanging.
      ? refuse(invocation.command, problems, runOptions)
      : run(invocation.command, runOptions);
    keepSignalsCaught();
    // COMMAND runs now, or something is waited for. At its end there is at least one line.
    if (settings.logLevel !== "error" && settings.logLevel !== "warn") setTimeout(prepareStderr);
    return (await running).exitCode;
  }
  for (const problem of action === "install" ? [] : warnings) {
    report("settings-warning", { problem });
  }
  const wrong = action === "install" ? invocation.problems : problems;
  for (const problem of wrong) report("settings-error", { problem });
  if (wrong.length > 0) return WRAPPER_FAILED;
  switch (action) {
    case "print-config":
      return print((await import("./help.ts")).configText(invocation));
    case "check":
      return await check(hooks, waitFor ?? [], invocation, log);
    case "install":
      return await installOrExplain(actionArgument ?? "", report);
    case "wrap":
      return await (await import("./wrap.ts")).wrap(
        invocation.wrap,
        report,
        print,
        await loadTargets(custom),
      );
    case "help":
    case "version":
      return WRAPPER_FAILED;
  }
}

/** The settings whose defaults are others here than in the library. */
const OWN_DEFAULTS: ReadonlySet<keyof JobSettings> = new Set(["leftovers", "reap", "waitMs"]);

/**
 * Leaves out what the job decides for itself, when it has seen more, and what it would only check once
 * more, which delays COMMAND.
 */
function withoutDefaults(
  settings: JobSettings,
  origins: Invocation["origins"],
): Partial<JobSettings> {
  const given: { -readonly [Key in keyof JobSettings]?: JobSettings[Key] } = { ...settings };
  for (const key of keysOf(settings)) {
    if (origins.get(key) === "default" && !OWN_DEFAULTS.has(key)) delete given[key];
  }
  return given;
}

/** The hooks of an invocation, and all that is wrong. */
interface HooksRead {
  readonly hooks: readonly Hook[];
  /** What to wait for, if that is something else. */
  readonly waitFor?: readonly Awaitable[];
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

async function readHooks(
  invocation: Invocation,
  custom: readonly NamedHook[],
): Promise<HooksRead> {
  const { settings, hookSource, hookIsLost, scuttle, problems, warnings, origins } = invocation;
  const isDefault = hookSource === "default";
  const isUsual = problems.length === 0 && settings.waitTargets.length === 0 &&
    scuttle === undefined;
  const named = isUsual ? await readNamed(settings.hook, namesOf(custom)) : undefined;
  const all = named === undefined ? await loadTargets(custom) : undefined;
  const stopped = readTargets("hook", invocation, (target) => {
    const hook = named === undefined ? all?.parseHook(target) : named.get(target);
    // Whether this pod has the default sidecar, nobody has said.
    return hook !== undefined && isDefault ? asOptional(hook) : hook;
  });
  const awaited = readTargets("waitTargets", invocation, (target) => {
    const one = all?.parseWaitFor(target);
    // What is told to quit too is the same sidecar, found over the same connection.
    return one !== undefined && isHook(one) ? stopped.read.get(target) ?? one : one;
  });
  const waitFor = settings.waitTargets.length > 0 ? [...awaited.read.values()] : scuttle?.waitFor;
  const read = [...stopped.read.values()];
  const typed = invocation.typedHooks.flatMap((target) => stopped.read.get(target) ?? []);
  const wanted = scuttle?.hooks ?? read;
  const targetProblems = scuttle === undefined ? stopped.problems : [];
  const isLost = hookIsLost || targetProblems.length > 0;
  const hooks = isLost
    ? (all ?? await loadTargets(custom)).withAuto(isDefault ? [] : wanted)
    : wanted;
  const { waitMs, injected } = settings;
  return {
    hooks,
    ...(waitFor && { waitFor }),
    problems: [
      ...problems,
      ...targetProblems,
      ...awaited.problems,
      ...hookProblems([...wanted, ...waitFor ?? []]),
      ...waitProblems({ hooks, waitMs, injected, ...(waitFor && { waitFor }) }),
    ],
    warnings: scuttle === undefined
      ? [...warnings, ...contradictions(origins.get("hook") ?? "default", settings.hook, typed)]
      : warnings,
  };
}

function namesOf(hooks: readonly NamedHook[]): ReadonlySet<string> {
  return new Set(hooks.map(({ hookName }) => hookName));
}

/** Loads everything that is known about TARGETs. */
async function loadTargets(custom: readonly NamedHook[]) {
  const [{ parseHook, parseWaitFor, PRESETS }, { auto }, { couldBeTarget }] = await Promise.all([
    import("../../hooks/registry.ts"),
    import("../../hooks/auto.ts"),
    import("../../hooks/target_hint.ts"),
  ]);
  const customNames = namesOf(custom);
  const presets = [...PRESETS.filter(({ hookName }) => !customNames.has(hookName)), ...custom];
  return {
    presets,
    parseHook: (target: string) => parseHook(target, presets),
    parseWaitFor: (target: string) => parseWaitFor(target, presets),
    couldBeTarget: (text: string) => couldBeTarget(text, presets),
    defaultHooks: () => DEFAULT_TARGETS.flatMap((target) => parseHook(target, presets) ?? []),
    /**
     * Adds `auto`, for the hooks that could not be read: it recognizes what is there before it stops
     * anything.
     */
    withAuto(hooks: readonly Hook[]): readonly Hook[] {
      const rest = presets.filter(({ hookName }) => !hooks.some(({ name }) => name === hookName));
      return [...hooks.filter((hook) => !("candidates" in hook)), auto(rest)];
    },
  };
}

function asOptional(hook: Hook): Hook {
  return "candidates" in hook ? hook : { ...hook, optional: true };
}

async function check(
  hooks: readonly Hook[],
  waitFor: readonly Awaitable[],
  { settings }: Invocation,
  log: Logger,
): Promise<number> {
  const [{ checkAll }, { checkLines, checkTable }] = await Promise.all([
    import("../job/check.ts"),
    import("./help.ts"),
  ]);
  const all = [...new Set([...hooks, ...waitFor])];
  const found = await checkAll(all, { requestTimeoutMs: settings.requestTimeoutMs, log });
  const checks = found.map((check, index) =>
    index < hooks.length ? check : { ...check, isOnlyAwaited: true }
  );
  const color = isTerminal("stdout") && !environmentVariable("NO_COLOR") &&
    environmentVariable("TERM") !== "dumb";
  const text = settings.logFormat === "json" ? checkLines(checks) : checkTable(checks, { color });
  return print(text) || (checks.every(({ state }) => state === "ready") ? 0 : 1);
}

async function installOrExplain(path: string, report: Report): Promise<number> {
  const { install } = await import("./install.ts");
  try {
    return print(`${install(path)}\n`);
  } catch (error) {
    report("install-failed", { path: redactPath(path), reason: fileErrorReason(error) });
    return WRAPPER_FAILED;
  }
}

function versionText(): string {
  return `wrapper ${VERSION} (${runtimeName()}, ${BUILD})\n`;
}

/** Prints what was asked for, and returns the exit code. */
function print(text: string): number {
  try {
    writeToStdout(text);
  } catch (error) {
    // A reader that has read enough, such as `head`, is not an error.
    if (errorCode(error) === "EPIPE") return 0;
    createReport(createLogger())("stdout-failed", { reason: fileErrorReason(error) });
    return WRAPPER_FAILED;
  }
  return 0;
}
