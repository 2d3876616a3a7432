/**
 * Takes secrets out of what is printed.
 *
 * @module
 */

/**
 * Takes the credentials and the query out of every URL in a text.
 *
 * @example
 * ```ts
 * import { redact } from "./redact.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(redact("POST http://me:pw@host:1/quit?token=x"), "POST http://host:1/quit");
 * ```
 */
export function redact(text: string): string {
  return text
    // What a person mistypes need not parse as a URL, and must be hidden all the same.
    .replaceAll(/(:\/{1,2})[^\s/?#]*@/g, "$1")
    .replaceAll(/(:\/[^\s?#]*)[?#]\S*/g, "$1");
}
