/**
 * The platform on Deno: the only file that calls Deno.
 *
 * @module
 */

import { exitCodeOfSignal, WRAPPER_FAILED } from "../exit_code.ts";
import { ANYONE_EXECUTES, DEFAULT_PATH } from "./files.ts";
import { errorCode, isMissing, isNobodyListening, isSomebodyListening } from "./errors.ts";
import { writeAll } from "./pipe.ts";
import {
  CATCHABLE,
  type CatchableSignal,
  ONLY_ON_MACOS,
  type SignalName,
  signalNumber,
} from "./signals.ts";
import type {
  Child,
  ChildWaiter,
  Connection,
  Exit,
  LockFile,
  SocketAddress,
  SpawnOptions,
} from "./types.ts";

export function environmentVariable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    // Deno refuses to return a value that is not UTF-8. COMMAND inherits it all the same.
    if (error instanceof TypeError || error instanceof Deno.errors.InvalidData) return undefined;
    // A job that uses the library may run without the permission.
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

export function variableNames(): readonly string[] {
  try {
    return Object.keys(Deno.env.toObject());
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return [];
    throw error;
  }
}

export function variableIsReadable(name: string): boolean {
  // A compiled program has all permissions.
  return Deno.build.standalone ||
    Deno.permissions.querySync({ name: "env", variable: name }).state === "granted";
}

export function processId(): number {
  return Deno.pid;
}

export function isTerminal(stream: "stdout" | "stderr"): boolean {
  return Deno[stream].isTerminal();
}

// deno-lint-ignore require-await -- Node learns only later whether the command has started.
export async function spawn(
  words: readonly string[],
  options: SpawnOptions,
): Promise<Child> {
  const child = startHere(words, options);
  return { pid: child.pid, exit: child.status.then(toExit, unnamedSignal) };
}

/**
 * Deno makes a child enter the working directory again, by its path. In a container it may be inside
 * a folder that is closed to this user, as `/root` is; `/proc/self/cwd` works all the same.
 */
function startHere(words: readonly string[], options: SpawnOptions): Deno.ChildProcess {
  try {
    return startIn(undefined, words, options);
  } catch (error) {
    if (!isClosed(() => Deno.cwd())) throw error;
    if (isClosed(() => ".")) {
      throw new Error("the working directory is closed to this user", { cause: error });
    }
    // It is the kernel's own link; only Linux has it.
    if (!IS_LINUX) throw error;
    return startIn("/proc/self/cwd", words, options);
  }
}

/** Whether this process's user may not enter a folder. */
function isClosed(findFolder: () => string): boolean {
  if (Deno.permissions.querySync({ name: "read" }).state !== "granted") return false;
  try {
    Deno.statSync(`${findFolder()}/.`);
    return false;
  } catch (error) {
    return errorCode(error) === "EACCES";
  }
}

function startIn(
  cwd: string | undefined,
  words: readonly string[],
  { newSession, variables }: SpawnOptions,
): Deno.ChildProcess {
  const [file, ...args] = words;
  if (file === undefined) throw new TypeError("no command to start");
  return new Deno.Command(file, {
    args,
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
    detached: newSession,
    ...(cwd === undefined ? {} : { cwd }),
    // Without them nothing is rebuilt: what is inherited may have bytes that are not UTF-8.
    ...(variables === undefined ? {} : { env: { ...variables } }),
  }).spawn();
}

function toExit({ code, signal }: Deno.CommandStatus): Exit {
  return signal === null ? { code } : { code, signal };
}

/** Deno has no names for real-time signals: the status is then an error with the signal's number. */
function unnamedSignal(error: unknown): Exit {
  const signal = /signal: (\d+)/i.exec(String(error))?.[1];
  return signal === undefined
    ? { code: WRAPPER_FAILED }
    : { code: exitCodeOfSignal(Number(signal)), signal };
}

