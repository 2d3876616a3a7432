/**
 * The containers that do a pod's work, and the words that start them.
 *
 * @module
 */

import { isWrapped } from "./already_wrapped.ts";
import type { Container, Pod } from "./containers.ts";
import type { WrapRequest } from "./request.ts";
import { LeftError, type Tree } from "./tree.ts";

/**
 * Finds the containers that do the work.
 *
 * @param hook the TARGETs that `--hook` names
 * @throws {LeftError} if nobody can tell
 */
export function findWork(
  { tree, containers, known }: Pod,
  request: WrapRequest,
  hook: string | undefined,
): readonly Container[] {
  const named = containers.filter(({ name }) => request.containers.includes(name));
  const others = containers.filter((one) => !known.includes(one));
  if (named.length > 0) {
    const [rest] = others.filter((one) => !named.includes(one));
    if (rest !== undefined && hook === undefined) {
      throw new LeftError(
        `nothing is known about container ${rest.name}: say how it is told to quit, with --hook`,
        tree.startOf(rest.place),
      );
    }
    return named;
  }
  const server = others.length > 1
    ? others.find((one) => one.isLikelyServer && !isWrapped(one))
    : undefined;
  if (server !== undefined) {
    throw new LeftError(
      `container ${server.name} may be work, or a sidecar that is not known: name the work with ` +
        "--container NAME, and a sidecar's stop request with --hook",
      tree.startOf(server.place),
    );
  }
  return others;
}

/** The words that come after the wrapper where they are not in the manifest, and what to say. */
export function commandOf(
  tree: Tree,
  { place, name, command, args }: Container,
  { entrypoints }: WrapRequest,
): { readonly words: readonly string[]; readonly note?: string } {
  const words = entrypoints.get(name);
  if (command.length > 0) {
    return words === undefined
      ? { words: [] }
      : { words: [], note: "--entrypoint changes nothing here, because it has a command" };
  }
  if (words === undefined) {
    throw new LeftError(
      `container ${name} has no command, and its image's ENTRYPOINT is not known: ` +
        `write the command out, or --entrypoint '${name}=["/app","run"]'`,
      tree.startOf(place),
    );
  }
  return args.length > 0 ? { words } : {
    words,
    note:
      "with a command, Kubernetes ignores the image's CMD: if it has one, it belongs into --entrypoint, too",
  };
}

/** Puts the wrapper in front of a command. */
export function prependCommand(
  tree: Tree,
  { place, command }: Container,
  program: string,
  words: readonly string[],
): void {
  const first = command[0] ?? words[0] ?? "";
  const start = first.startsWith("-") ? [program, "--"] : [program];
  tree.addItems(place, "command", [...start, ...words], { first: true, after: ["name", "image"] });
}
