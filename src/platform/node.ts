/**
 * The platform on Node.
 *
 * @module
 */

import { spawn as startProcess, spawnSync as runToEnd } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import process from "node:process";
import tls from "node:tls";
import tty from "node:tty";
import { exitCodeOfSignal, WRAPPER_FAILED } from "../exit_code.ts";
import { ANYONE_EXECUTES, DEFAULT_PATH } from "./files.ts";
import { errorCode, isMissing, isNobodyListening, isSomebodyListening } from "./errors.ts";
import { writeAll } from "./pipe.ts";
import { CATCHABLE, type CatchableSignal, ONLY_ON_MACOS, type SignalName } from "./signals.ts";
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
  return process.env[name];
}

export function variableNames(): readonly string[] {
  return Object.keys(process.env);
}

export function variableIsReadable(_name: string): boolean {
  return true;
}

export function processId(): number {
  return process.pid;
}

export function isTerminal(stream: "stdout" | "stderr"): boolean {
  return tty.isatty(DESCRIPTORS[stream]);
}

const DESCRIPTORS = { stdout: 1, stderr: 2 } as const;

export async function spawn(
  words: readonly string[],
  { newSession, variables }: SpawnOptions,
): Promise<Child> {
  const [file, ...args] = words;
  if (file === undefined) throw new TypeError("no command to start");
  const child = startProcess(file, args, {
    stdio: "inherit",
    detached: newSession,
    ...(variables === undefined ? {} : { env: { ...process.env, ...variables } }),
  });
  const exit = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => resolve(toExit(code, signal)));
  });
  // Node throws some errors at once and reports others, such as a missing file, by an event.
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  // From here on an error could only come from `child.kill`, which is never called.
  if (child.pid === undefined) throw new Error("no process id");
  return { pid: child.pid, exit };
}

/** Node has no names for real-time signals: it reports exit code 0 if one of them ends COMMAND. */
function toExit(code: number | null, signal: NodeJS.Signals | null): Exit {
  return signal === null
    ? { code: code ?? WRAPPER_FAILED }
    : { code: exitCodeOfSignal(os.constants.signals[signal] ?? 0), signal };
}

export function runProgram(words: readonly string[]): string | undefined {
  const [file = "", ...args] = words;
  const { stdout, error, signal } = runToEnd(file, args, { stdio: ["ignore", "pipe", "ignore"] });
  return error === undefined && signal === null ? stdout.toString() : undefined;
}

export function runApart(words: readonly string[]): Promise<string | undefined> {
  const [file = "", ...args] = words;
  return new Promise((resolve) => {
    const stdio = ["ignore", "pipe", "ignore"] as const;
    const child = startProcess(file, args, { detached: true, stdio: [...stdio] });
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (part: string) => text += part);
    child.once("error", () => resolve(undefined));
    child.once("close", () => resolve(text));
  });
}

export function opensTerminal(): boolean | undefined {
  if (IS_WINDOWS) return tty.isatty(0) || tty.isatty(1);
  try {
    fs.closeSync(fs.openSync("/dev/tty", "r"));
    return true;
  } catch (error) {
    return errorCode(error) === "ENXIO" ? false : undefined;
  }
}

export const IS_WINDOWS: boolean = process.platform === "win32";

export const IS_LINUX: boolean = process.platform === "linux";

export const CATCHABLE_SIGNALS: readonly CatchableSignal[] = [...CATCHABLE, ...ONLY_ON_MACOS];

export function addSignalListener(signal: CatchableSignal, listener: () => void): boolean {
  // For Node any other word is an event that never happens.
  if (!(signal in os.constants.signals)) return false;
  try {
    process.on(signal, listener);
    return true;
  } catch {
    return false;
  }
}

export function removeSignalListener(signal: CatchableSignal, listener: () => void): void {
  process.removeListener(signal, listener);
}

export function unblockSignals(_signals: readonly SignalName[]): void {
  throw new Error("Node cannot change which signals are blocked");
}

/** Node can catch SIGBUS any number of times already. */
export function releaseBusSignal(): void {}

export function kill(pid: number, signal: SignalName): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (errorCode(error) === "ESRCH") return false;
    throw error;
  }
}

export function openChildWaiter(): ChildWaiter {
  throw new Error("Node cannot wait for processes that it did not start");
}

export function addUncaughtErrorListener(listener: (error: unknown) => void): () => void {
  process.on("uncaughtException", listener);
  return () => {
    process.removeListener("uncaughtException", listener);
  };
}

