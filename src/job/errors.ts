/**
 * Why COMMAND did not run.
 *
 * @module
 */

import { formatDuration } from "../time.ts";

/**
 * COMMAND could not be started; the message gives the reason in a few words.
 *
 * @example
 * ```ts
 * import { run, StartError } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const { error } = await run(["/no/such/program"]);
 * if (!(error instanceof StartError)) throw new Error("that program exists");
 * assertEquals([error.message, error.code, error.exitCode], ["not found", "ENOENT", 127]);
 * ```
 */
export class StartError extends Error {
  /** The name of the class, for where `instanceof` does not reach. */
  override readonly name = "StartError";
  /** COMMAND's first word, up to its first blank or `=`. */
  readonly command: string;
  /** 127 if it is not found, 126 if it cannot be executed, 125 if the system had no room for it. */
  readonly exitCode: number;
  /** The system's code for the reason, such as `ENOENT`; an empty string if it has none. */
  readonly code: string;

  /** Keeps what was found out. */
  constructor(
    command: string,
    { reason, exitCode, code, cause }: {
      readonly reason: string;
      readonly exitCode: number;
      readonly code: string;
      readonly cause?: unknown;
    },
  ) {
    super(reason, { cause });
    this.command = command;
    this.exitCode = exitCode;
    this.code = code;
  }
}

/**
 * The folder that the pod's containers share cannot be used; the message names it, and what it needs.
 *
 * @example
 * ```ts
 * import { PodError, run } from "@k8s-job/wrapper";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const { error, exitCode } = await run(["true"], { containers: 2, sharedDir: "/no/such/folder" });
 * assert(error instanceof PodError);
 * assertEquals(exitCode, 125);
 * ```
 */
export class PodError extends Error {
  /** The name of the class, for where `instanceof` does not reach. */
  override readonly name = "PodError";
  /** The same in each version, and for each copy of this class. */
  readonly code = "ERR_POD";
}

/**
 * A file with variables for COMMAND cannot be used. The message names the file and the line, and nothing
 * of its content.
 *
 * @example
 * ```ts
 * import { EnvFileError, run } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const { error, exitCode } = await run(["true"], { envFile: ["/no/such/file"] });
 * if (!(error instanceof EnvFileError)) throw new Error("that file exists");
 * assertEquals([error.path, error.line, exitCode], ["/no/such/file", undefined, 125]);
 * ```
 */
export class EnvFileError extends Error {
  /** The name of the class, for where `instanceof` does not reach. */
  override readonly name = "EnvFileError";
  /** The same in each version, and for each copy of this class. */
  readonly code = "ERR_ENV_FILE";
  /** The file. */
  readonly path: string;
  /** The line that is wrong, from 1; undefined if it is the file itself. */
  readonly line: number | undefined;

  /** Says what is wrong, and where. */
  constructor(path: string, line: number | undefined, problem: string) {
    super(`--env-file ${path}${line === undefined ? "" : `, line ${line}`}: ${problem}`);
    this.path = path;
    this.line = line;
  }
}

/** Whether it is about a setting that is wrong, which only showed when it was used. */
export function isSettingsError(error: unknown): error is PodError | EnvFileError {
  return error instanceof PodError || error instanceof EnvFileError;
}

/** A sidecar that was not ready in time. */
export interface LateSidecar {
  /** The hook's name. */
  readonly hook: string;
  /** What was seen last, in a few words: `503 Service Unavailable`, `connection refused`. */
  readonly answer: string;
}

/**
 * Sidecars were not ready in time.
 *
 * @example
 * ```ts
 * import { istio, NotReadyError, waitUntilReady } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * try {
 *   // Nothing listens on this port here.
 *   await waitUntilReady([istio({ baseUrl: "http://127.0.0.1:9" })], { timeoutMs: 100 });
 * } catch (error) {
 *   if (!(error instanceof NotReadyError)) throw error;
 *   assertEquals(error.late.map(({ hook }) => hook), ["istio"]);
 * }
 * ```
 */
export class NotReadyError extends Error {
  /** The name of the class, for where `instanceof` does not reach. */
  override readonly name = "NotReadyError";
  /** The same in each version, and for each copy of this class. */
  readonly code = "ERR_NOT_READY";
  /** The sidecars that were not ready, in the order of the hooks. */
  readonly late: readonly LateSidecar[];
  /** How long they were waited for, in milliseconds. */
  readonly timeoutMs: number;

  /** Names each sidecar, and its last answer. */
  constructor(late: readonly LateSidecar[], timeoutMs: number) {
    super(`not ready after ${formatDuration(timeoutMs)}: ${describeLate(late)}`);
    this.late = late;
    this.timeoutMs = timeoutMs;
  }
}

/** The sidecars that were not ready, for a line of text. */
export function describeLate(late: readonly LateSidecar[]): string {
  return late.map(({ hook, answer }) => `${hook} (${answer})`).join(", ");
}
