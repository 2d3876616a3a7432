/**
 * COMMAND's program: the file that its first word means, as `execvp` finds it, and why it cannot be
 * started.
 *
 * The runtimes' own searches of PATH differ from `execvp`'s and from each other, and the C library
 * hands every file that the kernel does not know to `/bin/sh`, a program of another machine too.
 *
 * @module
 */

import { CANNOT_EXECUTE, NOT_FOUND } from "../exit_code.ts";
import { redactCommand } from "../log/redact.ts";
import { errorCode, startErrorReason } from "../platform/errors.ts";
import {
  fileKind,
  IS_LINUX,
  listFolder,
  readBytes,
  runtimePath,
  searchPath,
  spawn,
} from "../platform/mod.ts";
import type { Child, SpawnOptions } from "../platform/types.ts";
import { isElf, loaderOf } from "../process/elf.ts";
import { readOrUndefined } from "../process/proc.ts";
import { StartError } from "./errors.ts";

/** Why one file was not started. */
interface Failure {
  /** The system's code for it, such as `ENOENT`. */
  readonly code: string;
  /** In words for an operator. */
  readonly reason: string;
  readonly exitCode: number;
  readonly cause?: unknown;
}

/** After these errors `execvp` tries the next folder of PATH. */
const TRY_NEXT: ReadonlySet<string> = new Set([
  "EACCES",
  "ENODEV",
  "ENOENT",
  "ENOTDIR",
  "ESTALE",
  "ETIMEDOUT",
]);

/** What `execvp` starts a script with that does not name its interpreter. */
const SHELL = "/bin/sh";

/**
 * Starts a command as `execvp` would.
 *
 * @param words the first one is looked up on PATH, unless it has a slash
 * @throws {StartError} if it cannot be started
 */
export async function startProgram(
  words: readonly string[],
  options: SpawnOptions,
): Promise<Child> {
  const [name = "", ...args] = words;
  let failure: Failure = { code: "ENOENT", reason: "not found", exitCode: NOT_FOUND };
  for (const file of filesFor(name, options)) {
    // A name alone is what only the runtime can search for.
    const problem = file.includes("/") ? findProblem(file, options) : undefined;
    const found = problem ?? await tryToStart(file, args, options);
    if (!("code" in found)) return found;
    // The error that says most, and last of all that there is no such file.
    if (rank(found) > rank(failure)) failure = found;
    if (!TRY_NEXT.has(found.code)) break;
  }
  throw new StartError(redactCommand(name), { ...failure, reason: withHint(name, failure) });
}

function rank({ code, reason }: Failure): number {
  if (!TRY_NEXT.has(code)) return 3;
  if (code === "EACCES") return 2;
  return reason === "not found" ? 0 : 1;
}

/** The files that a name can mean, in the order in which they are tried. */
function filesFor(name: string, { variables }: SpawnOptions): readonly string[] {
  const path = name.includes("/") ? undefined : variables?.["PATH"] ?? searchPath();
  if (path === undefined) return [name];
  if (name === "") return [];
  // An empty folder is the working directory.
  return path.split(":").map((folder) => `${folder || "."}/${name}`);
}

async function tryToStart(
  file: string,
  args: readonly string[],
  options: SpawnOptions,
): Promise<Child | Failure> {
  try {
    return await spawn([file, ...args], options);
  } catch (error) {
    if (errorCode(error) === "ENOEXEC" && isText(file)) {
      const shell = await tryToStart(SHELL, [file, ...args], options);
      return "code" in shell ? NO_SHELL : shell;
    }
    return explain(file, error, options);
  }
}

const NO_SHELL: Failure = {
  code: "ENOEXEC",
  reason: `a script without #!, and ${SHELL} cannot be started`,
  exitCode: CANNOT_EXECUTE,
};

