/**
 * `--wrap` on the command line: manifests to stdout, and what was changed to stderr.
 *
 * @module
 */

import { WRAPPER_FAILED } from "../exit_code.ts";
import type { Report } from "../log/log.ts";
import { WRAP_OPTIONS } from "../options.ts";
import type { Awaitable, Hook } from "../hook.ts";
import { parseEntrypoint, wrapFiles, type Wrapped } from "../wrap/wrap.ts";
import { UnreadableError } from "../wrap/read.ts";
import { nearMisses, readScuttle } from "./scuttle.ts";
import { explain, readInvocation, type WrapWords } from "./settings.ts";
import { contradictions, readTargets } from "./targets.ts";
import { VERSION } from "./version.ts";

/** The release's own image, which runs in any other. */
export const DEFAULT_IMAGE: string = `ghcr.io/k8s-job/wrapper:${VERSION}-portable`;

/** What reads TARGETs, with the custom hooks. */
export interface TargetReaders {
  parseHook(target: string): Hook | undefined;
  parseWaitFor(target: string): Awaitable | undefined;
  couldBeTarget(text: string): boolean;
}

/** Runs `--wrap`, and returns the exit code. */
export async function wrap(
  words: WrapWords | undefined,
  report: Report,
  print: (text: string) => number,
  readers: TargetReaders,
): Promise<number> {
  const { files = [], image: given, containers = [], variables = new Map() } = words ?? {};
  const image = given?.text ?? DEFAULT_IMAGE;
  const problems: string[] = [];
  const entrypoints = new Map<string, readonly string[]>();
  for (const text of words?.entrypoints ?? []) {
    const read = parseEntrypoint(text);
    if (read === undefined) problems.push(explain("--entrypoint", text, expected("entrypoint")));
    else entrypoints.set(...read);
  }
  for (const name of containers) {
    if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) {
      problems.push(explain("--container", name, expected("container")));
    }
  }
  if (!/^[\w][\w.:/@-]*$/.test(image)) {
    problems.push(explain(given?.origin ?? "--image", image, expected("image")));
  }
  for (const problem of problems) report("settings-error", { problem });
  if (problems.length > 0) return WRAPPER_FAILED;

  let wrapped: Wrapped;
  try {
    wrapped = await wrapFiles({
      files,
      image,
      isImageGiven: given !== undefined,
      containers,
      entrypoints,
      variables,
      check: (words, variables) => review(words, variables, readers),
    });
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    report("wrap-failed", { reason: error.message });
    return WRAPPER_FAILED;
  }
  for (const { kind, where, text } of wrapped.report) {
    switch (kind) {
      case "changed":
        report("wrap-changed", { where, change: text });
        break;
      case "unneeded":
        report("wrap-unneeded", { where, reason: text });
        break;
      case "note":
      case "missing":
        report("wrap-note", { where, note: text });
        break;
      case "left":
        report("wrap-left", { where, reason: text });
        break;
    }
  }
  return print(wrapped.text) || (wrapped.isLeft ? 1 : 0);
}

/** What the wrapper would say about its words and variables in a container. */
function review(
  words: readonly string[],
  variables: Readonly<Record<string, string>>,
  { parseHook, parseWaitFor, couldBeTarget }: TargetReaders,
): { readonly problems: readonly string[]; readonly warnings: readonly string[] } {
  const invocation = readInvocation(words, (name) => variables[name], {
    variables: Object.keys(variables),
    couldBeTarget,
    scuttle: { readScuttle, nearMisses },
  });
  const { settings, origins } = invocation;
  const stopped = readTargets("hook", invocation, parseHook);
  const awaited = readTargets("waitTargets", invocation, parseWaitFor);
  const hooks = invocation.typedHooks.flatMap((target) => stopped.read.get(target) ?? []);
  return {
    problems: [...invocation.problems, ...stopped.problems, ...awaited.problems],
    warnings: [
      ...invocation.warnings,
      ...contradictions(origins.get("hook") ?? "default", settings.hook, hooks),
    ],
  };
}

function expected(name: string): string {
  return `expected ${WRAP_OPTIONS.find((option) => option.name === name)?.expected}`;
}
