/**
 * Resolves a URL to the sockets that it stands for and the request to send on them.
 *
 * @module
 */

import type { SocketAddress } from "../platform/mod.ts";

/** A URL for a `Request`, and the sockets that it stands for. */
export interface ResolvedUrl {
  /**
   * The URL for the request line and the `Host` header, which names the host as it was typed: some
   * servers answer only to `localhost`. For a Unix socket it is `http://localhost/…`.
   */
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
 * @throws {TypeError} that says what was expected, if it is invalid
 */
export function resolveUrl(text: string): ResolvedUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // `new URL` would take the path's first part for the host.
  const hasNoHost = /^https?:\/{3}/i.test(text);
  if (url === undefined || hasNoHost || !["http:", "https:", "http+unix:"].includes(url.protocol)) {
    throw new TypeError(
      "expected http://HOST[:PORT]/PATH, https://… or http+unix://%2FSOCKET/PATH",
    );
  }
  refuseReference(url.hostname);
  if (url.protocol === "http+unix:") return resolveUnixUrl(url);
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  // A certificate is for the name.
  const hostnames = url.protocol === "http:" ? hostnamesOf(hostname) : [hostname];
  return withoutCredentials(url, hostnames.map((hostname) => ({ hostname, port })));
}

/** What to do about a variable's name in place of its value. */
export const REFERENCE_HINT =
  "a variable was not replaced: Kubernetes replaces $(NAME), if NAME is defined above it";

/**
 * No host has a `$` in its name: it is a reference to a variable that has stayed as it was typed.
 *
 * @throws {TypeError} that says so
 */
export function refuseReference(host: string): void {
  if (host.includes("$")) throw new TypeError(`expected a host; ${REFERENCE_HINT}`);
}

/**
 * `localhost` means both loopback addresses (RFC 6761), whatever the image's hosts file says, and a
 * server may listen on either.
 */
function hostnamesOf(hostname: string): readonly string[] {
  return hostname === "localhost" ? ["127.0.0.1", "::1"] : [hostname];
}

/**
 * Reads `HOST:PORT`.
 *
 * @returns the sockets that it stands for; undefined if it has another form
 */
export function parseHostAndPort(text: string): readonly SocketAddress[] | undefined {
  const [, ipv6, name = "", digits] = /^(?:\[([\da-f:.%\w]+)\]|([^\s:/?#@[\]]+)):(\d{1,5})$/i
    .exec(text) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535)) return undefined;
  return hostnamesOf(ipv6 ?? name).map((hostname) => ({ hostname, port }));
}

function resolveUnixUrl(url: URL): ResolvedUrl {
  let path = "";
  try {
    path = decodeURIComponent(url.hostname);
  } catch {
    // An invalid escape: the path stays empty, and the message below says what is expected.
  }
  if (!path.startsWith("/")) {
    throw new TypeError(
      "expected the socket's absolute path percent-encoded as the host: http+unix://%2Frun%2Fx.sock/quit",
    );
  }
  const requestUrl = new URL(`http://localhost${url.pathname || "/"}${url.search}`);
  return { url: requestUrl, addresses: [{ path }] };
}

/** Moves credentials into a header: `Request` refuses a URL that has them. */
function withoutCredentials(from: URL, addresses: readonly SocketAddress[]): ResolvedUrl {
  const url = new URL(from);
  url.hash = "";
  if (url.username === "" && url.password === "") return { url, addresses };
  const pair = `${percentDecoded(url.username)}:${percentDecoded(url.password)}`;
  url.username = url.password = "";
  const binary = Array.from(new TextEncoder().encode(pair), (byte) => String.fromCharCode(byte));
  return { url, addresses, authorization: `Basic ${btoa(binary.join(""))}` };
}

/** A `%` that does not start an escape, as in a password typed as is, stands for itself. */
function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