export function runProgram(words: readonly string[]): string | undefined {
  const [file = "", ...args] = words;
  if (!mayRun(file)) return undefined;
  try {
    const options = { args, stdin: "null", stderr: "null" } as const;
    const { stdout, signal } = new Deno.Command(file, options).outputSync();
    return signal === null ? new TextDecoder().decode(stdout) : undefined;
  } catch {
    return undefined;
  }
}

export async function runApart(words: readonly string[]): Promise<string | undefined> {
  const [file = "", ...args] = words;
  if (!mayRun(file)) return undefined;
  const options = { args, detached: true, stdin: "null", stdout: "piped", stderr: "null" } as const;
  try {
    const { stdout } = await new Deno.Command(file, options).spawn().output();
    return new TextDecoder().decode(stdout);
  } catch {
    return undefined;
  }
}

/** On a terminal, a user would be asked for a permission that is missing. */
function mayRun(command: string): boolean {
  return Deno.permissions.querySync({ name: "run", command }).state === "granted";
}

export function opensTerminal(): boolean | undefined {
  if (IS_WINDOWS) return Deno.stdin.isTerminal() || Deno.stdout.isTerminal();
  if (Deno.permissions.querySync({ name: "read", path: "/dev/tty" }).state !== "granted") {
    return undefined;
  }
  try {
    Deno.openSync("/dev/tty").close();
    return true;
  } catch (error) {
    return errorCode(error) === "ENXIO" ? false : undefined;
  }
}

export const IS_WINDOWS: boolean = Deno.build.os === "windows";

export const IS_LINUX: boolean = Deno.build.os === "linux";

// Each attempt that fails costs time, and Linux is known.
export const CATCHABLE_SIGNALS: readonly CatchableSignal[] = IS_LINUX
  ? CATCHABLE
  : [...CATCHABLE, ...ONLY_ON_MACOS];

export function addSignalListener(signal: CatchableSignal, listener: () => void): boolean {
  try {
    Deno.addSignalListener(signal, listener);
    return true;
  } catch {
    // "Invalid signal: SIGPWR"
    return false;
  }
}

export function removeSignalListener(signal: CatchableSignal, listener: () => void): void {
  try {
    Deno.removeSignalListener(signal, listener);
  } catch {
    // It was not added: Windows refuses most signals here, too.
  }
}

/**
 * The main thread's mask is what COMMAND inherits, and one thread that takes a signal is enough for the
 * whole process.
 */
export function unblockSignals(signals: readonly SignalName[]): void {
  const library = Deno.dlopen("libc.so.6", {
    pthread_sigmask: { parameters: ["i32", "buffer", "pointer"], result: "i32" },
  });
  const SIG_UNBLOCK = 1;
  // A `sigset_t` of the C library; signal N is bit N - 1.
  const set = new DataView(new ArrayBuffer(128));
  for (const signal of signals) {
    const index = signalNumber(signal) - 1;
    set.setUint8(index >> 3, set.getUint8(index >> 3) | (1 << (index & 7)));
  }
  library.symbols.pthread_sigmask(SIG_UNBLOCK, set.buffer, null);
  library.close();
}

/**
 * Rust has a SIGBUS handler of its own, which reports stack overflows. It would be called along with
 * ours, and its first call restores the default action in place of both: the second SIGBUS would end
 * the process. Called alone, it does only that.
 */
export function releaseBusSignal(): void {
  Deno.kill(Deno.pid, "SIGBUS");
}

export function kill(pid: number, signal: SignalName): boolean {
  try {
    Deno.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || errorCode(error) === "ESRCH") return false;
    throw error;
  }
}

