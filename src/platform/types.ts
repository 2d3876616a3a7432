/**
 * The contract that the calls for Deno and those for Node fulfill, and the types in it.
 *
 * @module
 */

import type { CatchableSignal, SignalName } from "./signals.ts";

/**
 * What a runtime does for the wrapper. `deno.ts` and `node.ts` export exactly these functions, in this
 * order; a test compares them. Errors are the system's own: `errors.ts` finds out what they mean.
 */
export interface Platform {
  /** An environment variable; undefined if it is not set, or cannot be read. */
  environmentVariable(name: string): string | undefined;
  /** The names of all environment variables; none if they cannot be read. */
  variableNames(): readonly string[];
  /** Whether a variable of the environment may be read. */
  variableIsReadable(name: string): boolean;
  /** The id of this process. */
  processId(): number;
  /** Whether a standard stream is a terminal. */
  isTerminal(stream: "stdout" | "stderr"): boolean;

  /**
   * Starts a command with the stdin, stdout, stderr, environment and working directory of this
   * process.
   *
   * @throws the system's error if it cannot be started
   */
  spawn(words: readonly string[], options: SpawnOptions): Promise<Child>;
  /**
   * Runs a program to its end.
   *
   * @returns what it writes to stdout; undefined if it cannot be run, or a signal has ended it
   */
  runProgram(words: readonly string[]): string | undefined;
  /** The same in a session of its own, where the keys of the terminal do not reach it. */
  runApart(words: readonly string[]): Promise<string | undefined>;
  /** Whether `/dev/tty` opens, as it does where there is a controlling terminal; undefined if unknown. */
  opensTerminal(): boolean | undefined;
  /** Whether this is Windows. */
  readonly IS_WINDOWS: boolean;
  /** Whether this is Linux, which alone lets processes be found by name, and gives orphans away. */
  readonly IS_LINUX: boolean;
  /** The signals that this system may have, and a program can catch. */
  readonly CATCHABLE_SIGNALS: readonly CatchableSignal[];
  /**
   * Calls `listener` for each such signal, in place of the signal's default action.
   *
   * @returns false if this system has no such signal, or does not let it be caught
   */
  addSignalListener(signal: CatchableSignal, listener: () => void): boolean;
  /** Undoes `addSignalListener`. */
  removeSignalListener(signal: CatchableSignal, listener: () => void): void;
  /**
   * Lets signals through that this process's parent had blocked: those that are pending come at once.
   *
   * @throws an error that explains why the runtime cannot do it
   */
  unblockSignals(signals: readonly SignalName[]): void;
  /** Makes it possible to catch SIGBUS more than once. Call it once, before anyone listens to it. */
  releaseBusSignal(): void;
  /**
   * Sends a signal to a process, or to a process group if `pid` is negative.
   *
   * @returns false if there is no such process
   */
  kill(pid: number, signal: SignalName): boolean;
  /**
   * Opens the system calls that wait for children.
   *
   * @throws an error that explains why the runtime does not provide them
   */
  openChildWaiter(): ChildWaiter;
  /**
   * Calls `listener` for each error that nobody caught, which would otherwise end the process.
   *
   * @returns a function that removes the listener
   */
  addUncaughtErrorListener(listener: (error: unknown) => void): () => void;

  /**
   * Opens a connection.
   *
   * @param isSecure whether to use TLS, which requires a certificate for the address's host
   * @param signal ends the attempt: the system would keep trying for minutes
   */
  connect(address: SocketAddress, isSecure: boolean, signal: AbortSignal): Promise<Connection>;
  /**
   * Opens a connection and closes it again.
   *
   * @param signal ends the attempt: the system would keep trying for minutes
   * @returns false if nobody listens at that address
   * @throws the system's error, unless it means that nobody listens
   */
  acceptsConnections(address: SocketAddress, signal: AbortSignal): Promise<boolean>;

