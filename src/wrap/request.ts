/**
 * What is asked of `--wrap`.
 *
 * @module
 */

/** What the command line asks for. */
export interface WrapRequest {
  /** Files, folders, and `-` for stdin. */
  readonly files: readonly string[];
  /** The image that the init container installs the wrapper from. */
  readonly image: string;
  /** The names of containers that do work, where they cannot be told. */
  readonly containers: readonly string[];
  /** What an image's ENTRYPOINT is, by the name of the container. */
  readonly entrypoints: ReadonlyMap<string, readonly string[]>;
  /** The other options that were given, as variables. */
  readonly variables: ReadonlyMap<string, string>;
  /** Whether the image was named, and is not the default. */
  readonly isImageGiven?: boolean;
  /** Says what the wrapper would refuse, and what it would ignore. */
  readonly check?: Check;
}

/**
 * Says what the wrapper would refuse, and what it would ignore.
 *
 * @param words its own words, COMMAND included
 * @param variables what a container has
 */
export type Check = (
  words: readonly string[],
  variables: Readonly<Record<string, string>>,
) => { readonly problems: readonly string[]; readonly warnings: readonly string[] };

/**
 * Reads `NAME=["/app","run"]`.
 *
 * @returns undefined if it has another form
 */
export function parseEntrypoint(text: string): readonly [string, readonly string[]] | undefined {
  const [, name, json = ""] = /^([a-z0-9][a-z0-9-]*)=(\[.*\])$/s.exec(text) ?? [];
  if (name === undefined) return undefined;
  try {
    const words: unknown = JSON.parse(json);
    const isList = Array.isArray(words) && words.length > 0 &&
      words.every((word) => typeof word === "string") && words[0] !== "";
    return isList ? [name, words] : undefined;
  } catch {
    return undefined;
  }
}
