/**
 * Hooks that speak HTTP, which most sidecars do.
 *
 * @module
 */

import {
  type HookContext,
  type NamedHook,
  nameHook,
  type Page,
  type PresetOptions,
  type Recognize,
  type SidecarHook,
} from "../src/hook.ts";
import { redactValue } from "../src/log/redact.ts";
import type { Exchange } from "../src/http/exchange.ts";
import { resolveUrl } from "../src/http/url.ts";

/**
 * One request.
 *
 * @example
 * ```ts
 * import { httpHook, type HttpRequest } from "@k8s-job/wrapper";
 *
 * const stop: HttpRequest = { method: "PUT", url: "http+unix://%2Frun%2Fagent.sock/quit" };
 * console.log(httpHook({ name: "agent", stop }).address);
 * ```
 */
export interface HttpRequest {
  /**
   * The method.
   *
   * @default "GET", or "POST" for the request that stops
   */
  readonly method?: string;
  /** The whole URL: `http://`, `https://` or `http+unix://%2Fpath%2Fto.sock/`. */
  readonly url: string;
}

/**
 * What {@linkcode httpHook} needs.
 *
 * @example
 * ```ts
 * import { httpHook, type HttpHookOptions } from "@k8s-job/wrapper";
 *
 * const agent: HttpHookOptions = {
 *   name: "agent",
 *   stop: { url: "http://localhost:7777/quit" },
 *   ready: { url: "http://localhost:7777/status" },
 *   isReady: (status, body) => status === 200 && body.includes("serving"),
 *   headers: { authorization: "Bearer sesame" },
 *   hint: ({ status }) => status === 401 ? "Give the job the agent's token" : undefined,
 * };
 * console.log(httpHook(agent).name);
 * ```
 */
export interface HttpHookOptions {
  /** What the operator calls the sidecar. */
  readonly name: string;
  /** The request that makes the sidecar quit. */
  readonly stop: HttpRequest;
  /**
   * A harmless request that says whether the sidecar is ready; of several, the first that somebody
   * answers.
   *
   * @default none: it counts as ready when its port accepts connections
   */
  readonly ready?: HttpRequest | readonly HttpRequest[];
  /**
   * Which answers to `ready` mean ready, by status and body.
   *
   * @default status 200 alone
   */
  readonly isReady?: (status: number, body: string) => boolean;
  /**
   * A harmless request to the very address that is told to quit, where `ready` is another one. It
   * is sent while COMMAND runs, so that the connection is made when it is needed.
   *
   * @default none: a connection is made and closed again
   */
  readonly warmUp?: HttpRequest;
  /** Headers for every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What the operator can do about a stop request that failed like this, as a sentence. */
  readonly hint?: (failure: StopFailure) => string | undefined;
}

/**
 * How a stop request failed, for a hint.
 *
 * @example
 * ```ts
 * import type { StopFailure } from "@k8s-job/wrapper";
 *
 * function hint({ state, status }: StopFailure): string | undefined {
 *   if (state === "absent") return "Start the agent with --admin-port";
 *   return status === 404 ? "The agent is older than 1.2" : undefined;
 * }
 * console.log(hint({ state: "failed", status: 404, headers: new Headers() }));
 * ```
 */
export interface StopFailure {
  /**
   * - `absent`: nobody listens at its address
   * - `refused`: nobody listens there, though the sidecar says elsewhere that it is ready
   * - `failed`: somebody listens there, and did not take it
   */
  readonly state: "absent" | "refused" | "failed";
  /** The status of the last answer; 0 if there was none. */
  readonly status: number;
  /** The headers of the last answer. */
  readonly headers: Headers;
}

/**
 * Makes a hook for a sidecar that quits at an HTTP request.
 *
 * A 2xx is done. 408, 425, 429, 5xx, a time-out and a broken connection are retried, the delays
 * doubling from 100 ms to 2 s with jitter; `Retry-After` is heeded within the deadline. Anything
 * else has failed at once. Redirects are not followed and no proxy is used.
 *
 * @throws {TypeError} if a URL is none
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
  const ready = options.ready === undefined ? [] : [options.ready].flat();
  const requests = [options.stop, ...ready, ...(options.warmUp ? [options.warmUp] : [])];
  for (const { url } of requests) resolveUrl(url);
  let opening: Promise<Exchange> | undefined;
  // What goes over the wire is not needed before COMMAND runs, and so is not even loaded.
  const exchange = () =>
    opening ??= import("../src/http/exchange.ts").then(({ openExchange }) => openExchange(options));

  return {
    name: options.name,
    address: redactValue(options.stop.url),
    ...(ready[0] === undefined ? {} : { readyAddress: redactValue(ready[0].url) }),
    probe: async (context) => await (await exchange()).probe(context),
    warmUp: async (context) => await (await exchange()).warmUp(context),
    stop: async (context) => await (await exchange()).stop(context),
  };
}

/**
 * Gets a page, once, straight from its address: what a hook of one's own may need beside
 * {@linkcode httpHook}.
 *
 * @param url `http://`, `https://` or `http+unix://%2Fpath%2Fto.sock/`
 * @param context what the hook was given
 * @param headers headers of the request
 * @returns undefined if nobody listens there
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
 * console.log(look.name);
 * ```
 */
