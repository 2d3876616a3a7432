/** Types for the part of `@std/cli/parse-args` that this project uses; its npm copy has none. */

/** What the caller declares about its options. */
export interface ParseOptions {
  /** Names whose values stay strings. */
  string?: readonly string[];
  /** Names that may come several times; their values become an array. */
  collect?: readonly string[];
}

/** Turns a list of words into named values. */
export function parseArgs(
  args: readonly string[],
  options?: ParseOptions,
): Record<string, unknown>;
