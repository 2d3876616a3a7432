/**
 * The types that `platform.ts` and its Node twin have in common.
 *
 * @module
 */

/** How a command ended: `code` is 128 + N when signal N ended it. */
export interface Exit {
  /** The exit code as a shell would show it. */
  readonly code: number;
  /** The signal that ended the command, if one did: `SIGTERM`, or a bare number like `35`. */
  readonly signal?: string;
}

/** A command that runs. */
export interface Child {
  /** Its process id. */
  readonly pid: number;
  /** Settles when the command is over; never rejects. */
  readonly exit: Promise<Exit>;
}

/** The system's calls that wait for children, as far as reaping needs them. */
export interface ChildWaiter {
  /** Makes orphans among this process's descendants its own children. */
  adoptOrphans(): void;
  /** A child that has ended and was not waited for; its status stays. */
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
  /** Ends it at once, in both directions; a further call does nothing. */
  close(): void;
}