export async function getPage(
  url: string,
  context: HookContext,
  headers?: Readonly<Record<string, string>>,
): Promise<Page | undefined> {
  const { getPageOnce } = await import("../src/http/exchange.ts");
  return await getPageOnce(url, context, headers);
}

/**
 * A preset: an HTTP sidecar's well-known addresses.
 *
 * @example
 * ```ts
 * import { httpPreset, type HttpPreset } from "@k8s-job/wrapper";
 *
 * const preset: HttpPreset = {
 *   name: "agent",
 *   summary: "our own metrics agent",
 *   baseUrl: "http://localhost:7777",
 *   stop: { path: "/quit" },
 *   ready: { path: "/ready", baseUrl: "http://localhost:7778" },
 * };
 * console.log(httpPreset(preset)().address);
 * ```
 */
export interface HttpPreset {
  /** The NAME in `--hook NAME`. */
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** Where the sidecar listens unless the operator says otherwise: `http://localhost:9901`. */
  readonly baseUrl: string;
  /** The path, and the method if it is not POST, that makes it quit. */
  readonly stop: { readonly path: string; readonly method?: string };
  /**
   * The path that says whether it is ready, and its origin where that is another one; of several,
   * the first that somebody answers.
   */
  readonly ready?: ReadyPath | readonly ReadyPath[];
  /** Which statuses mean ready; 200 alone by default. */
  readonly isReady?: (status: number) => boolean;
  /** A harmless path on the origin that is told to quit, where `ready` has another origin. */
  readonly warmUp?: { readonly path: string };
  /** Headers for every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What to do about a stop request that failed like this. */
  readonly hint?: (failure: StopFailure) => string | undefined;
  /** How the sidecar is told from others at its usual address, for `--hook auto`. */
  readonly recognize?: Recognize;
}

/**
 * Where a preset's readiness is.
 *
 * @example
 * ```ts
 * import type { ReadyPath } from "@k8s-job/wrapper";
 *
 * const ready: ReadyPath = { path: "/ready", baseUrl: "http://localhost:7778" };
 * console.log(ready.path);
 * ```
 */
export interface ReadyPath {
  /** The path. */
  readonly path: string;
  /** The origin, where it is another one than the preset's own. */
  readonly baseUrl?: string;
}

/**
 * Makes a preset, to be asked for as `--hook NAME` or `--hook NAME=BASE_URL`. With a base URL of
 * the operator's own, all paths are on that origin.
 *
 * @example
 * ```ts
 * import { httpPreset } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const mine = httpPreset({
 *   name: "mine",
 *   summary: "my own sidecar",
 *   baseUrl: "http://localhost:7777",
 *   stop: { path: "/quit" },
 *   ready: { path: "/ready" },
 * });
 * assertEquals(mine({ baseUrl: "http://localhost:1234" }).address, "http://localhost:1234/quit");
 * ```
 */
export function httpPreset(preset: HttpPreset): NamedHook {
  const { name, summary, recognize } = preset;
  return nameHook(name, summary, (options) => presetHook(preset, options), recognize);
}

/** The hook of a preset, on the operator's own origin if there is one. */
export function presetHook(preset: HttpPreset, options: PresetOptions = {}): SidecarHook {
  const own = options.baseUrl;
  const on = (path: string, baseUrl: string) => ({ url: joinUrl(own ?? baseUrl, path) });
  const { stop, ready, warmUp } = preset;
  return httpHook({
    name: preset.name,
    stop: {
      ...on(stop.path, preset.baseUrl),
      ...(stop.method === undefined ? {} : { method: stop.method }),
    },
    ...(ready && {
      ready: [ready].flat().map(({ path, baseUrl }) => on(path, baseUrl ?? preset.baseUrl)),
    }),
    ...(warmUp && { warmUp: on(warmUp.path, preset.baseUrl) }),
    ...(preset.isReady && { isReady: preset.isReady }),
    ...(preset.headers && { headers: preset.headers }),
    ...(preset.hint && { hint: preset.hint }),
  });
}

/**
 * Puts a path on an origin.
 *
 * @throws {TypeError} if the base URL has a path, a query or a fragment of its own
 */
function joinUrl(baseUrl: string, path: string): string {
  const match = /^([a-z+]+:\/\/[^/?#]+)\/?$/.exec(baseUrl);
  if (match === null) throw new TypeError("expected an origin without a path: http://HOST:PORT");
  return match[1] + path;
}
