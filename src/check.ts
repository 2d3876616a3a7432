/**
 * `--check`: is every sidecar there, and ready? Nothing is stopped.
 *
 * @module
 */

import { formatDuration } from "./duration.ts";
import type { Hook, Look } from "./hook.ts";
import { reportTo, silentLogger } from "./log.ts";
import { type HookOptions, trackAll } from "./sidecar.ts";

/** What a look at one hook's sidecar found. */
export interface Check {
  /** The hook's name. */
  readonly hook: string;
  /** Where its readiness was asked for. */
  readonly address: string;
  /** `ready`, `present` (it is there and not ready) or `absent`. */
  readonly state: Look["state"];
  /** What was seen, in a few words. */
  readonly answer: string;
  /** How long that took, in milliseconds. */
  readonly durationMs: number;
}

/**
 * Looks once at every hook's sidecar, at all of them at the same time.
 *
 * @param hooks the hooks
 * @param options the limits; only `requestTimeoutMs` and `log` matter
 * @returns one result each, in the order of the hooks
 *
 * @example
 * ```ts
 * import { checkAll } from "./check.ts";
 * import { istio } from "../hooks/istio.ts";
 * import { assertEquals } from "@std/assert";
 *
 * // Nobody listens on this port here.
 * const [check] = await checkAll([istio({ baseUrl: "http://127.0.0.1:9" })]);
 * assertEquals([check?.state, check?.answer], ["absent", "connection refused"]);
 * ```
 */
export async function checkAll(
  hooks: readonly Hook[],
  options: HookOptions = {},
): Promise<readonly Check[]> {
  const sidecars = trackAll(hooks, options, reportTo(options.log ?? silentLogger));
  return await Promise.all(hooks.map(async (hook, index): Promise<Check> => {
    const startMs = performance.now();
    const found = await sidecars[index]?.look(new AbortController().signal);
    return {
      hook: hook.name,
      address: hook.readyAddress ?? hook.address,
      state: found?.state ?? "absent",
      answer: found?.answer ?? "",
      durationMs: Math.round(performance.now() - startMs),
    };
  }));
}

const HEADING = ["HOOK", "READY ADDRESS", "STATE", "ANSWER", "TIME"];
const STATE_COLUMN = HEADING.indexOf("STATE");

const WORDS: Readonly<Record<Look["state"], { readonly word: string; readonly color: number }>> = {
  ready: { word: "ready", color: 32 },
  present: { word: "not ready", color: 33 },
  absent: { word: "absent", color: 31 },
};

/**
 * The results as a table for people.
 *
 * @example
 * ```ts
 * import { checkTable } from "./check.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const address = "http://localhost:9901/ready";
 * const check = { hook: "envoy", address, state: "ready", answer: "200 OK", durationMs: 3 } as const;
 * assertEquals(
 *   checkTable([check], { color: false }),
 *   "HOOK   READY ADDRESS                STATE  ANSWER  TIME\n" +
 *     "envoy  http://localhost:9901/ready  ready  200 OK  3ms\n",
 * );
 * ```
 */
export function checkTable(checks: readonly Check[], options: { readonly color: boolean }): string {
  const rows = [
    HEADING,
    ...checks.map(({ hook, address, state, answer, durationMs }) =>
      [hook, address, WORDS[state].word, answer, formatDuration(durationMs)].map(printable)
    ),
  ];
  const widths = HEADING.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length))
  );
  return rows.map((row, index) => {
    const state = checks[index - 1]?.state;
    const cells = row.map((cell, column) => {
      const padded = cell.padEnd(widths[column] ?? 0);
      const isColored = options.color && column === STATE_COLUMN && state !== undefined;
      return isColored ? `\x1b[${WORDS[state].color}m${padded}\x1b[0m` : padded;
    });
    return `${cells.join("  ").trimEnd()}\n`;
  }).join("");
}

/** The results as JSON for machines, one object a line. */
export function checkLines(checks: readonly Check[]): string {
  return checks.map((check) => `${JSON.stringify(check)}\n`).join("");
}

/** A sidecar's words must not move the cursor of who reads them. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
}