/** Deno itself waits only for the children that it started. */
export function openChildWaiter(): ChildWaiter {
  if (!IS_LINUX) throw new Error("this needs Linux");
  const { symbols } = Deno.dlopen("libc.so.6", {
    prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" },
    waitid: { parameters: ["i32", "i32", "buffer", "i32"], result: "i32" },
  });
  // The kernel's numbers, the same on every architecture that Deno runs on.
  const [P_ALL, P_PID, WNOHANG, WEXITED, WNOWAIT] = [0, 1, 1, 4, 0x01000000];
  const PR_SET_CHILD_SUBREAPER = 36;
  const SI_PID_OFFSET = 16;
  const info = new DataView(new ArrayBuffer(128));
  /** Finds a child that has ended; fails only if there are no children at all. */
  const look = () => symbols.waitid(P_ALL, 0, info.buffer, WEXITED | WNOHANG | WNOWAIT) === 0;
  return {
    adoptOrphans() {
      if (symbols.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n) !== 0) {
        throw new Error("the kernel does not give orphans to this process");
      }
    },
    hasChildren: look,
    firstEnded() {
      info.setInt32(SI_PID_OFFSET, 0, true);
      if (!look()) return undefined;
      return info.getInt32(SI_PID_OFFSET, true) || undefined;
    },
    take(pid) {
      symbols.waitid(P_PID, pid, info.buffer, WEXITED | WNOHANG);
    },
  };
}

export function addUncaughtErrorListener(listener: (error: unknown) => void): () => void {
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    listener(event.error);
  };
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    listener(event.reason);
  };
  addEventListener("error", onError);
  addEventListener("unhandledrejection", onRejection);
  return () => {
    removeEventListener("error", onError);
    removeEventListener("unhandledrejection", onRejection);
  };
}

export async function connect(
  address: SocketAddress,
  isSecure: boolean,
  signal: AbortSignal,
): Promise<Connection> {
  const connection = "path" in address
    ? await Deno.connect({ transport: "unix", path: address.path })
    : isSecure
    ? await connectTls(address, signal)
    : await connectTcp(address, signal);
  let isOpen = true;
  return {
    async read() {
      const buffer = new Uint8Array(LONGEST_READ_BYTES);
      const length = await connection.read(buffer);
      return length === null ? undefined : buffer.subarray(0, length);
    },
    async write(bytes) {
      for (let done = 0; done < bytes.length;) {
        done += await connection.write(bytes.subarray(done));
      }
    },
    setIdle(isIdle) {
      if (isIdle) connection.unref();
      else connection.ref();
    },
    close() {
      if (isOpen) connection.close();
      isOpen = false;
    },
  };
}

async function connectTls(address: TcpAddress, signal: AbortSignal): Promise<Deno.TlsConn> {
  const connection = await connectTcp(address, signal);
  // Otherwise the request waits until the server acknowledges the handshake's end: 40 ms on Linux.
  connection.setNoDelay();
  return await Deno.startTls(connection, { hostname: address.hostname });
}

/** Tries every address of a name: Deno 2.7 itself tries only the first. */
async function connectTcp(address: TcpAddress, signal: AbortSignal): Promise<Deno.TcpConn> {
  try {
    return await Deno.connect({ ...address, signal });
  } catch (error) {
    // An error without a code means that the name does not resolve.
    if (isIpAddress(address.hostname) || errorCode(error) === "") throw error;
    const { lookup } = await import("node:dns/promises");
    const all = await lookup(address.hostname, { all: true }).catch(() => []);
    for (const { address: hostname } of all) {
      const connection = await Deno.connect({ ...address, hostname, signal }).catch(() =>
        undefined
      );
      if (connection !== undefined) return connection;
    }
    throw error;
  }
}

type TcpAddress = Exclude<SocketAddress, { path: string }>;

function isIpAddress(hostname: string): boolean {
  return /^[\d.]+$|:/.test(hostname);
}

const LONGEST_READ_BYTES = 16 * 1024;

export async function acceptsConnections(
  address: SocketAddress,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const connection = "path" in address
      ? await Deno.connect({ transport: "unix", path: address.path })
      : await connectTcp(address, signal);
    connection.close();
    return true;
  } catch (error) {
    if (isNobodyListening(error)) return false;
    if (isSomebodyListening(error)) return true;
    throw error;
  }
}

