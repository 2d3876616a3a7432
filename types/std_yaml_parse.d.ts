/** Types for the part of `@std/yaml` that this project's tests use; its npm copy has none. */

/** Reads one document. */
export function parse(content: string): unknown;
