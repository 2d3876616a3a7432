/**
 * Files with variables for COMMAND, for images that have no shell to read them.
 *
 * @module
 */

import { redactPath } from "../log/redact.ts";
import { fileErrorReason } from "../platform/errors.ts";
import { fileSize, readTextFile } from "../platform/mod.ts";
import { EnvFileError } from "./errors.ts";

/** More than the kernel takes for a whole environment by default. */
const MOST_BYTES = 1_000_000;

/** A line without a variable: blank, or a comment. */
const NO_VARIABLE = /[ \t]*(?:#[^\n]*)?(?:\n|$)/y;
/** A variable up to its value. */
const NAME = /[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=/y;
/** A value in quotes, which may have several lines. */
const QUOTED = /[ \t]*(?:"([^"]*)"|'([^']*)'|`([^`]*)`)/y;
/** What may follow a value in quotes. */
const AFTER_QUOTES = /(?:[ \t]+#[^\n]*|[ \t]*)(?:\n|$)/y;
const OPEN_QUOTE = /[ \t]*["'`]/y;
const REST_OF_LINE = /([^\n]*)(?:\n|$)/y;

/**
 * Reads files of variables; a variable of a later file wins.
 *
 * @throws {EnvFileError} that names the file and the line, and nothing of its content
 */
export function readEnvFiles(paths: readonly string[]): Readonly<Record<string, string>> {
  const variables = new Map<string, string>();
  for (const path of paths) {
    for (const [name, value] of parseEnvFile(readSmallFile(path), path)) variables.set(name, value);
  }
  return Object.fromEntries(variables);
}

function readSmallFile(path: string): string {
  const fail = (problem: string) => new EnvFileError(redactPath(path), undefined, problem);
  try {
    const bytes = fileSize(path);
    // Opening a pipe without a writer would never return, and a device may have no end.
    if (bytes === undefined) {
      const advice = "if it is written after the start, --wait-for file:PATH waits for it";
      throw fail(`no such file, or not an ordinary one; ${advice}`);
    }
    if (bytes > MOST_BYTES) throw fail("larger than 1 MB");
    const text = readTextFile(path);
    // The runtimes put this character in place of bytes that they cannot decode.
    if (text.includes("\ufffd")) throw fail("not UTF-8");
    return text;
  } catch (error) {
    throw error instanceof EnvFileError ? error : fail(fileErrorReason(error));
  }
}

/**
 * Reads `NAME=VALUE` lines: those that `parseEnv` of `node:util` reads, in the same way. What that
 * would skip or cut in silence, or what it and a shell read differently, is an error.
 *
 * @param path the file's path, for the error
 * @throws {EnvFileError} for a line that has another form
 *
 * @example
 * ```ts
 * import { parseEnvFile } from "./env_file.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const text = "# written by the agent\nexport USER=job\nPASSWORD='open sesame'\n";
 * assertEquals([...parseEnvFile(text, "/secrets")], [["USER", "job"], ["PASSWORD", "open sesame"]]);
 * ```
 */
export function parseEnvFile(content: string, path: string): ReadonlyMap<string, string> {
  const text = content.replace(/^\ufeff/, "").replaceAll("\r\n", "\n");
  const variables = new Map<string, string>();
  let position = 0;

  /** Takes what stands at the current position, if it has this form. */
  function take(form: RegExp): RegExpExecArray | undefined {
    form.lastIndex = position;
    const found = form.exec(text) ?? undefined;
    if (found !== undefined) position = form.lastIndex;
    return found;
  }

  function fail(problem: string): EnvFileError {
    const line = text.slice(0, position).split("\n").length;
    return new EnvFileError(redactPath(path), line, problem);
  }

  function takeValue(): string {
    const quoted = take(QUOTED);
    if (quoted === undefined) {
      if (take(OPEN_QUOTE)) throw fail("the quote is not closed");
      return takeBareValue();
    }
    const [, double, ...others] = quoted;
    if (double?.endsWith("\\")) throw fail('a \\" ends the value here: use single quotes');
    if (!take(AFTER_QUOTES)) throw fail("expected nothing after the closing quote");
    return double?.replaceAll("\\n", "\n") ?? others.find((text) => text !== undefined) ?? "";
  }

  function takeBareValue(): string {
    const before = position;
    const [, line = ""] = take(REST_OF_LINE) ?? [];
    const value = line.replace(/[ \t]#.*$/s, "").replaceAll(/^[ \t]+|[ \t]+$/g, "");
    if (!value.includes("#")) return value;
    position = before;
    throw fail("a # in a value without quotes: put the value in quotes");
  }

  if (text.includes("\0")) {
    position = text.indexOf("\0");
    throw fail("a NUL byte");
  }
  while (position < text.length) {
    if (take(NO_VARIABLE)) continue;
    const [, name] = take(NAME) ?? [];
    if (name === undefined) {
      const hasName = /^[^\n]*=/.test(text.slice(position));
      throw fail(
        hasName
          ? "expected a name of letters, digits and _ before the ="
          : "expected NAME=VALUE, a comment or a blank line",
      );
    }
    variables.set(name, takeValue());
  }
  return variables;
}