export function writeToStdout(text: string): void {
  const bytes = new TextEncoder().encode(text);
  const writeExactly = openStdout();
  if (writeExactly !== undefined) return writeAll(bytes, writeExactly);
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

/**
 * A way to write to stdout that can be tried again. The runtime's own cannot: it says that a full pipe has taken
 * nothing, and keeps up to a kilobyte to write it later, so that it would be there twice.
 */
function openStdout(): ((bytes: Uint8Array) => number) | undefined {
  if (!IS_LINUX || !hasPermissions("ffi")) return undefined;
  try {
    const descriptor = 1;
    return writerTo(descriptor, openLibc());
  } catch {
    return undefined;
  }
}

let write: ((bytes: Uint8Array) => number) | undefined;

export function writeToStderr(bytes: Uint8Array): number {
  write ??= openStderr();
  return write(bytes);
}

export function prepareStderr(): void {
  write ??= openStderr();
}

/**
 * A way to write to stderr that never waits. stderr itself cannot be made non-blocking, because it is
 * the same open file as COMMAND's; the pipe or the terminal behind it can be opened once more.
 */
function openStderr(): (bytes: Uint8Array) => number {
  const writeAndWait = (bytes: Uint8Array) => Deno.stderr.writeSync(bytes);
  if (!IS_LINUX || !hasPermissions("read", "ffi")) return writeAndWait;
  const path = "/proc/self/fd/2";
  try {
    // A file always takes what it is given, as `/dev/null` does.
    const { isFile, isCharDevice } = Deno.statSync(path);
    if (isFile || (isCharDevice && !Deno.stderr.isTerminal())) return writeAndWait;
    return openAgain(path) ?? whereItWouldNotWait(writeAndWait);
  } catch {
    // It is closed.
    return writeAndWait;
  }
}

function hasPermissions(...names: ("read" | "ffi")[]): boolean {
  return Deno.build.standalone ||
    names.every((name) => Deno.permissions.querySync({ name }).state === "granted");
}

/** Undefined for a socket, for a pipe of another user, and for one whose reader is gone. */
function openAgain(path: string): ((bytes: Uint8Array) => number) | undefined {
  const symbols = openLibc();
  const [O_WRONLY, O_NOCTTY, O_NONBLOCK, O_CLOEXEC] = [0o1, 0o400, 0o4000, 0o2000000];
  const flags = O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
  const descriptor = symbols.open(new TextEncoder().encode(`${path}\0`), flags);
  return descriptor < 0 ? undefined : writerTo(descriptor, symbols);
}

function openLibc() {
  return Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32"], result: "i32" },
    write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
    __errno_location: { parameters: [], result: "pointer" },
  }).symbols;
}

/** Writes to a descriptor by the C library, which says exactly what was taken. */
function writerTo(
  descriptor: number,
  symbols: ReturnType<typeof openLibc>,
): (bytes: Uint8Array) => number {
  // Of the kernel's numbers, those that mean something here.
  const codes: Readonly<Record<number, string>> = {
    4: "EAGAIN",
    11: "EAGAIN",
    27: "EFBIG",
    28: "ENOSPC",
    32: "EPIPE",
  };
  return (bytes) => {
    const written = Number(symbols.write(descriptor, new Uint8Array(bytes), BigInt(bytes.length)));
    if (written >= 0) return written;
    const errno = symbols.__errno_location();
    const code = errno === null ? 0 : new Deno.UnsafePointerView(errno).getInt32();
    throw Object.assign(new Error("write"), { code: codes[code] ?? "EIO" });
  };
}

/** The least that a pipe takes if it takes anything. */
const PIPE_BUF = 4096;

