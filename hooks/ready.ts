/**
 * What a job may need before COMMAND starts, and nobody tells to quit: an address, a file, a process.
 *
 * @module
 */

import type { Condition, Probe } from "../src/hook.ts";
import { parseHostAndPort, refuseReference, resolveUrl } from "../src/http/url.ts";
import { redactValue } from "../src/log/redact.ts";
import { fileErrorReason } from "../src/platform/errors.ts";
import { fileSize, type SocketAddress } from "../src/platform/mod.ts";
import { checkPath } from "./file.ts";
import { needsLinux, signalHook } from "./signal.ts";

/** What every condition's function takes. */
export interface ReadyName {
  /**
   * What the operator calls it.
   *
   * @default its address
   */
  readonly name?: string;
}

/**
 * Ready when a GET of a page is answered with 2xx. Each attempt makes a connection of its own, so that
 * the host's name is resolved anew. Redirects are not followed and no proxy is used.
 *
 * @param options the page's URL: `http://`, `https://` or `http+unix://%2Fpath%2Fto.sock/`
 * @throws {TypeError} if the URL is invalid
 *
 * @example
 * ```ts
 * import { httpReady, waitUntilReady } from "@k8s-job/wrapper";
 *
 * await using server = Deno.serve({ port: 0, onListen: () => {} }, () => new Response("ready"));
 * await waitUntilReady([httpReady({ url: `http://localhost:${server.addr.port}/ready` })]);
 * ```
 */
export function httpReady(options: ReadyName & { readonly url: string }): Condition {
  const { url } = options;
  resolveUrl(url);
  return condition(options, redactValue(url), async (context) => {
    const { probePage } = await import("../src/http/exchange.ts");
    return await probePage(url, context);
  });
}

/**
 * Ready when a TCP port accepts a connection. The host's name is resolved anew at each attempt.
 *
 * @param options the port's address, `HOST:PORT`
 * @throws {TypeError} if the address is invalid
 *
 * @example
 * ```ts
 * import { tcpReady, waitUntilReady } from "@k8s-job/wrapper";
 *
 * using listener = Deno.listen({ port: 0 });
 * await waitUntilReady([tcpReady({ address: `localhost:${listener.addr.port}` })]);
 * ```
 */
export function tcpReady(options: ReadyName & { readonly address: string }): Condition {
  refuseReference(options.address);
  const sockets = parseHostAndPort(options.address);
  if (sockets === undefined) throw new TypeError("expected tcp://HOST:PORT");
  return socketReady(options, `tcp://${options.address}`, sockets);
}

/** The longest path of a Unix socket that Linux takes, in bytes. */
const LONGEST_SOCKET_PATH = 107;

/**
 * Ready when a Unix socket accepts a connection.
 *
 * @param options the socket's path
 * @throws {TypeError} if the path is invalid
 *
 * @example
 * ```ts
 * import { unixReady } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(unixReady({ path: "/run/postgres.sock" }).address, "unix:/run/postgres.sock");
 * ```
 */
export function unixReady(options: ReadyName & { readonly path: string }): Condition {
  const { path } = options;
  checkPath(path, "the path of a socket: unix:/run/postgres.sock");
  if (new TextEncoder().encode(path).length > LONGEST_SOCKET_PATH) {
    throw new TypeError(`expected a path of at most ${LONGEST_SOCKET_PATH} bytes for a socket`);
  }
  return socketReady(options, `unix:${path}`, [{ path }]);
}

/**
 * Ready when a file exists and is not empty.
 *
 * @param options the file's path
 * @throws {TypeError} if the path is invalid
 *
 * @example
 * ```ts
 * import { fileReady, waitUntilReady } from "@k8s-job/wrapper";
 *
 * const path = Deno.makeTempFileSync();
 * const waiting = waitUntilReady([fileReady({ path })]);
 * Deno.writeTextFileSync(path, "export TOKEN=sesame\n");
 * await waiting;
 * Deno.removeSync(path);
 * ```
 */
export function fileReady(options: ReadyName & { readonly path: string }): Condition {
  const { path } = options;
  checkPath(path, "the path of a file: file:/vault/secrets/config");
  return condition(options, `file:${path}`, () => Promise.resolve(lookAt(path)));
}

function lookAt(path: string): Probe {
  try {
    const bytes = fileSize(path);
    if (bytes === undefined) return { state: "absent", answer: "no such file" };
    if (bytes === 0) return { state: "present", answer: "empty" };
    return { state: "ready", answer: `${bytes} bytes` };
  } catch (error) {
    return { state: "absent", answer: fileErrorReason(error) };
  }
}

/**
 * Ready when a process of a name is there. In another container it can be seen only if the pod has
 * `shareProcessNamespace: true`.
 *
 * @param options the base name of the process's executable, as `ps` shows it
 * @throws {TypeError} if the name is invalid
 *
 * @example
 * ```ts
 * import { processReady } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(processReady({ process: "postgres" }).address, "process:postgres");
 * ```
 */
export function processReady(options: ReadyName & { readonly process: string }): Condition {
  const { process } = options;
  if (!/^[^\s/:]+$/.test(process)) {
    throw new TypeError("expected process:NAME, a name without blanks, / or :");
  }
  const { probe } = signalHook({ process });
  const address = `process:${process}`;
  return { ...condition(options, address, probe), ...needsLinux(address) };
}

function socketReady(
  name: ReadyName,
  address: string,
  sockets: readonly SocketAddress[],
): Condition {
  return condition(name, address, async (context) => {
    const { probeSockets } = await import("../src/http/exchange.ts");
    return await probeSockets(sockets, context);
  });
}

function condition(
  { name }: ReadyName,
  address: string,
  probe: Condition["probe"],
): Condition {
  return { name: name ?? address, address, probe };
}
