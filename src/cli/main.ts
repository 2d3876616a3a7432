/**
 * The command line as a function: argv and environment in, exit code out.
 *
 * @module
 */

import type { NamedHook } from "../../hooks/preset.ts";
import { DEFAULT_TARGETS, parseHook, PRESETS } from "../../hooks/registry.ts";
import { scuttleHooks } from "../../hooks/scuttle.ts";
import type { Hook } from "../hook.ts";
import { createLogger, createReport, type Logger, type Report } from "../log/log.ts";
import { OPTIONS } from "../options.ts";
import { errorCode, fileErrorReason } from "../platform/errors.ts";
import {
  addUncaughtErrorListener,
  environmentVariable,
  isTerminal,
  runtimeName,
  writeText,
} from "../platform/mod.ts";
import { redact, redactPath } from "../log/redact.ts";
import { run, type RunOptions, stopSidecars } from "../job/run.ts";
import { explain, type Invocation, readInvocation } from "./settings.ts";
import { writeTerminationLog } from "../job/termination_log.ts";
import { BUILD, VERSION } from "./version.ts";

/**
 * What {@linkcode main} can be given beside argv.
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
  /** Hooks of one's own, to be asked for by name; one of a built-in name takes its place. */
  readonly hooks?: readonly NamedHook[];
}

/** The exit code of a usage error, or any other failure of the wrapper's own. */
const WRAPPER_FAILED = 125;

/**
 * Runs the command line.
 *
 * @param args the words after the program's name
 * @param options hooks of one's own
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
  try {
    return await runCommandLine(args, options);
  } catch (error) {
    // This is a defect; the pod must not hang for it.
    const log = createLogger({ level: "info", format: "text" });
    createReport(log)("internal-error", { reason: describe(error) });
    const hooks = DEFAULT_TARGETS.map((target) => parseHook(target, PRESETS));
    await stopSidecars(hooks.filter((hook) => hook !== undefined), { log });
    return WRAPPER_FAILED;
  }
}

async function runCommandLine(args: readonly string[], options: MainOptions): Promise<number> {
  const own = options.hooks ?? [];
  const ownNames = new Set(own.map(({ hookName }) => hookName));
  const presets = [...PRESETS.filter(({ hookName }) => !ownNames.has(hookName)), ...own];
  const invocation = readInvocation(args, environmentVariable);

  // What only some invocations need is loaded by them: reading code takes its time before COMMAND.
  if (invocation.action === "help") return print((await import("./help.ts")).helpText(presets));
  if (invocation.action === "version") return print(versionText());

  const logger = createLogger({
    level: invocation.settings.logLevel,
    format: invocation.settings.logFormat,
  });
  const log = createReport(logger);
  if (invocation.actionArgument !== undefined) {
    // An init container that only copies: there is nothing to stop, whatever is wrong.
    for (const problem of invocation.problems) log("settings-error", { problem });
    if (invocation.problems.length > 0) return WRAPPER_FAILED;
    return await installOrExplain(invocation.actionArgument, log);
  }

  const { hooks, waitFor, problems } = readHooks(invocation, presets);
  for (const problem of problems) log("settings-error", { problem });
  for (const problem of invocation.warnings) log("settings-warning", { problem });
  if (invocation.action === "print-config") {
    if (problems.length > 0) return WRAPPER_FAILED;
    return print((await import("./help.ts")).configText(invocation));
  }
  if (invocation.action === "check") {
    if (problems.length > 0) return WRAPPER_FAILED;
    return await check([...new Set([...hooks, ...waitFor ?? []])], invocation, logger);
  }
  const runOptions = { ...toRunOptions(invocation, hooks, logger), ...(waitFor && { waitFor }) };
  if (problems.length > 0) {
    // A typo must not leave the pod hanging.
    const command = redactPath(invocation.command[0] ?? "");
    const job = { command, exitCode: WRAPPER_FAILED, durationMs: 0 };
    if (command !== "") {
      log("command-not-started", { command, reason: "the settings are wrong", code: job.exitCode });
    }
    const outcomes = await stopSidecars(hooks, { ...runOptions, catchSignals: true }, job);
    if (runOptions.terminationLog) {
      const result = { ...job, timedOut: false, hooks: outcomes };
      writeTerminationLog(runOptions.terminationLog, result, log, problems);
    }
    return WRAPPER_FAILED;
  }
  return await runToTheEnd(invocation.command, runOptions, log);
}

/** Whatever goes wrong in the wrapper itself, COMMAND runs to its end and the hooks run. */
async function runToTheEnd(
  command: readonly string[],
  options: RunOptions,
  log: Report,
): Promise<number> {
  let failed = false;
  function fail(error: unknown) {
    failed = true;
    log("internal-error", { reason: describe(error) });
  }
  const stopListening = addUncaughtErrorListener(fail);
  try {
    const { exitCode } = await run(command, options);
    return failed ? WRAPPER_FAILED : exitCode;
  } catch (error) {
    fail(error);
    const job = { command: command[0] ?? "", exitCode: WRAPPER_FAILED, durationMs: 0 };
    await stopSidecars(options.hooks ?? [], { ...options, catchSignals: true }, job);
    return WRAPPER_FAILED;
  } finally {
    stopListening();
  }
}