export async function connect(
  address: SocketAddress,
  isSecure: boolean,
  signal: AbortSignal,
): Promise<Connection> {
  const where = "path" in address ? address : { host: address.hostname, port: address.port };
  const isName = "hostname" in address && net.isIP(address.hostname) === 0;
  const socket = isSecure
    ? tls.connect({ ...where, ...(isName ? { servername: address.hostname } : {}) })
    : net.connect(where);
  await opened(socket, isSecure ? "secureConnect" : "connect", signal);
  // Otherwise the request waits until the server acknowledges the handshake's end: 40 ms on Linux.
  if (isSecure) socket.setNoDelay();
  // An error that arrives after the last read must not end the process.
  socket.on("error", () => {});
  const chunks: AsyncIterator<Uint8Array<ArrayBuffer>> = socket[Symbol.asyncIterator]();
  return {
    async read() {
      const { done, value } = await chunks.next();
      return done ? undefined : value;
    },
    write: (bytes) =>
      new Promise((resolve, reject) => {
        socket.write(bytes, (error) => error ? reject(error) : resolve());
      }),
    setIdle(isIdle) {
      if (isIdle) socket.unref();
      else socket.ref();
    },
    close: () => socket.destroy(),
  };
}

function opened(socket: net.Socket, event: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = () => socket.destroy(signal.reason);
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    socket.once("error", reject);
    socket.once("close", () => signal.removeEventListener("abort", giveUp));
    socket.once(event, () => {
      signal.removeEventListener("abort", giveUp);
      resolve();
    });
  });
}

export async function acceptsConnections(
  address: SocketAddress,
  signal: AbortSignal,
): Promise<boolean> {
  const where = "path" in address ? address : { host: address.hostname, port: address.port };
  const socket = net.connect(where);
  try {
    await opened(socket, "connect", signal);
    return true;
  } catch (error) {
    if (isNobodyListening(error)) return false;
    if (isSomebodyListening(error)) return true;
    throw error;
  } finally {
    socket.destroy();
  }
}

export function writeToStdout(text: string): void {
  writeAll(new TextEncoder().encode(text), (bytes) => fs.writeSync(DESCRIPTORS.stdout, bytes));
}

let stderr: number | undefined;

export function writeToStderr(bytes: Uint8Array): number {
  stderr ??= openStderr();
  return fs.writeSync(stderr, bytes);
}

export function prepareStderr(): void {
  stderr ??= openStderr();
}

/**
 * A descriptor for stderr that never waits. stderr itself cannot be made non-blocking, because it is the
 * same open file as COMMAND's; the pipe or the terminal behind it can be opened once more. On macOS that
 * would be the same open file, too.
 */
function openStderr(): number {
  try {
    const path = "/proc/self/fd/2";
    const mayWait = IS_LINUX && (fs.statSync(path).isFIFO() || isTerminal("stderr"));
    if (!mayWait) return DESCRIPTORS.stderr;
    const { O_WRONLY, O_NOCTTY, O_NONBLOCK } = fs.constants;
    return fs.openSync(path, O_WRONLY | O_NOCTTY | O_NONBLOCK);
  } catch {
    // It is closed, its reader is gone, or it is another user's.
    return DESCRIPTORS.stderr;
  }
}

export function searchPath(): string | undefined {
  if (IS_WINDOWS) return undefined;
  return process.env["PATH"] ?? DEFAULT_PATH;
}

export function fileKind(path: string): "program" | "data" | "folder" | "other" {
  const stat = fs.statSync(path);
  if (!stat.isFile()) return stat.isDirectory() ? "folder" : "other";
  if (IS_WINDOWS) return "program";
  return (stat.mode & ANYONE_EXECUTES) === 0 ? "data" : "program";
}

export function readBytes(path: string, offset: number, length: number): Uint8Array {
  const file = fs.openSync(path, "r");
  try {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, fs.readSync(file, bytes, 0, length, offset));
  } finally {
    fs.closeSync(file);
  }
}

export function readTextFile(path: string): string {
  return fs.readFileSync(path, "utf8");
}

export function writeTextFile(path: string, text: string): void {
  fs.writeFileSync(path, text);
}

export function appendTextFile(path: string, text: string): void {
  fs.appendFileSync(path, text);
}

export function fileSize(path: string): number | undefined {
  try {
    const stat = fs.statSync(path);
    return stat.isFile() ? stat.size : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function renameFile(from: string, to: string): void {
  fs.renameSync(from, to);
}

export function removeFile(path: string): void {
  fs.unlinkSync(path);
}

export function isPipe(path: string): boolean {
  try {
    return fs.statSync(path).isFIFO();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

export function readLink(path: string): string {
  return fs.readlinkSync(path);
}

export function listFolder(path: string): string[] {
  return fs.readdirSync(path);
}

/** On Node the program always runs from its source. */
export function createLockFile(_path: string): LockFile {
  throw new Error("containers above 1 need Deno: Node has no file locks");
}

export function openLockFile(_path: string, _kind: "file" | "folder"): LockFile | undefined {
  throw new Error("containers above 1 need Deno: Node has no file locks");
}

export function executablePath(): string | undefined {
  return undefined;
}

export function runtimePath(): string {
  return process.execPath;
}

export function runtimeName(): string {
  return `node ${process.versions.node}, ${process.arch}-${process.platform}`;
}
