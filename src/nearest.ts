/**
 * "Did you mean": the known word that a mistyped one is likely to mean.
 *
 * @module
 */

// @ts-types="../types/std_text_levenshtein_distance.d.ts"
import { levenshteinDistance } from "@std/text/levenshtein-distance";

/** The known word that is nearest to another. */
export interface Nearest {
  readonly word: string;
  /** How many edits make one of the other. */
  readonly edits: number;
  /** Whether it is so near that it is likely to be what was meant. */
  readonly isClose: boolean;
}

/**
 * Finds the known word that is nearest to a mistyped one.
 *
 * @param word what was typed
 * @param known the words that would have been right
 * @returns undefined if there are none
 *
 * @example
 * ```ts
 * import { nearest } from "./nearest.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(nearest("linkrd", ["istio", "linkerd"]), { word: "linkerd", edits: 1, isClose: true });
 * assertEquals(nearest("nginx", ["linkerd"])?.isClose, false);
 * ```
 */
export function nearest(word: string, known: readonly string[]): Nearest | undefined {
  const [first] = known
    .map((candidate) => ({ word: candidate, edits: levenshteinDistance(word, candidate) }))
    .sort((a, b) => a.edits - b.edits);
  if (first === undefined) return undefined;
  // In a short word, two edits leave nothing of it.
  const most = word.length < 4 ? 1 : Math.max(2, Math.floor(word.length / 4));
  return { ...first, isClose: first.edits <= most };
}