  /**
   * Writes all of a text to stdout.
   *
   * @throws the system's error, `EPIPE` if the reader is gone
   */
  writeToStdout(text: string): void;
  /**
   * Writes bytes to stderr. On Linux it does not wait for the reader of a pipe, nor for a terminal.
   *
   * @returns how many were written
   * @throws the system's error: `EAGAIN` if it takes nothing now, `EPIPE` if the reader is gone
   */
  writeToStderr(bytes: Uint8Array): number;
  /** Does now what the first write to stderr would do besides. */
  prepareStderr(): void;
  /**
   * The folders that `execvp` looks for a command in, separated by colons: PATH, or the C library's
   * default. Undefined if only the runtime can search them.
   */
  searchPath(): string | undefined;
  /**
   * What is at a path, symbolic links followed: a file that somebody may execute, one that nobody may,
   * a folder, or something else.
   */
  fileKind(path: string): "program" | "data" | "folder" | "other";
  /** A part of a file's bytes; fewer, where the file ends before. */
  readBytes(path: string, offset: number, length: number): Uint8Array;
  /** The content of a file. */
  readTextFile(path: string): string;
  /** Replaces the content of a file, or creates it. */
  writeTextFile(path: string, text: string): void;
  /** Adds a text at the end of a file, or creates it. */
  appendTextFile(path: string, text: string): void;
  /** The size of an ordinary file, in bytes; undefined if there is none. */
  fileSize(path: string): number | undefined;
  /** Renames a file, in one step that nobody sees half done. */
  renameFile(from: string, to: string): void;
  /** Removes a file. */
  removeFile(path: string): void;
  /** Whether a path is that of a named pipe. */
  isPipe(path: string): boolean;
  /** The target of a symbolic link. */
  readLink(path: string): string;
  /** The names in a folder. */
  listFolder(path: string): string[];

  /**
   * Makes a new file that can be locked, readable for all.
   *
   * @throws the system's error; on Node always, as it has no locks
   */
  createLockFile(path: string): LockFile;
  /**
   * Opens an ordinary file, or a folder, to lock it.
   *
   * @returns undefined if there is none, or something else, a link for one
   */
  openLockFile(path: string, kind: "file" | "folder"): LockFile | undefined;

  /** This program's file; undefined if it is not compiled and runs from its source. */
  executablePath(): string | undefined;
  /** The file of the program that runs: the runtime's own, where the wrapper runs from its source. */
  runtimePath(): string;
  /** The runtime and its version, for `--version`. */
  runtimeName(): string;
}

/** How a command is started. */
export interface SpawnOptions {
  /** Whether it leads a session of its own. */
  readonly newSession: boolean;
  /** Variables that it gets in addition to those of this process, or in their place. */
  readonly variables?: Readonly<Record<string, string>> | undefined;
}

/** How a command ended. */
export interface Exit {
  /** The exit code as a shell shows it: 128 + N if signal N ended the command. */
  readonly code: number;
  /** The signal that ended the command, if one did: `SIGTERM`, or a bare number such as `35`. */
  readonly signal?: string;
}

/** A running command. */
export interface Child {
  /** Its process id. */
  readonly pid: number;
  /** Settles when the command ends; never rejects. */
  readonly exit: Promise<Exit>;
}

/** A file with a lock, which the kernel releases however the process ends. */
export interface LockFile {
  /** Takes the lock; false if another process has it. */
  tryLock(): boolean;
  /** Releases the lock. */
  unlock(): void;
  /** The text at the start, at most that many bytes. */
  read(mostBytes: number): string;
  /** Writes a text at the start. */
  write(text: string): void;
  /** Releases the lock and closes the file. */
  close(): void;
}

/** The system calls that wait for children, as far as reaping needs them. */
export interface ChildWaiter {
  /** Makes this process the parent of each orphan among its descendants. */
  adoptOrphans(): void;
  /** Whether this process has children, running or not. */
  hasChildren(): boolean;
  /** A child that has ended and was not waited for; it stays a zombie. */
  firstEnded(): number | undefined;
  /** Takes the status of a child that has ended. */
  take(pid: number): void;
}

/** Where a connection goes: a host and port, or the path of a Unix socket. */
export type SocketAddress =
  | { readonly hostname: string; readonly port: number }
  | { readonly path: string };

/** A connection of bytes. */
export interface Connection {
  /** The bytes that come next; undefined at the end. */
  read(): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Sends all these bytes. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Whether the process may end although this connection is open. */
  setIdle(isIdle: boolean): void;
  /** Closes it at once, in both directions; another call does nothing. */
  close(): void;
}
