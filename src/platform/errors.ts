/**
 * Errors of the operating system: their codes, and what they mean in words for an operator.
 *
 * @module
 */

import { CANNOT_EXECUTE, NOT_FOUND, WRAPPER_FAILED } from "../exit_code.ts";

/**
 * The systems' numbers for errors that Deno reports without a code: "Exec format error (os error 8)".
 * Where macOS has another number than Linux, Linux has it for an error that does not happen here.
 */
const CODES: Readonly<Record<string, string>> = {
  "2": "ENOENT",
  "6": "ENXIO",
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
  "27": "EFBIG",
  "28": "ENOSPC",
  "30": "EROFS",
  "36": "ENAMETOOLONG",
  "40": "ELOOP",
  "111": "ECONNREFUSED",
  // macOS
  "35": "EAGAIN",
  "61": "ECONNREFUSED",
  "62": "ELOOP",
  "63": "ENAMETOOLONG",
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

/** Whether too many files are open, in this process or in the system. */
export function isOutOfDescriptors(error: unknown): boolean {
  return ["EMFILE", "ENFILE"].includes(errorCode(error));
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

/** Why a connection failed; what is the same for a file is in the table above. */
const NETWORK_REASONS: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: "the address is not available here",
  EAI_AGAIN: "its name does not resolve",
  ECONNABORTED: "connection aborted",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network is unreachable",
  ENOTFOUND: "its name does not resolve",
  EPIPE: "connection closed",
  ETIMEDOUT: "the connection timed out",
};

/**
 * What the runtimes say about TLS and names, without any part that depends on the input. They have no
 * code for most of it.
 */
const KNOWN_PHRASES: readonly (readonly [phrase: RegExp, reason?: string])[] = [
  [/failed to lookup address information/, "its name does not resolve"],
  [/certificate not valid for name/, "invalid peer certificate: NotValidForName"],
  [/certificate expired/, "invalid peer certificate: Expired"],
  [/certificate not valid yet/, "invalid peer certificate: NotValidYet"],
  [/invalid peer certificate(: (BadEncoding|BadSignature|Expired|InvalidPurpose|NotValidForName|NotValidYet|Revoked|UnhandledCriticalExtension|UnknownIssuer|UnknownRevocationStatus)\b)?/],
  [/received fatal alert: [A-Za-z]{1,40}\b/],
  [/received corrupt message of type [A-Za-z]{1,40}\b/],
  [/tls handshake eof/],
  [/self-signed certificate( in certificate chain)?/],
  [/unable to (get local issuer|verify the first) certificate/],
  [/certificate has expired/],
  [/(?:tlsv1|sslv3|tlsv13) alert [a-z ]{1,40}/],
  [/wrong version number|packet length too long/],
  [/socket hang up/],
];

/**
 * Why something failed, in words that depend on the kind of error alone. What the runtime says may
 * quote an argument, a header, or a URL with a secret, so it is never printed as it is.
 *
 * @example
 * ```ts
 * import { errorReason } from "./errors.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(errorReason(new TypeError('Invalid header value: "sesame"')), "TypeError");
 * ```
 */
export function errorReason(error: unknown): string {
  if (!(error instanceof Error)) return `a thrown ${typeof error}`;
  const code = errorCode(error);
  const known = NETWORK_REASONS[code] ?? FILE_REASONS[code];
  if (known !== undefined) return known;
  if (error.name === "NotCapable") {
    const [, permission = "…"] = /^Requires ([a-z]+) access/.exec(error.message) ?? [];
    return `the permission --allow-${permission} is missing`;
  }
  for (const [phrase, reason] of KNOWN_PHRASES) {
    const found = phrase.exec(error.message);
    if (found !== null) return reason ?? found[0];
  }
  return errorLabel(error);
}

/** An error's class, and its code if it has one: what can be printed of any error. */
export function errorLabel(error: Error): string {
  const name = error.name.replaceAll(/\W/g, "");
  const code = errorCode(error).replaceAll(/\W/g, "");
  return code === "" || name === code ? name : `${name} (${code})`;
}

/**
 * Why code that is not ours failed. The words of a plain `Error` are its author's; every other class
 * is the runtime's.
 */
export function thrownReason(error: unknown): string {
  const isAuthors = error instanceof Error && error.name === "Error" && errorCode(error) === "" &&
    !error.message.includes("(os error");
  if (typeof error === "string") return error;
  return isAuthors ? error.message : errorReason(error);
}

/** Why a file or a folder could not be used, in words for an operator. */
export function fileErrorReason(error: unknown): string {
  return FILE_REASONS[errorCode(error)] ?? thrownReason(error);
}

/** Why a command could not be started, in words for an operator, and the exit code for it. */
export function startErrorReason(error: unknown): readonly [reason: string, exitCode: number] {
  return START_REASONS[errorCode(error)] ?? [thrownReason(error), CANNOT_EXECUTE];
}