/** Looks before each write whether it would wait. */
function whereItWouldNotWait(
  writeNow: (bytes: Uint8Array) => number,
): (bytes: Uint8Array) => number {
  const { symbols } = Deno.dlopen("libc.so.6", {
    poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  });
  const POLLOUT = 4;
  // A `struct pollfd`.
  const asked = new DataView(new ArrayBuffer(8));
  asked.setInt32(0, 2, true);
  asked.setInt16(4, POLLOUT, true);
  return (bytes) => {
    if (symbols.poll(asked.buffer, 1n, 0) === 0) {
      throw Object.assign(new Error("write"), { code: "EAGAIN" });
    }
    return writeNow(bytes.subarray(0, PIPE_BUF));
  };
}

export function searchPath(): string | undefined {
  if (IS_WINDOWS) return undefined;
  if (Deno.permissions.querySync({ name: "read" }).state !== "granted") return undefined;
  try {
    return Deno.env.get("PATH") ?? DEFAULT_PATH;
  } catch {
    // It is not UTF-8, or not for us to read.
    return undefined;
  }
}

export function fileKind(path: string): "program" | "data" | "folder" | "other" {
  const { isFile, isDirectory, mode } = Deno.statSync(path);
  if (!isFile) return isDirectory ? "folder" : "other";
  if (IS_WINDOWS) return "program";
  return ((mode ?? 0) & ANYONE_EXECUTES) === 0 ? "data" : "program";
}

export function readBytes(path: string, offset: number, length: number): Uint8Array {
  using file = Deno.openSync(path);
  file.seekSync(offset, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, file.readSync(bytes) ?? 0);
}

export function readTextFile(path: string): string {
  return Deno.readTextFileSync(path);
}

export function writeTextFile(path: string, text: string): void {
  Deno.writeTextFileSync(path, text);
}

export function appendTextFile(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { append: true });
}

export function fileSize(path: string): number | undefined {
  try {
    const { isFile, size } = Deno.statSync(path);
    return isFile ? size : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function renameFile(from: string, to: string): void {
  Deno.renameSync(from, to);
}

export function removeFile(path: string): void {
  Deno.removeSync(path);
}

export function isPipe(path: string): boolean {
  try {
    return Deno.statSync(path).isFifo ?? false;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

export function readLink(path: string): string {
  return Deno.readLinkSync(path);
}

export function listFolder(path: string): string[] {
  return [...Deno.readDirSync(path)].map((entry) => entry.name);
}

export function createLockFile(path: string): LockFile {
  const options = { read: true, write: true, createNew: true, mode: 0o644 };
  const file = Deno.openSync(path, options);
  // Whatever the umask says: other containers run as other users.
  Deno.chmodSync(path, 0o644);
  return toLockFile(file);
}

export function openLockFile(path: string, kind: "file" | "folder"): LockFile | undefined {
  let expected: Deno.FileInfo;
  try {
    // The folder is the operator's own choice, and may be a link.
    expected = kind === "file" ? Deno.lstatSync(path) : Deno.statSync(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  // Opening a pipe would wait for its other end.
  if (kind === "file" ? !expected.isFile : !expected.isDirectory) return undefined;
  const file = Deno.openSync(path, { read: true });
  const { dev, ino } = file.statSync();
  if (dev === expected.dev && ino === expected.ino) return toLockFile(file);
  file.close();
  return undefined;
}

function toLockFile(file: Deno.FsFile): LockFile {
  return {
    tryLock: () => file.tryLockSync(true),
    unlock: () => file.unlockSync(),
    read(mostBytes) {
      const buffer = new Uint8Array(mostBytes);
      file.seekSync(0, Deno.SeekMode.Start);
      const length = file.readSync(buffer) ?? 0;
      return new TextDecoder().decode(buffer.subarray(0, length));
    },
    write(text) {
      file.seekSync(0, Deno.SeekMode.Start);
      file.writeSync(new TextEncoder().encode(text));
    },
    close: () => file.close(),
  };
}

export function executablePath(): string | undefined {
  return Deno.build.standalone ? Deno.execPath() : undefined;
}

export function runtimePath(): string {
  return Deno.execPath();
}

export function runtimeName(): string {
  return `deno ${Deno.version.deno}, ${Deno.build.target}`;
}
