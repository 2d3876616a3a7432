/**
 * What callers without a type checker get wrong, said in a sentence, before anything is started.
 *
 * @module
 */

import { LONGEST_MS } from "../time.ts";
import type { Hook } from "../hook.ts";

/** The values of the options that are one of a few words. */
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  on: ["always", "success", "failure"],
  onWaitTimeout: ["fail", "start"],
};

/**
 * Checks options by their names: what ends in `Ms` is a duration, and so on.
 *
 * @throws {TypeError} for a value of the wrong type
 * @throws {RangeError} for a number that is out of range, or a word that is none of the choices
 */
export function validateOptions(options: object): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`options: expected an object, got ${show(options)}`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) checkOption(name, value);
  }
}

function checkOption(name: string, value: unknown): void {
  const fail = (Kind: typeof TypeError | typeof RangeError, expected: string) => {
    throw new Kind(`${name}: expected ${expected}, got ${show(value)}`);
  };
  const choices = CHOICES[name];
  if (choices !== undefined) {
    const list = choices.map((choice) => JSON.stringify(choice)).join(" or ");
    if (!choices.some((choice) => choice === value)) fail(RangeError, list);
  } else if (name.endsWith("Ms")) {
    if (typeof value !== "number") return fail(TypeError, "a number of milliseconds");
    // Within no time no sidecar can be told to quit.
    const least = ["requestTimeoutMs", "shutdownTimeoutMs"].includes(name) ? 1 : 0;
    if (!(value >= least && value <= LONGEST_MS)) {
      fail(RangeError, `milliseconds from ${least} to ${LONGEST_MS}`);
    }
  } else if (name === "retries") {
    if (typeof value !== "number") return fail(TypeError, "a number");
    if (!Number.isSafeInteger(value) || value < 0) fail(RangeError, "a whole number from 0");
  } else if (["strict", "processGroup", "reap", "forwardSignals", "catchSignals"].includes(name)) {
    if (typeof value !== "boolean") fail(TypeError, "a boolean");
  } else if (name === "signal") {
    if (!(value instanceof AbortSignal)) fail(TypeError, "an AbortSignal");
  } else if (name === "log") {
    if (typeof value !== "function") fail(TypeError, "a function that takes log entries");
  } else if (name === "terminationLog") {
    if (typeof value !== "string") fail(TypeError, "a path");
  } else if (name === "hooks" || name === "waitFor") {
    validateHooks(value, name);
  }
}

/**
 * Checks a list of hooks.
 *
 * @throws {TypeError} that names the first that is none
 */
export function validateHooks(
  hooks: unknown,
  name = "hooks",
): asserts hooks is readonly Hook[] {
  if (!Array.isArray(hooks)) throw new TypeError(`${name}: expected an array, got ${show(hooks)}`);
  hooks.forEach((hook: unknown, index) => {
    if (typeof hook === "function") {
      throw new TypeError(
        `${name}[${index}]: expected a hook, got a function that makes one: call it`,
      );
    }
    const isHook = typeof hook === "object" && hook !== null && "name" in hook && "probe" in hook &&
      "stop" in hook && typeof hook.probe === "function" && typeof hook.stop === "function";
    if (!isHook) throw new TypeError(`${name}[${index}]: expected a hook, got ${show(hook)}`);
  });
}

/**
 * Checks COMMAND's words.
 *
 * @throws {TypeError} if there is none, or one is no string
 */
export function validateCommand(command: unknown): void {
  if (!Array.isArray(command) || command.length === 0) {
    throw new TypeError(`command: expected an array with at least one word, got ${show(command)}`);
  }
  command.forEach((word: unknown, index) => {
    if (typeof word !== "string") {
      throw new TypeError(`command[${index}]: expected a string, got ${show(word)}`);
    }
  });
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "function" ? "a function" : String(value);
}
