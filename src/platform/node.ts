/**
 * What `platform.ts` is on Deno, on Node. A test fails when the two have not the same shape.
 *
 * @module
 */

import { spawn as startProcess } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import process from "node:process";
import tls from "node:tls";
import tty from "node:tty";
import { errorCode } from "./errors.ts";
import { CATCHABLE, type CatchableSignal, type SignalName } from "./signals.ts";
import type { Child, ChildWaiter, Connection, Exit, HttpClient, SocketAddress } from "./types.ts";

export type { Child, ChildWaiter, Connection, Exit, HttpClient, SocketAddress } from "./types.ts";

/** A variable of the environment; undefined if it is not set. */
export function environmentVariable(name: string): string | undefined {
  return process.env[name];
}

/** This process's own id. */
export function processId(): number {
  return process.pid;
}

/** Whether file descriptor 1 or 2 is a terminal. */
export function isTerminal(stream: "stdout" | "stderr"): boolean {
  return tty.isatty(DESCRIPTORS[stream]);
}

const DESCRIPTORS = { stdout: 1, stderr: 2 } as const;

/**
 * Starts a command with the caller's own stdin, stdout, stderr, environment and working directory.
 *
 * @throws an error whose {@linkcode errorCode} says why it could not be started.
 */
export async function spawn(
  words: readonly string[],
  options: { newSession: boolean },
): Promise<Child> {
  const [file, ...args] = words;
  if (file === undefined) throw new TypeError("no command to start");
  const child = startProcess(file, args, { stdio: "inherit", detached: options.newSession });
  const exit = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => resolve(toExit(code, signal)));
  });
  // Node throws some errors at once, and reports others, a missing file for one, by an event.
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  // From here on an error would be one of `child.kill`, which nobody calls.
  if (child.pid === undefined) throw new Error("no process id");
  return { pid: child.pid, exit };
}

/** Node names no real-time signal: COMMAND's end by one of these comes as exit code 0. */
function toExit(code: number | null, signal: NodeJS.Signals | null): Exit {
  return signal === null
    ? { code: code ?? 125 }
    : { code: 128 + (os.constants.signals[signal] ?? 0), signal };
}

/** The signals that can be caught here. A real-time signal has no name for Node. */
export const CATCHABLE_SIGNALS: readonly CatchableSignal[] = CATCHABLE.filter((name) =>
  name in os.constants.signals
);

/** Calls `listener` for each such signal that this process gets, instead of what it would do. */
export function addSignalListener(signal: CatchableSignal, listener: () => void): void {
  process.on(signal, listener);
}

/** Makes SIGBUS one that can be caught more than once: on Node it is. */
export function releaseBusSignal(): void {}

/** Undoes {@linkcode addSignalListener}. */
export function removeSignalListener(signal: CatchableSignal, listener: () => void): void {
  process.removeListener(signal, listener);
}

/**
 * Sends a signal to a process, or to a process group if `pid` is negative.
 *
 * @returns false if there is no such process any more.
 */
export function kill(pid: number, signal: SignalName): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (errorCode(error) === "ESRCH") return false;
    throw error;
  }
}

/**
 * Opens the system's calls that wait for children.
 *
 * @throws an error: Node has none of them.
 */
export function openChildWaiter(): ChildWaiter {
  throw new Error("Node cannot wait for processes that it did not start");
}

/**
 * Calls `listener` for an error that nobody caught, instead of the end of the process.
 *
 * @returns a function that ends it.
 */
export function addUncaughtErrorListener(listener: (error: unknown) => void): () => void {
  process.on("uncaughtException", listener);
  return () => {
    process.removeListener("uncaughtException", listener);
  };
}

/**
 * An HTTP client for one address: that on a socket of our own, as `fetch` on Node takes no address
 * beside the URL.
 */
export function openHttpClient(_address: SocketAddress, onSocket: HttpClient): HttpClient {
  return onSocket;
}

/**
 * Opens a connection.
 *
 * @param isSecure whether it is TLS, with a certificate for the address's name
 * @param signal gives it up: the system would try for minutes
 */
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
  // An error that comes when nobody reads any more must not end the process.
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

/**
 * Opens a connection and closes it again.
 *
 * @param signal gives it up: the system would try for minutes
 * @returns false if nobody listens at that address.
 * @throws the system's error where it is anything else than "nobody listens".
 */
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
    const code = errorCode(error);
    if (code === "ECONNREFUSED" || code === "ENOENT") return false;
    // Who hangs up at once listens all the same, and so does who has a full queue.
    if (code === "ECONNRESET" || code === "EAGAIN") return true;
    throw error;
  } finally {
    socket.destroy();
  }
}

/**
 * Writes all of a text to a standard stream.
 *
 * @throws the system's error, `EPIPE` when the reader is gone.
 */
export function writeText(stream: "stdout" | "stderr", text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.length;) {
    done += fs.writeSync(DESCRIPTORS[stream], bytes, done);
  }
}

/** The whole of a file as text. */
export function readTextFile(path: string): string {
  return fs.readFileSync(path, "utf8");
}

/** Names in a folder. */
export function listFolder(path: string): string[] {
  return fs.readdirSync(path);
}

/** What a symbolic link points at. */
export function readLink(path: string): string {
  return fs.readlinkSync(path);
}

/** Writes a file, over what it held before. */
export function writeTextFile(path: string, text: string): void {
  fs.writeFileSync(path, text);
}

/** Gives a file another name, in one step that nobody sees half done. */
export function renameFile(from: string, to: string): void {
  fs.renameSync(from, to);
}

/** Removes a file. */
export function removeFile(path: string): void {
  fs.unlinkSync(path);
}

/** The file that this program is; undefined, as it always runs from its source. */
export function executablePath(): string | undefined {
  return undefined;
}

/** Whether there is a named pipe of this path. */
export function isPipe(path: string): boolean {
  return stat(path)?.isFIFO() ?? false;
}

function stat(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error))) return undefined;
    throw error;
  }
}

/** The runtime with its version, for `--version`. */
export function runtimeName(): string {
  return `node ${process.versions.node}, ${process.arch}-${process.platform}`;
}