/** What can be seen of a file before it is started; undefined if nothing speaks against it. */
function findProblem(file: string, options: SpawnOptions): Failure | undefined {
  let kind: ReturnType<typeof fileKind>;
  try {
    kind = fileKind(file);
  } catch (error) {
    // A program that uses the library may start files that it may not read.
    return errorCode(error) === "" ? undefined : failureOf(error);
  }
  if (kind === "folder") return denied("is a folder");
  if (kind === "other") return denied("is not a file");
  if (kind === "data") return denied("permission denied: the file is not executable (chmod +x)");
  const head = readHead(file);
  if (head === undefined) return undefined;
  const sought = soughtWithReturn(head);
  const isThere = (path: string) => readOrUndefined(() => fileKind(path)) !== undefined;
  if (sought !== undefined && !filesFor(`${sought}\r`, options).some(isThere)) {
    return {
      // The kernel would start it, so that no other folder of PATH is tried.
      code: "ENOEXEC",
      reason:
        `its interpreter ${sought} is not found, because a carriage return follows its name: ` +
        WINDOWS_LINES,
      exitCode: NOT_FOUND,
    };
  }
  if (!isForeign(head) || kernelHasOtherFormats()) return undefined;
  return {
    code: "ENOEXEC",
    reason: `not an executable of this machine${describeForeign(head)}`,
    exitCode: CANNOT_EXECUTE,
  };
}

const WINDOWS_LINES = "the script has Windows line endings (dos2unix)";

/**
 * What `#!/usr/bin/env bash` in a script with Windows line endings looks for: `bash\r`, which is hardly ever there.
 * `env` itself would say so with that carriage return, and the same exit code.
 */
function soughtWithReturn(head: Uint8Array): string | undefined {
  const first = new TextDecoder().decode(head.subarray(0, head.indexOf("\n".charCodeAt(0)) + 1));
  return /^#![ \t]*(?:\/usr)?\/bin\/env[ \t]+([^-\s=][^\s=]*)[^=]*\r\n$/.exec(first)?.[1];
}

function denied(reason: string): Failure {
  return { code: "EACCES", reason, exitCode: CANNOT_EXECUTE };
}

function failureOf(cause: unknown): Failure {
  const [reason, exitCode] = startErrorReason(cause);
  return { code: errorCode(cause), reason, exitCode, cause };
}

/** Why the system refuses to start a file that is there: most often for want of another one. */
function explain(file: string, error: unknown, options: SpawnOptions): Failure {
  const failure = failureOf(error);
  const head = readHead(file);
  if (head === undefined || (failure.code !== "ENOENT" && failure.code !== "EACCES")) {
    return failure;
  }
  const interpreter = interpreterOf(head);
  if (interpreter !== undefined) return { ...failure, reason: explainInterpreter(interpreter) };
  if (failure.code === "EACCES") return failure;
  if (isMachO(head)) return failure;
  if (!isElf(head)) return NO_SHELL;
  const loader = readOrUndefined(() => loaderOf(file));
  return loader === undefined ? failure : {
    ...failure,
    reason: `its loader ${loader.path} is not found: it is built for another C library`,
  };

  function explainInterpreter(path: string): string {
    if (path.endsWith("\r")) {
      const { length } = path;
      return `its interpreter ${path.slice(0, length - 1)} is not found, because a carriage ` +
        `return follows its name: ${WINDOWS_LINES}`;
    }
    const problem = findProblem(path, options);
    if (problem?.code === "ENOENT") return `its interpreter ${path} is not found`;
    if (problem !== undefined) return `its interpreter ${path}: ${problem.reason}`;
    // An interpreter can be a script, too.
    const next = explain(path, error, options).reason;
    return next === failure.reason ? next : `its interpreter ${path}: ${next}`;
  }
}

