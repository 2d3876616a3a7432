/**
 * Removes secrets from what is printed.
 *
 * @module
 */

import { errorLabel } from "../platform/errors.ts";

/**
 * Removes the credentials and the query from every URL in a text that the runtime has written; its
 * URLs have no blanks.
 *
 * @example
 * ```ts
 * import { redact } from "./redact.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(redact("no answer from http://me:pw@host:1/quit?token=x yet"), "no answer from http://host:1/quit yet");
 * ```
 */
export function redact(text: string): string {
  return text
    .replaceAll(/(:\/{1,2})[^\s/?#]*@/g, "$1")
    .replaceAll(/(:\/[^\s?#]*)[?#]\S*/g, "$1");
}

/**
 * Removes the credentials and the query from one value that a person has typed: a TARGET or a URL,
 * or what was meant to be one. A mistyped one need not parse, and is redacted all the same.
 *
 * @example
 * ```ts
 * import { redactValue } from "./redact.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(redactValue("GET http://me:pw@host:1/quit?token=x y"), "GET http://host:1/quit");
 * assertEquals(redactValue("htp//me:pw@host:1/quit?token=x"), "host:1/quit");
 * ```
 */
export function redactValue(value: string): string {
  const [, before = "", text = ""] = /^((?:[A-Z]+\s+)?(?:[\w-]+=(?=\w+[\w+]*:))?)(.*)$/s.exec(
    // The query goes first, with any blank or further mark in it.
    value.replace(/[?#].*$/s, ""),
  ) ?? [];
  if (!text.includes("@")) return before + text;
  if (URL.canParse(text)) {
    const url = new URL(text);
    const path = url.pathname === "/" && !text.endsWith("/") ? "" : url.pathname;
    // Two URLs in a row can parse as one, with the credentials of the second in the path.
    const several = /@/.test(url.pathname) && (/[,=\s]/.test(text) || /:|\/\//.test(url.pathname));
    const oneUrl = url.host !== "" && !several;
    if (oneUrl) return `${before}${url.protocol}//${url.host}${path}`;
  }
  const scheme = /^[a-z][\w+.-]*:\/{1,3}/i.exec(text)?.[0] ?? "";
  return before + scheme + text.slice(text.lastIndexOf("@") + 1);
}

/**
 * A file's name, as it may be printed. A TARGET in its place is redacted like any other.
 *
 * @example
 * ```ts
 * import { redactPath } from "./redact.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(redactPath("http://me:pw@host/quit?token=x"), "http://host/quit");
 * assertEquals(redactPath("/opt/app@1.2/job"), "/opt/app@1.2/job");
 * ```
 */
export function redactPath(name: string): string {
  return /^[^./].*(:|\/\/)/s.test(name) ? redactValue(name) : name;
}

/**
 * COMMAND's first word, as it may be printed: nothing after its first blank, or after its `=`. A whole
 * command line in one word, or a variable in front of it, can hold a password.
 *
 * @example
 * ```ts
 * import { redactCommand } from "./redact.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(redactCommand("my-job --password=sesame"), "my-job");
 * assertEquals(redactCommand("TOKEN=sesame"), "TOKEN=");
 * assertEquals(redactCommand("http://me:pw@host/quit?token=x"), "http://host/quit");
 * assertEquals(redactCommand("http://me:p w@host/quit"), "http:");
 * ```
 */
export function redactCommand(word: string): string {
  const start = /^[^\s=]*=?/.exec(word)?.[0] ?? "";
  if (start === word) return redactPath(word);
  // Credentials that are cut in half can no longer be recognized.
  const cutCredentials = word.includes("@", start.length) && redactPath(word) !== word;
  const shown = redactPath(cutCredentials ? start.replace(/:.*$/s, ":") : start);
  return shown === "" ? "…" : shown;
}

/**
 * Describes a defect of the wrapper: an error's class and code, and the place where it was thrown.
 * Its message is left out, because it may quote anything.
 *
 * @example
 * ```ts
 * import { describeDefect } from "./redact.ts";
 * import { assertMatch } from "@std/assert";
 *
 * assertMatch(describeDefect(new TypeError("bad token: sesame")), /^TypeError at .*:\d+:\d+\)?$/);
 * ```
 */
export function describeDefect(error: unknown): string {
  if (!(error instanceof Error)) return `a thrown ${typeof error}`;
  // The stack starts with the message, which may have lines that look like places.
  const { message, stack = "" } = error;
  const places = stack.slice(stack.indexOf(message) + message.length);
  const place = /\n\s+(at .*)/.exec(places)?.[1];
  return place === undefined ? errorLabel(error) : `${errorLabel(error)} ${place}`;
}
