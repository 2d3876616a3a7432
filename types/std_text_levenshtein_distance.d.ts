/** Types for `@std/text/levenshtein-distance`; its npm copy has none. */

/** How many edits make one word of the other. */
export function levenshteinDistance(first: string, second: string): number;
