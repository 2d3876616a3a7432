/**
 * `file:PATH`: a tombstone, for a sidecar that watches a file.
 *
 * @module
 */

import type { JobSummary, SidecarHook, Stop } from "../src/hook.ts";
import { fileErrorReason } from "../src/platform/errors.ts";
import { fileKind, processId, removeFile, renameFile, writeTextFile } from "../src/platform/mod.ts";

/** What {@linkcode fileHook} needs. */
export interface FileHookOptions {
  /** The file's path. */
  readonly path: string;
  /**
   * What the operator calls it.
   *
   * @default the path's last part
   */
  readonly name?: string;
}

/**
 * Makes a hook that creates a file with the job's summary as JSON, in one step: a sidecar that watches
 * the folder never sees half a file. Its `exitCode` and `died` are what kubexit's sidecars look for.
 *
 * @throws {TypeError} if the path is empty or ends with a slash
 *
 * @example
 * ```ts
 * import { fileHook, stopSidecars } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = Deno.makeTempDirSync();
 * const job = { command: "backup", exitCode: 3, durationMs: 1500 };
 * await stopSidecars([fileHook({ path: `${folder}/done` })], {}, job);
 * assertEquals(JSON.parse(Deno.readTextFileSync(`${folder}/done`)).exitCode, 3);
 * Deno.removeSync(folder, { recursive: true });
 * ```
 */
export function fileHook(options: FileHookOptions): SidecarHook {
  const { path } = options;
  checkPath(path, "the path of a file: file:/shared/done");
  return {
    name: options.name ?? path.split("/").at(-1) ?? path,
    address: path,
    isAlwaysReady: true,
    foresee: () => foresee(path),
    probe: () => Promise.resolve({ state: "ready", answer: "nothing to wait for" }),
    // Nothing is armed: the file has the summary, which is known only after the end.
    stop: ({ job }) => Promise.resolve(create(path, job)),
  };
}

/** @throws {TypeError} if this is not a file's path: a text with two slashes is part of a URL */
export function checkPath(path: string, expected: string): void {
  if (!/^(?!\/\/).*[^/]$/s.test(path)) throw new TypeError(`expected ${expected}`);
}

function create(path: string, job: JobSummary | undefined): Stop {
  const temporary = temporaryName(path);
  try {
    writeTextFile(temporary, tombstone(job));
    renameFile(temporary, path);
    return { state: "stopped", answer: "created" };
  } catch (error) {
    removeIfThere(temporary);
    return { state: "failed", ...explain(fileErrorReason(error)) };
  }
}

/** Only writing there shows whether it is possible: a read-only mount has ordinary modes. */
function foresee(path: string): Pick<Stop, "answer" | "hint"> | undefined {
  if (isFolder(path)) return explain("is a folder");
  const temporary = temporaryName(path);
  try {
    writeTextFile(temporary, "");
    removeFile(temporary);
    return undefined;
  } catch (error) {
    removeIfThere(temporary);
    return explain(fileErrorReason(error));
  }
}

function explain(reason: string): Pick<Stop, "answer" | "hint"> {
  return {
    answer: `cannot be created: ${reason}`,
    hint: reason === "is a folder"
      ? "Name a file in it"
      : "Mount a volume there that both containers share and this user can write to",
  };
}

/** A name in the same folder, as a file cannot be renamed across file systems. */
function temporaryName(path: string): string {
  const [, folder = "", name = ""] = /^(.*\/)?(.*)$/s.exec(path) ?? [];
  return `${folder}.${name.slice(0, 200)}.${processId()}`;
}

function isFolder(path: string): boolean {
  try {
    return fileKind(path) === "folder";
  } catch {
    return false;
  }
}

function removeIfThere(path: string): void {
  try {
    removeFile(path);
  } catch {
    // It was never created.
  }
}

function tombstone(job: JobSummary = { command: "", exitCode: 0, durationMs: 0 }): string {
  const diedMs = Date.now();
  const { command, exitCode, commandExitCode, signal, durationMs } = job;
  return JSON.stringify({
    command,
    exitCode,
    ...(commandExitCode === undefined ? {} : { commandExitCode }),
    ...(signal === undefined ? {} : { signal }),
    durationMs: Math.round(durationMs),
    born: new Date(diedMs - durationMs).toISOString(),
    died: new Date(diedMs).toISOString(),
  }) + "\n";
}
