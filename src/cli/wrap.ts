/**
 * `--wrap` on the command line: manifests to stdout, and what was changed to stderr.
 *
 * @module
 */

import { WRAPPER_FAILED } from "../exit_code.ts";
import type { Report } from "../log/log.ts";
import { WRAP_OPTIONS } from "../options.ts";
import { parseEntrypoint, wrapFiles, type Wrapped } from "../wrap/wrap.ts";
import { UnreadableError } from "../wrap/read.ts";
import { explain, type WrapWords } from "./settings.ts";
import { VERSION } from "./version.ts";

/** The release's own image, which runs in any other. */
export const DEFAULT_IMAGE: string = `ghcr.io/k8s-job/wrapper:${VERSION}-portable`;

/** Runs `--wrap`, and returns the exit code. */
export async function wrap(
  words: WrapWords | undefined,
  report: Report,
  print: (text: string) => number,
): Promise<number> {
  const { files = [], image = DEFAULT_IMAGE, containers = [], variables = new Map() } = words ?? {};
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
  if (!/^[\w][\w.:/@-]*$/.test(image)) problems.push(explain("--image", image, expected("image")));
  for (const problem of problems) report("settings-error", { problem });
  if (problems.length > 0) return WRAPPER_FAILED;

  let wrapped: Wrapped;
  try {
    wrapped = await wrapFiles({ files, image, containers, entrypoints, variables });
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
        report("wrap-note", { where, note: text });
        break;
      case "left":
        report("wrap-left", { where, reason: text });
        break;
    }
  }
  print(wrapped.text);
  return wrapped.isLeft ? 1 : 0;
}

function expected(name: string): string {
  return `expected ${WRAP_OPTIONS.find((option) => option.name === name)?.expected}`;
}
