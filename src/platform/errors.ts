/**
 * Errors of the operating system: their codes, and what they mean in words for an operator.
 *
 * @module
 */

import { CANNOT_EXECUTE, NOT_FOUND, WRAPPER_FAILED } from "../exit_code.ts";

/** Linux's numbers for errors that Deno reports without a code: "Exec format error (os error 8)". */
const CODES: Readonly<Record<string, string>> = {
  "2": "ENOENT",
  "7": "E2BIG",
  "8": "ENOEXEC",
  "11": "EAGAIN",
  "12": "ENOMEM",
  "13": "EACCES",
  "20": "ENOTDIR",
  "21": "EISDIR",
  "23": "ENFILE",
  "24": "EMFILE",
  "26": "ETXTBSY",
  "28": "ENOSPC",
  "30": "EROFS",
  "36": "ENAMETOOLONG",
  "40": "ELOOP",
  "111": "ECONNREFUSED",
};

/** Why a file or a folder cannot be used. */
const FILE_REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EDQUOT: "the disk quota is used up",
  EEXIST: "already exists",
  EFBIG: "larger than a file may be here",
  EIO: "the disk failed",
  EISDIR: "is a folder",
  ELOOP: "too many symbolic links",
  EMFILE: "too many open files",
  ENAMETOOLONG: "its name is too long",
  ENFILE: "too many open files in the system",
  ENOENT: "no such file or folder",
  ENOSPC: "no space left on the disk",
  ENOTDIR: "a part of its path is not a folder",
  ENOTEMPTY: "is a folder",
  EPERM: "not permitted",
  EROFS: "the file system is read-only",
  ETXTBSY: "the file is being executed",
};

/** Why a command cannot be started, and the wrapper's exit code for it. */
const START_REASONS: Readonly<Record<string, readonly [reason: string, exitCode: number]>> = {
  ENOENT: ["not found", NOT_FOUND],
  EACCES: ["permission denied", CANNOT_EXECUTE],
  EISDIR: ["is a folder", CANNOT_EXECUTE],
  ENOTDIR: ["not found: a part of its path is not a folder", NOT_FOUND],
  ENOEXEC: ["not an executable of this machine, or a script without #!", CANNOT_EXECUTE],
  E2BIG: ["arguments and environment are too long", CANNOT_EXECUTE],
  ENAMETOOLONG: ["its name is too long", CANNOT_EXECUTE],
  ELOOP: ["too many symbolic links", CANNOT_EXECUTE],
  ETXTBSY: ["the file is being written", CANNOT_EXECUTE],
  EAGAIN: ["no more processes can be started here", WRAPPER_FAILED],
  ENOMEM: ["out of memory", WRAPPER_FAILED],
  EMFILE: ["too many open files", WRAPPER_FAILED],
  ENFILE: ["too many open files in the system", WRAPPER_FAILED],
};

/** The system's code for an error, such as `ENOENT`; an empty string if there is none. */
export function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return "";
  if ("code" in error && typeof error.code === "string") return error.code;
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1] ?? "";
  // An error of Deno's own search of PATH may have neither a code nor a number.
  return CODES[number] ?? (error.name === "NotFound" ? "ENOENT" : "");
}

/** The message of whatever was thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether a connection failed because nobody listens: refused, or no such Unix socket. */
export function isNobodyListening(error: unknown): boolean {
  return ["ECONNREFUSED", "ENOENT"].includes(errorCode(error));
}

/**
 * Whether a failed connection shows that somebody listens all the same: a server that hangs up at
 * once, or one whose queue is full.
 */
export function isSomebodyListening(error: unknown): boolean {
  return ["ECONNRESET", "EAGAIN"].includes(errorCode(error));
}

/** Whether this system has no address of that family: a pod without IPv6, for one. */
export function isNoSuchAddressFamily(error: unknown): boolean {
  return ["EADDRNOTAVAIL", "EAFNOSUPPORT"].includes(errorCode(error));
}

/** Whether there is no such file or folder. */
export function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(errorCode(error));
}

/**
 * Whether a connection was refused. The error of `fetch` may say only "fetch failed", with the reason
 * as its cause.
 */
export function isRefused(error: unknown): boolean {
  const reasons = error instanceof Error ? [error, error.cause] : [];
  return reasons.some((reason) => errorCode(reason) === "ECONNREFUSED");
}

/** Why a file or a folder could not be used, in words for an operator. */
export function fileErrorReason(error: unknown): string {
  return FILE_REASONS[errorCode(error)] ?? errorText(error);
}

/** Why a command could not be started, in words for an operator, and the exit code for it. */
export function startErrorReason(error: unknown): readonly [reason: string, exitCode: number] {
  return START_REASONS[errorCode(error)] ?? [errorText(error), CANNOT_EXECUTE];
}
