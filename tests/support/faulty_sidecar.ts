/** Sidecars that misbehave: sockets that send raw bytes, where a server would send valid HTTP. */

import net from "node:net";
import tls from "node:tls";

/** The sidecar's end of a connection. */
export interface Connection {
  /** Sends bytes, or a text with one byte a character; rejects when the wrapper has hung up. */
  send(data: string | Uint8Array): Promise<void>;
  /** Hangs up, after everything was sent. */
  end(): void;
  /** Hangs up with a reset. */
  reset(): void;
  /** Settles when either side has closed the connection. */
  readonly closed: Promise<void>;
}

/** What a sidecar does; by default nothing. */
export interface Behavior {
  /** On a connection, before any data has arrived. */
  readonly onConnection?: (connection: Connection) => void | Promise<void>;
  /** On the head of a request, the `number`th of those that are not GET, counted from 1. */
  readonly onStop?: (
    connection: Connection,
    number: number,
    sidecar: FaultySidecar,
  ) => void | Promise<void>;
  /** On a GET. */
  readonly onProbe?: (connection: Connection) => void | Promise<void>;
}

/** Where a sidecar listens. */
export interface Place {
  /** `127.0.0.1` by default. */
  readonly hostname?: string;
  /** Any free port by default. */
  readonly port?: number;
  /** A Unix socket instead of a port. */
  readonly path?: string;
  /** Its key and certificate, if it speaks TLS. */
  readonly identity?: { readonly key: string; readonly cert: string };
}

/** A request that the sidecar got. */
export interface Arrival {
  /** `POST /quit` */
  readonly line: string;
  /** When it arrived, on the clock of `performance.now()`. */
  readonly atMs: number;
}

/** A running sidecar. */
export interface FaultySidecar extends AsyncDisposable {
  /** Its port; 0 on a Unix socket. */
  readonly port: number;
  /** Every request whose head has arrived, the oldest first. */
  readonly requests: readonly Arrival[];
  /** The requests that were not GET, without their times. */
  posts(): readonly string[];
  /** How many connections there were. */
  readonly connections: number;
  /** How many bytes were given to the system to send. */
  readonly sentBytes: number;
  /** Stops listening; open connections stay. */
  stopListening(): void;
}

/** Starts a sidecar that misbehaves. */
export async function startFaultySidecar(
  behavior: Behavior,
  place: Place = {},
): Promise<FaultySidecar> {
  const requests: Arrival[] = [];
  const open = new Set<net.Socket>();
  let connections = 0;
  let sentBytes = 0;
  let stops = 0;

  function accept(socket: net.Socket): void {
    connections++;
    open.add(socket);
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    socket.on("close", () => {
      open.delete(socket);
      resolve();
    });
    // The wrapper may hang up at any time.
    socket.on("error", () => {});
    const connection: Connection = {
      closed,
      end: () => {
        socket.end();
      },
      reset: () => {
        socket.resetAndDestroy();
      },
      async send(data) {
        const bytes = typeof data === "string"
          ? Uint8Array.from(data, (character) => character.charCodeAt(0))
          : data;
        const sent = new Promise<void>((resolve, reject) =>
          socket.write(bytes, (error) => error ? reject(error) : resolve())
        );
        await Promise.race([sent, closed.then(() => Promise.reject(new Error("hung up")))]);
        sentBytes += bytes.length;
      },
    };
    const act = (what: (() => void | Promise<void>) | undefined) => {
      // The wrapper may have closed the connection already.
      (async () => await what?.())().catch(() => {});
    };
    let text = "";
    socket.on("data", (bytes: Uint8Array) => {
      text += new TextDecoder("latin1").decode(bytes);
      for (let end; (end = text.indexOf("\r\n\r\n")) >= 0; text = text.slice(end + 4)) {
        const first = text.slice(0, text.indexOf(" HTTP/"));
        requests.push({ line: first, atMs: performance.now() });
        if (first.startsWith("GET ")) act(() => behavior.onProbe?.(connection));
        else act(() => behavior.onStop?.(connection, ++stops, sidecar));
      }
    });
    act(() => behavior.onConnection?.(connection));
  }

  const server = place.identity === undefined
    ? net.createServer(accept)
    : tls.createServer(place.identity, accept);
  server.on("tlsClientError", () => {});
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  if (place.path !== undefined) server.listen(place.path, resolve);
  else server.listen(place.port ?? 0, place.hostname ?? "127.0.0.1", resolve);
  await listening;
  const address = server.address();

  let isListening = true;
  const serverClosed = new Promise<void>((resolve) => server.once("close", () => resolve()));
  const stopListening = () => {
    if (isListening) server.close();
    isListening = false;
  };
  const sidecar: FaultySidecar = {
    port: typeof address === "object" && address !== null ? address.port : 0,
    requests,
    posts: () => requests.map(({ line }) => line).filter((line) => !line.startsWith("GET ")),
    get connections() {
      return connections;
    },
    get sentBytes() {
      return sentBytes;
    },
    stopListening,
    async [Symbol.asyncDispose]() {
      stopListening();
      for (const socket of open) socket.destroy();
      await serverClosed;
    },
  };
  return sidecar;
}

/** An answer without a body. */
export function answer(status: string, ...headers: readonly string[]): string {
  return [`HTTP/1.1 ${status}`, ...headers, "content-length: 0", "", ""].join("\r\n");
}