/** What a mistyped name is likely to mean. Nothing of it is repeated: it can hold a secret. */
function withHint(name: string, { code, reason }: Failure): string {
  if (!["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(code)) return reason;
  const hint = name === ""
    ? "its name is empty"
    : name.endsWith("\r")
    ? "a carriage return follows its name (Windows line endings)"
    : /^[A-Za-z_]\w*=/.test(name)
    ? "NAME=VALUE before a command is a shell's syntax; write env NAME=VALUE COMMAND"
    : /^\s|\s$/.test(name)
    ? "its name starts or ends with a blank"
    : /\s/.test(name)
    ? "all of it is one word, blanks included; make each argument a word of its own"
    : undefined;
  return hint === undefined ? reason : `${reason}: ${hint}`;
}

/** As much of a file as the kernel looks at. */
const HEAD_BYTES = 256;

/** Its first bytes; undefined if it cannot be read, which a program that can be executed need not be. */
function readHead(file: string): Uint8Array | undefined {
  return readOrUndefined(() => readBytes(file, 0, HEAD_BYTES));
}

/** The interpreter that a script's first line names. */
function interpreterOf(head: Uint8Array): string | undefined {
  const [, path] = /^#![ \t]*([^ \t\n\0]+)/.exec(new TextDecoder().decode(head)) ?? [];
  return path;
}

function isText(file: string): boolean {
  const head = readHead(file);
  return head === undefined || !isForeign(head);
}

/**
 * Whether the kernel does not know a file's format, and it is not text either: an ELF file of another
 * machine, or a NUL in the first line, as bash decides it.
 */
function isForeign(head: Uint8Array): boolean {
  if (isElf(head)) return !isOfThisMachine(head);
  if (interpreterOf(head) !== undefined) return false;
  // Not on Linux, the wrapper itself tells what this system's programs look like.
  const own = ownHead();
  if (own !== undefined && ((isMachO(own) && isMachO(head)) || (isPe(own) && isPe(head)))) {
    return false;
  }
  const end = head.indexOf("\n".charCodeAt(0));
  return head.subarray(0, end < 0 ? head.length : end).includes(0);
}

/**
 * Whether the kernel was told to run other formats (binfmt_misc), by an emulator for example. A
 * container does not see that unless it was mounted there.
 */
function kernelHasOtherFormats(): boolean {
  if (!IS_LINUX) return false;
  const names = readOrUndefined(() => listFolder("/proc/sys/fs/binfmt_misc")) ?? [];
  return names.some((name) => name !== "register" && name !== "status");
}

function startsWith(head: Uint8Array, ...bytes: readonly number[]): boolean {
  return bytes.every((byte, index) => head[index] === byte);
}

/** A machine in an ELF header, by the name that images have for it. */
const MACHINES: ReadonlyMap<number, string> = new Map([
  [3, "386"],
  [21, "ppc64le"],
  [22, "s390x"],
  [40, "arm"],
  [62, "amd64"],
  [183, "arm64"],
  [243, "riscv64"],
]);

/** Most kernels run the 32-bit programs of their processors. */
const RUNS_TOO: ReadonlyMap<number, number> = new Map([[62, 3], [183, 40]]);

/** @see https://man7.org/linux/man-pages/man5/elf.5.html */
function isOfThisMachine(head: Uint8Array): boolean {
  if (head.length < 20) return false;
  const ownFile = ownHead();
  if (ownFile === undefined) return true;
  if (!isElf(ownFile)) return false;
  const own = word(ownFile, 18);
  const machine = word(head, 18);
  const [ET_EXEC, ET_DYN] = [2, 3];
  const type = word(head, 16);
  return (machine === own || machine === RUNS_TOO.get(own)) &&
    (type === ET_EXEC || type === ET_DYN);
}

/** The first bytes of the wrapper's own program. */
function ownHead(): Uint8Array | undefined {
  return (IS_LINUX ? readHead("/proc/self/exe") : undefined) ??
    readOrUndefined(() => readBytes(runtimePath(), 0, HEAD_BYTES));
}

/** Programs of macOS; with two architectures or more, the second of these. */
function isMachO(head: Uint8Array): boolean {
  return startsWith(head, 0xcf, 0xfa, 0xed, 0xfe) || startsWith(head, 0xca, 0xfe, 0xba, 0xbe);
}

/** Programs of Windows. */
function isPe(head: Uint8Array): boolean {
  return startsWith(head, 0x4d, 0x5a);
}

function word(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) + 256 * (bytes[offset + 1] ?? 0);
}

function describeForeign(head: Uint8Array): string {
  const machine = isElf(head) ? MACHINES.get(word(head, 18)) : undefined;
  const ownFile = ownHead();
  const own = ownFile && isElf(ownFile) ? MACHINES.get(word(ownFile, 18)) : undefined;
  if (machine !== undefined && own !== undefined && machine !== own) {
    return `: it is built for ${machine}, and this is ${own}`;
  }
  if (isPe(head)) return ": it is built for Windows";
  if (isElf(head) && ownFile && !isElf(ownFile)) return ": it is built for Linux";
  return isMachO(head) ? ": it is built for macOS" : "";
}
