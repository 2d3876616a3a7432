/**
 * The way to a sidecar: one request over the sockets that a URL means.
 *
 * @module
 */

import {
  acceptsConnections,
  connect,
  type HttpClient,
  openHttpClient,
  type SocketAddress,
} from "../platform/mod.ts";
import { errorCode, errorText, isNobodyListening } from "../platform/errors.ts";
import { redact } from "../log/redact.ts";
import { isClosedToFetch, openHttpClientOnSocket } from "./client.ts";

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

/** Opens the way to the sockets of a target; nothing is connected yet. */
export function openEndpoint(addresses: readonly SocketAddress[]): Endpoint {
  const clients = new Map<SocketAddress, HttpClient>();
  let order = [...addresses];

  async function send(request: Request): Promise<Response> {
    let broke = false;
    for (const address of order) {
      const client = clients.get(address) ?? openClient(address);
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

function openClient(address: SocketAddress): HttpClient {
  const onSocket = openHttpClientOnSocket(address, connect);
  return isClosedToFetch(address) ? onSocket : openHttpClient(address, onSocket);
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
