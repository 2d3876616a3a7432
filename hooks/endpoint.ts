/**
 * The way to a sidecar: which sockets a URL means, and one request over them.
 *
 * @module
 */

import {
  acceptsConnections,
  errorCode,
  type HttpClient,
  openHttpClient,
  type SocketAddress,
} from "../src/platform.ts";
import { redact } from "../src/redact.ts";

/** Nobody listens at the endpoint. */
export class NobodyListensError extends Error {
  override readonly name = "NobodyListensError";
}

/** Somebody listens, but the exchange failed: a reset, or an answer that is no HTTP. */
export class BrokenConnectionError extends Error {
  override readonly name = "BrokenConnectionError";
}

/** Whether somebody listens cannot be found out: a name that does not resolve, no route. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}

/** Where a sidecar listens. */
export interface Endpoint {
  /**
   * Sends a request.
   *
   * @throws {NobodyListensError} if nobody listens there
   * @throws {BrokenConnectionError} if somebody does, but the exchange failed
   * @throws {UnreachableError} if that cannot be found out
   */
  send(request: Request): Promise<Response>;
  /**
   * Whether somebody listens.
   *
   * @param signal ends a connection attempt that nobody answers
   * @throws {UnreachableError} if that cannot be found out, or the signal's reason
   */
  accepts(signal: AbortSignal): Promise<boolean>;
}

/** A URL as `fetch` takes it, and the sockets that it means. */
export interface Target {
  /** The URL for the request line and the `Host` header; `http://localhost/…` for a Unix socket. */
  readonly url: URL;
  /** An `Authorization` header from the URL's credentials, if it has any. */
  readonly authorization?: string;
  /** The sockets, tried in this order. */
  readonly addresses: readonly SocketAddress[];
}

/**
 * Reads a URL: `http://`, `https://`, or `http+unix://` with the socket's path percent-encoded as
 * the host.
 *
 * @throws {TypeError} that says what was expected, if it is none of these
 */
export function parseTarget(text: string): Target {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:", "http+unix:"].includes(url.protocol)) {
    throw new TypeError(
      "expected http://HOST[:PORT]/PATH, https://… or http+unix://%2FSOCKET/PATH",
    );
  }
  if (url.protocol === "http+unix:") return unixTarget(url);
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  // `localhost` is both loopback addresses by definition (RFC 6761), whatever the image's hosts
  // file says, and a sidecar may listen on either. A certificate, though, is for the name.
  const isLoopback = hostname === "localhost" && url.protocol === "http:";
  const hostnames = isLoopback ? ["127.0.0.1", "::1"] : [hostname];
  if (isLoopback) url.hostname = "127.0.0.1";
  return withoutCredentials(url, hostnames.map((hostname) => ({ hostname, port })));
}

function unixTarget(url: URL): Target {
  let path = "";
  try {
    path = decodeURIComponent(url.hostname);
  } catch {
    // An escape that is none: the path stays empty, and the message below says what is expected.
  }
  if (!path.startsWith("/")) {
    throw new TypeError(
      "expected the socket's absolute path percent-encoded as the host: http+unix://%2Frun%2Fx.sock/quit",
    );
  }
  const request = new URL(`http://localhost${url.pathname || "/"}${url.search}`);
  return { url: request, addresses: [{ path }] };
}

/** `fetch` refuses a URL with credentials; as a header they are what every server expects. */
function withoutCredentials(from: URL, addresses: readonly SocketAddress[]): Target {
  const url = new URL(from);
  url.hash = "";
  if (url.username === "" && url.password === "") return { url, addresses };
  const pair = `${percentDecoded(url.username)}:${percentDecoded(url.password)}`;
  url.username = url.password = "";
  const binary = Array.from(new TextEncoder().encode(pair), (byte) => String.fromCharCode(byte));
  return { url, addresses, authorization: `Basic ${btoa(binary.join(""))}` };
}

/** A `%` that starts no escape, as in a password typed as it is, stands for itself. */
function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Opens the way to the sockets of a target; nothing is connected yet. */
export function openEndpoint(addresses: readonly SocketAddress[]): Endpoint {
  const clients = new Map<SocketAddress, HttpClient>();
  let order = [...addresses];

  async function send(request: Request): Promise<Response> {
    let broke = false;
    for (const address of order) {
      const client = clients.get(address) ?? openHttpClient(address);
      clients.set(address, client);
      try {
        const response = await client.fetch(request);
        order = [address, ...order.filter((other) => other !== address)];
        return response;
      } catch (error) {
        if (request.signal.aborted) throw error;
        // The runtimes word a refused connection differently, and the wording changes. Whether
        // somebody listens does not.
        if (await listens(address, request.signal)) {
          throw new BrokenConnectionError(causeOf(error), { cause: error });
        }
        broke ||= !isRefused(error);
      }
    }
    throw new NobodyListensError(broke ? "it quit without an answer" : "connection refused");
  }

  async function accepts(signal: AbortSignal): Promise<boolean> {
    for (const address of order) {
      if (await listens(address, signal)) return true;
    }
    return false;
  }

  return { send, accepts };
}

/** Whether an exchange failed because there was nobody; `fetch` may give the reason as the cause. */
function isRefused(error: unknown): boolean {
  const reasons = error instanceof Error ? [error, error.cause] : [];
  return reasons.some((reason) => ["ECONNREFUSED", "ENOENT"].includes(errorCode(reason)));
}

async function listens(address: SocketAddress, signal: AbortSignal): Promise<boolean> {
  try {
    return await untilAborted(acceptsConnections(address, signal), signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    // No IPv6 in this pod: nobody listens there either.
    if (["EADDRNOTAVAIL", "EAFNOSUPPORT"].includes(errorCode(error))) return false;
    throw new UnreachableError(causeOf(error), { cause: error });
  }
}

/** Waits for what may not end with the signal, such as the look-up of a name, but no longer than that. */
function untilAborted<Value>(value: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    value.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** The innermost reason, in the runtime's words, without the address that the log line has already. */
function causeOf(error: unknown): string {
  const message = error instanceof Error
    ? (error.cause instanceof Error ? error.cause.message : error.message)
    : String(error);
  return redact(message.replace(/^error sending request .*?: (client error \(\w+\): )?/, ""));
}
