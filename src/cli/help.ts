/**
 * The texts that the command line prints on request.
 *
 * @module
 */

import type { NamedHook } from "../../hooks/preset.ts";
import { TARGET_FORMS, WAIT_FORMS } from "../../hooks/registry.ts";
import type { Check } from "../job/check.ts";
import { formatDuration } from "../time.ts";
import type { Probe } from "../hook.ts";
import { escapeInvisible, oneLine } from "../log/log.ts";
import {
  ACTIONS,
  keysOf,
  type Option,
  OPTIONS,
  type Settings,
  WRAP_OPTIONS,
  type WrapOption,
} from "../options.ts";
import { redactPath, redactValue } from "../log/redact.ts";
import type { Invocation } from "./settings.ts";

/** The default of an option in words. */
export function defaultText<Value>(option: Option<Value>): string {
  return option.defaultText ?? option.kind.format(option.defaultValue(() => undefined));
}

/** An option as it is typed: `--hook TARGET`. */
export function usage<Value>(option: Option<Value>): string {
  return `--${option.name} ${option.kind.placeholder}`.trimEnd();
}

/** An option of `--wrap` as it is typed: `--image IMAGE`. */
export function wrapUsage({ name, argument }: WrapOption): string {
  return `--${name} ${argument}`;
}

/** `--help`. */
export function helpText(presets: readonly NamedHook[]): string {
  const options: readonly Option<unknown>[] = Object.values(OPTIONS);
  const rows = options.map((option) =>
    `  ${usage(option)}\n      ${option.help}\n      ${option.variable}, default ${
      defaultText(option)
    }`
  );
  const actions = ACTIONS.map(({ name, short, argument, help }) => {
    const form = argument === undefined ? `--${name}` : `--${name} ${argument}`;
    return `  ${short === undefined ? "" : `-${short}, `}${form}\n      ${help}`;
  });
  const wrapRows = WRAP_OPTIONS.map((option) => {
    const { variable, defaultText = "none", help } = option;
    const origin = variable === undefined ? "" : `\n      ${variable}, default ${defaultText}`;
    return `  ${wrapUsage(option)}\n      ${help}${origin}`;
  });
  const formRows = (forms: readonly (readonly [form: string, summary: string])[]) =>
    forms.map(([form, summary]) => `  ${form.padEnd(20)} ${summary}`).join("\n");
  const named = presets.map(({ hookName, summary }) => [hookName, summary] as const);
  return `wrapper runs COMMAND, tells the pod's sidecars to quit when it has ended, and exits with its code.

Usage: wrapper [OPTION...] [--] COMMAND [ARG...]

Options
${[...rows, ...actions, ...wrapRows].join("\n")}

Targets
${formRows([...named, ...TARGET_FORMS])}

Targets of --wait-for
${formRows(WAIT_FORMS)}

Durations: 500ms, 30s, 1m30s, 2h, 1d, 0; a bare number is seconds.
Exit code: COMMAND's own; 128+N if signal N ended it; 124 --timeout; 125 the wrapper failed;
126 COMMAND cannot be executed; 127 COMMAND is not found.
`;
}

/** `--print-config`. */
export function configText({ settings, origins }: Invocation): string {
  const config: Record<string, { value: unknown; from: string }> = {};
  function add<Value>(option: Option<Value>, value: Value, from: string) {
    config[option.name] = {
      value: Array.isArray(value)
        ? showList(option.name, value)
        : typeof value === "boolean" || option.kind.placeholder === "N"
        ? value
        : redactPath(option.kind.format(value)),
      from,
    };
  }
  const addSetting = <Key extends keyof Settings>(key: Key) => {
    add<Settings[Key]>(OPTIONS[key], settings[key], origins.get(key) ?? "default");
  };
  for (const key of keysOf(OPTIONS)) addSetting(key);
  return JSON.stringify(config, null, 2) + "\n";
}

/**
 * The items of a list. Where something that looks like a URL has been split into paths, no item is shown:
 * a later one can be the rest of its query.
 */
function showList(name: string, items: readonly unknown[]): readonly unknown[] {
  const isSplit = name === OPTIONS.envFile.name &&
    items.some((item) => /[?#@]|\/\//.test(String(item)));
  return items.map((item) =>
    typeof item === "number" ? item : isSplit ? "…" : redactValue(String(item))
  );
}

const CHECK_HEADING = ["HOOK", "READY ADDRESS", "STATE", "ANSWER", "TIME"];
const STATE_COLUMN = CHECK_HEADING.indexOf("STATE");

const WORDS: Readonly<Record<Probe["state"], { readonly word: string; readonly color: number }>> = {
  ready: { word: "ready", color: 32 },
  present: { word: "not ready", color: 33 },
  absent: { word: "absent", color: 31 },
};

/** A row of `--check`. */
export interface Row extends Check {
  /** Whether it is waited for only, and never told to quit. */
  readonly isOnlyAwaited?: boolean;
}

/**
 * `--check` as a table for people.
 *
 * @example
 * ```ts
 * import { checkTable } from "./help.ts";
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
export function checkTable(checks: readonly Row[], options: { readonly color: boolean }): string {
  const rows = [
    CHECK_HEADING,
    ...checks.map(({ hook, address, state, answer, durationMs, isOnlyAwaited }) =>
      [
        isOnlyAwaited ? `${hook} (--wait-for)` : hook,
        address,
        WORDS[state].word,
        answer,
        formatDuration(durationMs),
      ].map(oneLine)
    ),
  ];
  const widths = CHECK_HEADING.map((_, column) =>
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

/** `--check` as JSON for machines, one object a line. */
export function checkLines(checks: readonly Row[]): string {
  return checks.map((check) => `${escapeInvisible(JSON.stringify(check))}\n`).join("");
}
