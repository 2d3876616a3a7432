/**
 * Hooks for sidecars that speak HTTP, as most do.
 *
 * @module
 */

import type { HookContext, SidecarHook } from "../src/hook.ts";
import type { Exchange, ExchangeOptions } from "../src/http/exchange.ts";
import type { HarmlessMethod, Page } from "../src/http/page.ts";
import { resolveUrl } from "../src/http/url.ts";
import { redactValue } from "../src/log/redact.ts";

/**
 * What {@linkcode httpHook} needs.
 *
 * @example
 * ```ts
 * import { httpHook, type HttpHookOptions } from "@k8s-job/wrapper";
 *
 * const agent: HttpHookOptions = {
 *   name: "agent",
 *   stop: { method: "PUT", url: "http+unix://%2Frun%2Fagent.sock/quit" },
 *   ready: { url: "http://localhost:7777/status" },
 *   isReady: (status, body) => status === 200 && body.includes("serving"),
 *   headers: { authorization: "Bearer sesame" },
 *   hint: ({ status }) => status === 401 ? "Give the job the agent's token" : undefined,
 * };
 * console.log(httpHook(agent).name);
 * ```
 */
export interface HttpHookOptions extends ExchangeOptions {
  /** What the operator calls the sidecar. */
  readonly name: string;
}

/**
 * Makes a hook for a sidecar that quits at an HTTP request.
 *
 * A 2xx is success. 408, 425, 429, 5xx, a time-out and a broken connection are retried with delays
 * that double from 100 ms to 2 s, with jitter; `Retry-After` is respected within the deadline.
 * Anything else fails at once. Redirects are not followed and no proxy is used.
 *
 * @throws {TypeError} if a URL is invalid, or a header cannot be sent
 *
 * @example
 * ```ts
 * import { httpHook } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const hook = httpHook({
 *   name: "mine",
 *   stop: { url: "http://localhost:7777/quit?token=secret" },
 *   ready: { url: "http://localhost:7777/ready" },
 * });
 * assertEquals(hook.address, "http://localhost:7777/quit");
 * ```
 */
export function httpHook(options: HttpHookOptions): SidecarHook {
  const { lostAtMs: _, ...hook } = httpSidecar(options);
  return hook;
}

/** A hook that knows about its connection. */
export interface HttpSidecar extends SidecarHook {
  /** When the sidecar last ended the connection to the address that is told to quit, if it did. */
  readonly lostAtMs: () => number | undefined;
}

/** Makes what {@linkcode httpHook} makes, and tells about its connection. */
export function httpSidecar(options: HttpHookOptions): HttpSidecar {
  const ready = options.ready === undefined ? [] : [options.ready].flat();
  const requests = [options.stop, ...ready, ...(options.warmUp ? [options.warmUp] : [])];
  for (const { url } of requests) resolveUrl(url);
  for (const [name, value] of Object.entries(options.headers ?? {})) checkHeader(name, value);
  let opening: Promise<Exchange> | undefined;
  let opened: Exchange | undefined;
  // The HTTP code is not needed before COMMAND runs, so it is not even loaded before.
  const exchange = () =>
    opening ??= import("../src/http/exchange.ts").then(({ openExchange }) =>
      opened = openExchange(options)
    );

  return {
    name: options.name,
    address: redactValue(options.stop.url),
    ...(ready[0] === undefined ? {} : { readyAddress: redactValue(ready[0].url) }),
    probe: async (context) => await (await exchange()).probe(context),
    warmUp: async (context) => await (await exchange()).warmUp(context),
    arm: () => opened?.arm(),
    stop: async (context) => await (await exchange()).stop(context),
    isListening: async (context) => await (await exchange()).isListening(context),
    lostAtMs: () => opened?.lostAtMs(),
  };
}

/**
 * Whether HTTP can carry a text as a header's value. The blanks and line breaks at its ends do not
 * count, since they are not sent.
 */
export function isHeaderValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value.replaceAll(/^[\t\r\n ]+|[\t\r\n ]+$/g, ""));
}

/** @throws {TypeError} that names the header, and never its value, which may be a secret */
function checkHeader(name: string, value: unknown): void {
  if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
    throw new TypeError(`headers: ${JSON.stringify(name)} cannot be a header's name`);
  }
  if (typeof value !== "string" || !isHeaderValue(value)) {
    throw new TypeError(`headers: the value of ${name} cannot be sent: ${EXPECTED_HEADER_VALUE}`);
  }
}

/** What a header's value must be, in words. */
export const EXPECTED_HEADER_VALUE = "expected one line of visible characters, none beyond U+00FF";

/**
 * Gets a page, once, directly from its address: what a custom hook may need apart from
 * {@linkcode httpHook}.
 *
 * @param url `http://`, `https://` or `http+unix://%2Fpath%2Fto.sock/`
 * @param context what the hook was given
 * @param headers headers of the request
 * @param method the method
 * @returns undefined if nobody listens there
 * @throws {TypeError} if the URL is invalid, or a header cannot be sent
 * @throws what went wrong, if somebody listens and does not answer as a web server in time
 *
 * @example
 * ```ts
 * import { getPage, type HookContext, type Probe } from "@k8s-job/wrapper";
 *
 * async function probe(context: HookContext): Promise<Probe> {
 *   const page = await getPage("http://localhost:7777/status", context);
 *   if (page === undefined) return { state: "absent", answer: "connection refused" };
 *   return { state: page.text === "serving" ? "ready" : "present", answer: page.text };
 * }
 * console.log(probe.name);
 * ```
 */
export async function getPage(
  url: string,
  context: HookContext,
  headers?: Readonly<Record<string, string>>,
  method: HarmlessMethod = "GET",
): Promise<Page | undefined> {
  for (const [name, value] of Object.entries(headers ?? {})) checkHeader(name, value);
  const { getPageOnce } = await import("../src/http/exchange.ts");
  return await getPageOnce(url, context, headers, method);
}

/** The host of a URL, which names a sidecar in the log; never its credentials. */
export function hostOf(url: string): string {
  if (!URL.canParse(url)) return "";
  const { protocol, host } = new URL(url);
  return protocol === "http+unix:" ? host.replaceAll(/%2f/gi, "/") : host;
}
