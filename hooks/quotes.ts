/**
 * Values that still have the quotes that a shell or YAML would have removed.
 *
 * @module
 */

/** Whether a value still has its quotes, or one half of them. */
export function isQuoted(text: string): boolean {
  return /^["'`“”‘’]|["'`“”‘’]$/.test(text.trim());
}

/** What to write instead of a value that still has its quotes. */
export function quotesHint(text: string): string | undefined {
  return isQuoted(text) ? "remove the quotes" : undefined;
}
