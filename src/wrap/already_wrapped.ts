/**
 * Containers that start the wrapper already, and what is to be said about them.
 *
 * @module
 */

import { OPTIONS } from "../options.ts";
import { type Container, list, type Pod } from "./containers.ts";
import type { WrapRequest } from "./request.ts";
import { startsWrapper } from "./shell.ts";
import { readable } from "./variables.ts";

/** Whether a container has the wrapper already. */
export function isWrapped(one: Container): boolean {
  return ownWords(one) !== undefined;
}

/** Programs that only start another one. */
const STARTS_OTHERS = /(^|\/)(tini|dumb-init|catatonit|env)$/;

/**
 * The wrapper's own words, COMMAND included, in a container that starts it.
 *
 * @returns undefined if it does not; words that say nothing if a shell starts it
 */
function ownWords({ command, args }: Container): readonly string[] | undefined {
  const words = command.length > 0 ? [...command, ...args] : args;
  if (startsWrapper(words)) return ["command"];
  // Behind an init such as tini and its options, of which some have a word more: `-e 143 --`.
  const first = words.findIndex((word) => !(/^-|^\w+=/.test(word) || STARTS_OTHERS.test(word)));
  const behind = STARTS_OTHERS.test(words[0] ?? "") ? words.indexOf("--") + 1 : 0;
  const at = [first, behind].find((index) => /(^|\/)wrapper$/.test(words[index] ?? ""));
  return at === undefined ? undefined : words.slice(at + 1);
}

/** What the wrapper would say about a container that starts it already. */
export function review(one: Container, { check }: WrapRequest): readonly string[] {
  const { name, variables } = one;
  const { problems = [], warnings = [] } = check?.(ownWords(one) ?? [], readable(variables)) ?? {};
  return [...problems, ...warnings].map((problem) => `container ${name}: ${problem}`);
}

/** What was asked for, and would change a container that has the wrapper already. */
export function ignoredBy(
  wrapped: readonly Container[],
  { init }: Pod,
  { variables, image, isImageGiven, entrypoints }: WrapRequest,
): readonly string[] {
  const differs = ([name, value]: readonly [string, string]) =>
    wrapped.some((one) => one.variables[name] !== value);
  const installs = init.filter(({ args }) => list(args)[0] === "--install");
  return ignored([
    ...[...variables].filter(differs).map(([name]) => optionOf(name)),
    ...(isImageGiven && installs.some((one) => one["image"] !== image) ? ["--image"] : []),
    ...(wrapped.some(({ name, command }) => entrypoints.has(name) && command.length === 0)
      ? ["--entrypoint"]
      : []),
  ]);
}

/** What is said about options that change nothing. */
export function ignored(options: readonly string[]): readonly string[] {
  if (options.length === 0) return [];
  const changes = options.length === 1 ? "changes" : "change";
  return [`${options.join(", ")} ${changes} nothing here: write it into the manifest yourself`];
}

/** The option that has a variable. */
export function optionOf(variable: string): string {
  const option = Object.values(OPTIONS).find((one) => one.variable === variable);
  return `--${option?.name}`;
}
