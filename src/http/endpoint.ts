/**
 * The way to a sidecar: sends requests to the sockets that a URL stands for.
 *
 * @module
 */

import {
  errorReason,
  isMissing,
  isNobodyListening,
  isNoSuchAddressFamily,
  isOutOfDescriptors,
} from "../platform/errors.ts";
import type { ArmedStop } from "../hook.ts";
import { acceptsConnections, connect, fileKind, type SocketAddress } from "../platform/mod.ts";
import { abortable } from "../time.ts";
import { whenThereIsRoom } from "./descriptors.ts";
import { AnswerError, type Connect, type HttpClient, openHttpClient } from "./client.ts";

/** A sidecar that got the request, and ended. */
export const QUIT_UNANSWERED = "it quit without an answer";

/** Nobody listens at the endpoint. */
export class NobodyListensError extends Error {
  override readonly name = "NobodyListensError";
  /** Whether the request may have arrived before. */
  readonly wasSent: boolean;

  /** Says which of the two it was; `refusal` is why nobody listens. */
  constructor(wasSent: boolean, refusal = "connection refused") {
    super(wasSent ? QUIT_UNANSWERED : refusal);
    this.wasSent = wasSent;
  }
}

/** Somebody listens, but the exchange failed: a reset, or an answer that is not HTTP. */
export class BrokenConnectionError extends Error {
  override readonly name = "BrokenConnectionError";
}

/** It is unknown whether somebody listens: the name does not resolve, or there is no route. */
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
   * @throws {UnreachableError} if that is unknown
   */
  send(request: Request): Promise<Response>;
  /** Prepares a request without a body, which can then be sent ahead of `send`. */
  arm(request: Request): ArmedStop | undefined;
  /**
   * Whether somebody listens.
   *
   * @param signal ends a connection attempt that nobody answers
   * @throws {UnreachableError} if that is unknown
   * @throws the signal's reason
   */
  accepts(signal: AbortSignal): Promise<boolean>;
  /** Why nobody listens: the connection was refused, or there is no such Unix socket. */
  refusal(): string;
  /** When the other side last ended a connection that was kept, as `performance.now()` has it. */
  lostAtMs(): number | undefined;
  /** Closes the connections that are kept for further requests. */
  close(): void;
}

/** Makes an endpoint of these sockets; nothing is connected yet. */
export function openEndpoint(
  addresses: readonly SocketAddress[],
  connectBy: Connect = connect,
): Endpoint {
  const clients = new Map<SocketAddress, HttpClient>();
  let order = [...addresses];

  function clientOf(address: SocketAddress): HttpClient {
    const client = clients.get(address) ?? openHttpClient(address, connectBy);
    clients.set(address, client);
    return client;
  }

  function putFirst(address: SocketAddress): void {
    order = [address, ...order.filter((other) => other !== address)];
  }

  async function send(request: Request): Promise<Response> {
    let broke = false;
    for (const address of order) {
      try {
        const response = await clientOf(address).fetch(request);
        putFirst(address);
        return response;
      } catch (error) {
        if (request.signal.aborted) throw error;
        // Whether somebody listens does not depend on how a runtime words its errors.
        if (await listens(address, request.signal)) {
          const reason = error instanceof AnswerError ? error.message : errorReason(error);
          throw new BrokenConnectionError(reason, { cause: error });
        }
        broke ||= !isNobodyListening(error);
      }
    }
    throw new NobodyListensError(broke, refusal());
  }

  function refusal(): string {
    return addresses.every(isMissingSocket) ? "there is no such socket" : "connection refused";
  }

  async function accepts(signal: AbortSignal): Promise<boolean> {
    for (const address of order) {
      if (!await listens(address, signal)) continue;
      putFirst(address);
      return true;
    }
    return false;
  }

  function arm(request: Request): ArmedStop | undefined {
    const [address] = order;
    return address === undefined ? undefined : clientOf(address).arm(request);
  }

  function close(): void {
    for (const client of clients.values()) client.close();
  }

  function lostAtMs(): number | undefined {
    const lost = [...clients.values()].flatMap((client) => client.lostAtMs() ?? []);
    return lost.length === 0 ? undefined : Math.max(...lost);
  }

  return { send, arm, accepts, refusal, lostAtMs, close };
}

/** Whether an address is the path of a Unix socket, and nothing is there. */
function isMissingSocket(address: SocketAddress): boolean {
  if (!("path" in address)) return false;
  try {
    fileKind(address.path);
    return false;
  } catch (error) {
    return isMissing(error);
  }
}

async function listens(address: SocketAddress, signal: AbortSignal): Promise<boolean> {
  try {
    return await whenThereIsRoom(
      signal,
      () => abortable(acceptsConnections(address, signal), signal),
    );
  } catch (error) {
    if (signal.aborted && !isOutOfDescriptors(error)) throw signal.reason;
    if (isNoSuchAddressFamily(error)) return false;
    throw new UnreachableError(errorReason(error), { cause: error });
  }
}