/** An error with the place where it was thrown, on one line. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return redact(String(error));
  const place = /\n\s+(at .*)/.exec(error.stack ?? "")?.[1];
  return redact(`${error.name}: ${error.message}${place === undefined ? "" : ` ${place}`}`);
}

/** The hooks whose TARGETs can be read; the default one if none can. */
function readHooks(
  invocation: Invocation,
  presets: readonly NamedHook[],
): {
  readonly hooks: readonly Hook[];
  readonly waitFor?: readonly Hook[];
  readonly problems: readonly string[];
} {
  const problems = [...invocation.problems];
  if (invocation.scuttle !== undefined) return { ...scuttleHooks(invocation.scuttle), problems };
  const hooks: Hook[] = [];
  const origin = invocation.origins.get("hook") ?? "default";
  const targets = invocation.settings.hook;
  let read = 0;
  for (const [index, target] of targets.entries()) {
    try {
      const hook = parseHook(target, presets);
      if (hook !== undefined) hooks.push(hook);
      read++;
    } catch (error) {
      const expected = error instanceof Error ? error.message : "";
      // A blank or a comma in a password or a query splits the variable in the middle of a secret.
      const hide = origin === OPTIONS.hook.variable && targets.some((text) => /[?#@]/.test(text));
      problems.push(
        hide
          ? `${origin}, TARGET ${index + 1} of ${targets.length}: ${expected}`
          : explain(origin, target, expected),
      );
    }
  }
  if (read > 0) return { hooks, problems };
  const defaults = DEFAULT_TARGETS.map((target) => parseHook(target, presets));
  return { hooks: defaults.filter((hook) => hook !== undefined), problems };
}

function toRunOptions({ settings }: Invocation, hooks: readonly Hook[], log: Logger): RunOptions {
  return {
    hooks,
    log,
    forwardSignals: true,
    on: settings.on,
    waitMs: settings.wait,
    onWaitTimeout: settings.onWaitTimeout,
    startupWindowMs: settings.startupWindow,
    requestTimeoutMs: settings.requestTimeout,
    shutdownTimeoutMs: settings.shutdownTimeout,
    retries: settings.retries,
    strict: settings.strict,
    timeoutMs: settings.timeout,
    killAfterMs: settings.killAfter,
    processGroup: settings.processGroup,
    reap: settings.reap,
    terminationLog: settings.terminationLog,
  };
}

async function check(
  hooks: readonly Hook[],
  { settings }: Invocation,
  log: Logger,
): Promise<number> {
  const [{ checkAll }, { checkLines, checkTable }] = await Promise.all([
    import("../job/check.ts"),
    import("./help.ts"),
  ]);
  const checks = await checkAll(hooks, { requestTimeoutMs: settings.requestTimeout, log });
  const color = isTerminal("stdout") && !environmentVariable("NO_COLOR") &&
    environmentVariable("TERM") !== "dumb";
  print(settings.logFormat === "json" ? checkLines(checks) : checkTable(checks, { color }));
  return checks.every(({ state }) => state === "ready") ? 0 : 1;
}

async function installOrExplain(path: string, log: Report): Promise<number> {
  const { install } = await import("./install.ts");
  try {
    return print(`${install(path)}\n`);
  } catch (error) {
    log("install-failed", { path: redactPath(path), reason: fileErrorReason(error) });
    return WRAPPER_FAILED;
  }
}

function versionText(): string {
  return `wrapper ${VERSION} (${runtimeName()}, ${BUILD})\n`;
}

function print(text: string): number {
  try {
    writeText("stdout", text);
  } catch (error) {
    // Whoever has read enough, as `head` does, need not hear of it.
    if (errorCode(error) !== "EPIPE") throw error;
  }
  return 0;
}
