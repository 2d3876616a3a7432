/**
 * Checks what callers without a type checker pass. An error says in one sentence what is wrong with
 * an argument, before anything is started.
 *
 * @module
 */

import type { Awaitable, Hook } from "../hook.ts";
import { JOB_OPTIONS, type Kind } from "../options.ts";

/** What an option must be that is not in the table. */
interface Expectation {
  /** What is expected, in words. */
  readonly expected: string;
  /** Whether a value is that. */
  accepts(value: unknown): boolean;
}

const A_BOOLEAN: Expectation = {
  expected: "a boolean",
  accepts: (value) => typeof value === "boolean",
};

/** The options that are not in the table, because only a program can set them. */
const LIBRARY_OPTIONS: ReadonlyMap<string, Expectation> = new Map([
  ["forwardSignals", A_BOOLEAN],
  ["catchSignals", A_BOOLEAN],
  ["log", {
    expected: "a function that takes log entries",
    accepts: (value) => typeof value === "function",
  }],
  ["signal", { expected: "an AbortSignal", accepts: (value) => value instanceof AbortSignal }],
]);

const TABLE: ReadonlyMap<string, { readonly kind: Pick<Kind<unknown>, "check"> }> = new Map(
  Object.entries(JOB_OPTIONS),
);

/**
 * Checks options by their names.
 *
 * @throws {TypeError} for a value of the wrong type
 * @throws {RangeError} for a number that is out of range, or a word that is not one of the choices
 */
export function validateOptions(options: object): void {
  if (typeof options !== "object" || options === null) {
    throw wrongType("options", "an object", options);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (name === "hooks") validateHooks(value, name);
    if (name === "waitFor") validateAwaitables(value, name);
    const { expected = "", accepts } = LIBRARY_OPTIONS.get(name) ?? {};
    if (accepts?.(value) === false) throw wrongType(name, expected, value);
    const mismatch = TABLE.get(name)?.kind.check(value);
    if (mismatch === undefined) continue;
    const message = `${name}: expected ${mismatch.expected}, got ${show(value)}`;
    throw mismatch.wrong === "type" ? new TypeError(message) : new RangeError(message);
  }
}

/**
 * Checks a list of hooks.
 *
 * @throws {TypeError} that names the first value that is not a hook
 */
export function validateHooks(hooks: unknown, name = "hooks"): asserts hooks is readonly Hook[] {
  validateList(hooks, name, "a hook", isHook);
}

/**
 * Checks a list of hooks and conditions.
 *
 * @throws {TypeError} that names the first value that is neither
 */
export function validateAwaitables(
  list: unknown,
  name: string,
): asserts list is readonly Awaitable[] {
  validateList(list, name, "a hook or a condition", (value) => isHook(value) || isCondition(value));
}

function validateList(
  list: unknown,
  name: string,
  expected: string,
  accepts: (value: unknown) => boolean,
): void {
  if (!Array.isArray(list)) throw wrongType(name, "an array", list);
  list.forEach((value: unknown, index) => {
    const place = `${name}[${index}]`;
    if (typeof value === "function") {
      throw new TypeError(`${place}: expected ${expected}, got a function that makes one: call it`);
    }
    if (!accepts(value)) throw wrongType(place, expected, value);
  });
}

function isHook(value: unknown): boolean {
  if (isObject(value) && "candidates" in value && value.candidates !== undefined) {
    return "name" in value && Array.isArray(value.candidates) && value.candidates.every(isHook);
  }
  return isCondition(value) && "stop" in value && typeof value.stop === "function";
}

function isCondition(value: unknown): value is object {
  return isObject(value) && "name" in value && "probe" in value &&
    typeof value.probe === "function";
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/**
 * Checks COMMAND's words.
 *
 * @throws {TypeError} if there are no words, or one is not a string
 */
export function validateCommand(command: unknown): void {
  if (!Array.isArray(command) || command.length === 0) {
    throw wrongType("command", "an array with at least one word", command);
  }
  command.forEach((word: unknown, index) => {
    if (typeof word !== "string") throw wrongType(`command[${index}]`, "a string", word);
  });
}

function wrongType(name: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${name}: expected ${expected}, got ${show(value)}`);
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "function" ? "a function" : String(value);
}
