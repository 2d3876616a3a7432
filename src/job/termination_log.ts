/**
 * The termination log: the result of the job, for `kubectl describe pod` and whatever watches pods.
 *
 * @module
 */

import { fileErrorReason } from "../platform/errors.ts";
import type { Report } from "../log/log.ts";
import { appendTextFile, fileSize, isPipe, readTextFile, writeTextFile } from "../platform/mod.ts";
import { redactPath } from "../log/redact.ts";
import type { RunResult } from "./result.ts";

/** Kubernetes truncates a longer message, and half a JSON object cannot be parsed. */
const MOST_BYTES = 4096;

/** How long a text may be, in characters; the next one is tried when the line is too long. */
const TEXT_LENGTHS = [MOST_BYTES, 400, 100, 30] as const;

/**
 * The summary: one JSON object in a line of at most 4,096 bytes, its line feed included.
 *
 * If that is not enough, texts are cut; if it still is not, hooks are left out, those that failed
 * last, and `hooksOmitted` has their number.
 *
 * @param result the result of the job
 * @param problems what was wrong with the settings
 * @param mostBytes how long the line should be at most
 *
 * @example
 * ```ts
 * import { terminationSummary } from "./termination_log.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const result = { command: "job", exitCode: 3, durationMs: 1500.4, timedOut: false, hooks: [] };
 * assertEquals(
 *   terminationSummary(result),
 *   '{"command":"job","exitCode":3,"durationMs":1500,"timedOut":false,"hooks":[]}\n',
 * );
 * ```
 */
export function terminationSummary(
  result: RunResult,
  problems: readonly string[] = [],
  mostBytes = MOST_BYTES,
): string {
  const fits = (line: string) => new TextEncoder().encode(line).length <= mostBytes;
  const hooks = result.hooks.toSorted((a, b) => rank(a.outcome) - rank(b.outcome));
  for (const textLength of TEXT_LENGTHS) {
    const line = summaryLine(result, problems, { textLength });
    if (fits(line)) return line;
  }
  const textLength = 30;
  for (let kept = hooks.length - 1; kept > 0; kept--) {
    const fewer = { ...result, hooks: hooks.slice(0, kept) };
    const line = summaryLine(fewer, problems.slice(0, 1), {
      textLength,
      hooksOmitted: hooks.length - kept,
    });
    if (fits(line)) return line;
  }
  const none = { ...result, hooks: [] };
  return summaryLine(none, problems.slice(0, 1), { textLength, hooksOmitted: hooks.length });
}

function rank(outcome: string): number {
  return outcome === "failed" ? 0 : 1;
}

function summaryLine(
  result: RunResult,
  problems: readonly string[],
  { textLength, hooksOmitted }: { textLength: number; hooksOmitted?: number },
): string {
  const cut = (text: string) => {
    const characters = [...text];
    return characters.length <= textLength
      ? text
      : `${characters.slice(0, textLength - 1).join("")}…`;
  };
  const hooks = result.hooks.map(({ hook, address, outcome, answer, hint, durationMs }) => ({
    hook: cut(hook),
    address: cut(address),
    outcome,
    answer: cut(answer),
    ...(hint === undefined ? {} : { hint: cut(hint) }),
    durationMs: Math.round(durationMs),
  }));
  const summary = {
    command: cut(result.command),
    exitCode: result.exitCode,
    ...(result.commandExitCode === undefined ? {} : { commandExitCode: result.commandExitCode }),
    ...(result.signal === undefined ? {} : { signal: result.signal }),
    durationMs: Math.round(result.durationMs),
    timedOut: result.timedOut,
    ...(problems.length === 0 ? {} : { problems: problems.map(cut) }),
    hooks,
    ...(hooksOmitted === undefined ? {} : { hooksOmitted }),
  };
  return JSON.stringify(summary) + "\n";
}

/** Writes the summary of a job that has ended. */
export type WriteSummary = (result: RunResult, problems: readonly string[]) => void;

/**
 * Makes an empty file of what stands there from before the job, so that whatever is there at the end is
 * COMMAND's: the reason of a failure, for one. The summary follows after it; if both do not fit, COMMAND's
 * text stays alone. A failure is a warning in the log and nothing else: the job has ended, and its exit
 * code stands.
 *
 * @param path where the summary is written; an empty string is nowhere
 */
export function openTerminationLog(path: string, report: Report): WriteSummary {
  if (path === "") return () => {};
  const isEmptied = emptyFile(path);
  return (result, problems) => {
    try {
      // Opening a pipe without a reader would never return.
      if (isPipe(path)) throw new Error("is a pipe; expected a file");
      const before = isEmptied ? fileSize(path) ?? 0 : 0;
      // In place: Kubernetes mounts this one file, and a mount cannot be renamed over.
      if (before === 0) writeTextFile(path, terminationSummary(result, problems));
      else appendSummary(path, before, result, problems);
    } catch (error) {
      report("termination-log-failed", { path: redactPath(path), reason: fileErrorReason(error) });
    }
  };
}

/** Whether nothing of what stood there is left; what prevents that also prevents the summary. */
function emptyFile(path: string): boolean {
  try {
    if (fileSize(path)) writeTextFile(path, "");
    return true;
  } catch {
    return false;
  }
}

function appendSummary(
  path: string,
  before: number,
  result: RunResult,
  problems: readonly string[],
): void {
  if (before >= MOST_BYTES) return;
  const separator = readTextFile(path).endsWith("\n") ? "" : "\n";
  const roomBytes = MOST_BYTES - before - separator.length;
  const summary = terminationSummary(result, problems, roomBytes);
  if (new TextEncoder().encode(summary).length <= roomBytes) {
    appendTextFile(path, separator + summary);
  }
}
