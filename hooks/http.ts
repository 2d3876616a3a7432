/**
 * Hooks that speak HTTP, which most sidecars do. ky decides about retry and time-out.
 *
 * @module
 */

import type { KyInstance } from "ky";
import { formatDuration } from "../src/duration.ts";
import {
  type Hook,
  type HookContext,
  type Look,
  type NamedHook,
  nameHook,
  type Page,
  type PresetOptions,
  type Recognize,
  type Stop,
} from "../src/hook.ts";
import { redact, redactValue } from "../src/redact.ts";
import { sleep } from "../src/sidecar.ts";
import {
  BrokenConnectionError,
  type Endpoint,
  NobodyListensError,
  openEndpoint,
  parseTarget,
  UnreachableError,
} from "./endpoint.ts";

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
  readonly warm?: HttpRequest;
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

/** More of a body than this is never read. */
const LONGEST_BODY_BYTES = 256 * 1024;

const LAST_LOOK_MS = 250;

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 2000;

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
export function httpHook(options: HttpHookOptions): Hook {
  const openEndpoints = new Map<string, Endpoint>();
  const stopRequest = prepare(options.stop, "POST", options.headers, openEndpoints);
  const ready = options.ready === undefined ? [] : [options.ready].flat();
  const readyRequests = ready.map((one) => prepare(one, "GET", options.headers, openEndpoints));
  const warmRequest = options.warm && prepare(options.warm, "GET", options.headers, openEndpoints);
  const isSame = ({ endpoint }: PreparedRequest) => endpoint === stopRequest.endpoint;
  const sameEndpoint = readyRequests.find(isSame);
  const otherEndpoints = readyRequests.filter((request) => !isSame(request));

  async function lookAt(
    requests: readonly (PreparedRequest | undefined)[],
    context: HookContext,
  ): Promise<Look> {
    let found: Look | undefined;
    for (const request of requests.filter((one) => one !== undefined)) {
      found = await look(request, options, context);
      if (found.state !== "absent") break;
    }
    return found ?? await connect(stopRequest.endpoint, context);
  }

  /**
   * Nobody listens at the stop request's address; yet a sidecar that says that it is ready is there.
   * Both servers may be about to come or go, so this is asked again before it counts as a failure.
   */
  async function stopWhatIsThere(context: HookContext): Promise<Stop> {
    for (let attempt = 1;; attempt++) {
      const stopped = await stop(stopRequest, options, context);
      if (stopped.state !== "absent" || otherEndpoints.length === 0) return stopped;
      const found = await lookAt(otherEndpoints, context);
      if (found.state !== "ready") return stopped;
      await sleep(retryDelayMs(attempt), context.signal);
      if (attempt <= context.retries && !context.signal.aborted) continue;
      const answer = `${stopped.answer}, but it is there and ready`;
      const hint = options.hint?.({ state: "refused", status: 0, headers: new Headers() });
      return { state: "failed", answer, ...(hint === undefined ? {} : { hint }) };
    }
  }

  return {
    name: options.name,
    address: redactValue(options.stop.url),
    ...(ready[0] === undefined ? {} : { readyAddress: redactValue(ready[0].url) }),
    look: (context) => lookAt(readyRequests, context),
    warm: (context) => lookAt([warmRequest ?? sameEndpoint], context),
    stop: stopWhatIsThere,
  };
}

interface PreparedRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly endpoint: Endpoint;
}

/** Reads a request's URL; requests to one address share their endpoint and its connections. */
function prepare(
  request: HttpRequest,
  method: string,
  headers: Readonly<Record<string, string>> | undefined,
  openEndpoints: Map<string, Endpoint>,
): PreparedRequest {
  const target = parseTarget(request.url);
  const key = JSON.stringify(target.addresses);
  const endpoint = openEndpoints.get(key) ?? openEndpoint(target.addresses);
  openEndpoints.set(key, endpoint);
  return {
    method: request.method ?? method,
    url: target.url,
    headers: {
      "user-agent": "k8s-job-wrapper",
      ...(target.authorization === undefined ? {} : { authorization: target.authorization }),
      ...headers,
    },
    endpoint,
  };
}

async function connect(endpoint: Endpoint, context: HookContext): Promise<Look> {
  try {
    return await endpoint.accepts(context.signal)
      ? { state: "ready", answer: "accepts connections" }
      : { state: "absent", answer: "connection refused" };
  } catch (error) {
    if (!context.signal.aborted) throw error;
    return { state: "absent", answer: noAnswer(context) };
  }
}

function noAnswer({ requestTimeoutMs }: HookContext): string {
  return `no answer within ${formatDuration(requestTimeoutMs)}`;
}

async function look(
  request: PreparedRequest,
  options: HttpHookOptions,
  context: HookContext,
): Promise<Look> {
  const isReady = options.isReady ?? ((status) => status === 200);
  try {
    const response = await sendOnce(request, context);
    const body = await readText(response);
    return {
      state: isReady(response.status, body) ? "ready" : "present",
      answer: describeStatus(response),
    };
  } catch (error) {
    // Only a connection that was made is a sign of life.
    if (error instanceof BrokenConnectionError) {
      return { state: "present", answer: describeError(error) };
    }
    if (error instanceof NobodyListensError || error instanceof UnreachableError) {
      return { state: "absent", answer: describeError(error) };
    }
    const isLate = error instanceof Error && ["AbortError", "TimeoutError"].includes(error.name);
    const answer = isLate ? noAnswer(context) : describeError(error);
    // The time of this look is over; who listens on the loopback says so at once.
    const soon = AbortSignal.timeout(LAST_LOOK_MS);
    const isThere = await request.endpoint.accepts(soon).catch(() => false);
    return { state: isThere ? "present" : "absent", answer };
  }
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
 * import { getPage, type HookContext, type Look } from "@k8s-job/wrapper";
 *
 * async function look(context: HookContext): Promise<Look> {
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
  // A body may be as slow as it likes: the time counts from the request to the body's end.
  const signal = AbortSignal.any([
    context.signal,
    AbortSignal.timeout(Math.max(1, context.requestTimeoutMs)),
  ]);
  try {
    const request = prepare({ url }, "GET", headers, new Map());
    const response = await sendOnce(request, { ...context, signal });
    return { status: response.status, headers: response.headers, text: await readText(response) };
  } catch (error) {
    if (error instanceof NobodyListensError) return undefined;
    throw error;
  }
}

/** Sends a harmless request, without a retry. */
async function sendOnce(request: PreparedRequest, context: HookContext): Promise<Response> {
  const ky = await loadKy();
  return await ky(request.url, {
    method: request.method,
    headers: request.headers,
    redirect: "manual",
    signal: context.signal,
    timeout: Math.max(1, context.requestTimeoutMs),
    retry: 0,
    throwHttpErrors: false,
    fetch: (input, init) => request.endpoint.send(new Request(input, init)),
  });
}

async function stop(
  request: PreparedRequest,
  options: HttpHookOptions,
  context: HookContext,
): Promise<Stop> {
  const ky = await loadKy();
  const startMs = performance.now();
  let attempts = 0;
  let status = 0;
  let headers = new Headers();
  let answer = "";
  let isLastAttempt = false;

  /** One attempt; ky decides what follows. */
  async function attempt(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const number = ++attempts;
    status = 0;
    headers = new Headers();
    answer = noAnswer(context);
    try {
      const response = await send(new Request(input, init));
      ({ status, headers } = response);
      answer = `answered ${describeStatus(response)}`;
      // The class refuses a status that nobody has defined. A server does not.
      if (status < 200 || status > 599) throw new Error(answer);
      // The status says it all: ky would read the body of an error, however long that takes, and
      // heed `Retry-After` beyond the deadline.
      return new Response(null, { status });
    } catch (error) {
      // An attempt that timed out may fail once more, while the next one is under way.
      const isAborted = error instanceof Error && error.name === "AbortError";
      if (number === attempts && !isAborted) answer = describeError(error);
      throw error;
    }
  }

  async function send(attempted: Request): Promise<Response> {
    // A connection that breaks means one thing if the sidecar was there, and another if it never was.
    if (!context.wasSeen()) {
      const isThere = await request.endpoint.accepts(attempted.signal);
      if (!isThere) throw new NobodyListensError("connection refused");
      context.markSeen();
    }
    const response = await request.endpoint.send(attempted);
    context.markSeen();
    response.body?.cancel().catch(() => {});
    return response;
  }

  /**
   * How long to leave the sidecar alone. A pause that would not end in time is cut, so that there is
   * one more request before the deadline, and no further one.
   */
  function pauseMs(attempt: number): number {
    // `Retry-After: 0` is no wish that all attempts be over within a few milliseconds.
    const ownMs = retryDelayMs(attempt) * (0.5 + Math.random() / 2);
    const wantedMs = Math.max(ownMs, retryAfterMs(headers) ?? 0);
    const leftMs = Math.max(0, context.deadlineMs - (performance.now() - startMs));
    isLastAttempt = wantedMs > leftMs * 0.9;
    return isLastAttempt ? leftMs - Math.min(context.requestTimeoutMs, leftMs / 2) : wantedMs;
  }

  try {
    await ky(request.url, {
      method: request.method,
      headers: request.headers,
      redirect: "manual",
      signal: context.signal,
      timeout: Math.max(1, context.requestTimeoutMs),
      totalTimeout: Math.max(1, context.deadlineMs),
      retry: {
        limit: context.retries,
        methods: [request.method],
        statusCodes: RETRIED_STATUSES,
        delay: pauseMs,
        retryOnTimeout: true,
        shouldRetry: ({ error }) => {
          if (isLastAttempt || isUntrusted(error)) return false;
          const isTransient = error instanceof BrokenConnectionError ||
            error instanceof UnreachableError;
          return isTransient ? true : undefined;
        },
      },
      hooks: {
        beforeRetry: [() => {
          context.debug(`attempt ${attempts} failed (${answer}); trying again`);
        }],
      },
      fetch: attempt,
    });
    return { state: "stopped", answer: answer.replace(/^answered /, "") };
  } catch (error) {
    const state = error instanceof NobodyListensError ? "absent" : "failed";
    const hint = options.hint?.({ state, status, headers }) ?? protocolHint(request.url, answer);
    const withHint = hint === undefined ? {} : { hint };
    if (error instanceof NobodyListensError) return { state, answer: error.message, ...withHint };
    if (attempts === 0) answer = describeError(error);
    const times = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
    const took = formatDuration(performance.now() - startMs);
    return { state, answer: `${answer} (${times} in ${took})`, ...withHint };
  }
}

/** 408 Request Timeout, 425 Too Early, 429 Too Many Requests, and every error of the server's own. */
const RETRIED_STATUSES = [408, 425, 429, ...Array.from({ length: 100 }, (_, index) => 500 + index)];

/** `Retry-After`, in seconds or as a date; undefined if there is none, or none that can be read. */
function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get("retry-after")?.trim() ?? "";
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** A certificate does not get better by asking again. */
function isUntrusted(error: Error): boolean {
  return error instanceof BrokenConnectionError && /certificate/i.test(error.message);
}

/** What to do where the two sides do not speak the same protocol. */
function protocolHint(url: URL, answer: string): string | undefined {
  if (!answer.startsWith("connection broke")) return undefined;
  if (/\balert\b.*certificate/i.test(answer)) {
    return "It wants a certificate of its clients, and the wrapper has none";
  }
  if (/certificate/i.test(answer)) {
    return "Its certificate is not trusted here; inside a pod, http:// needs none";
  }
  if (url.protocol === "https:" && /corrupt|wrong version|packet length/i.test(answer)) {
    return "It does not speak TLS: name it with http://";
  }
  if (answer.includes("the answer is TLS")) return "It speaks TLS: name it with https://";
  return undefined;
}

function retryDelayMs(attempt: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** (attempt - 1), LONGEST_DELAY_MS);
}

/** ky is loaded when it is needed first, which is after COMMAND was started. */
async function loadKy(): Promise<KyInstance> {
  return (await import("ky")).default;
}

function describeStatus(response: Response): string {
  return `${response.status} ${response.statusText}`.trimEnd();
}

function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "no answer in time";
  if (error.name === "AbortError") return "given up";
  if (error instanceof BrokenConnectionError) return `connection broke: ${error.message}`;
  if (error instanceof UnreachableError) return `cannot be reached: ${error.message}`;
  return redact(error.message);
}

/** Reads a body to its end, so that the connection can be used again; gives up on a long one. */
async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > LONGEST_BODY_BYTES) break;
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
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
  readonly warm?: { readonly path: string };
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
export function presetHook(preset: HttpPreset, options: PresetOptions = {}): Hook {
  const own = options.baseUrl;
  const on = (path: string, baseUrl: string) => ({ url: joinUrl(own ?? baseUrl, path) });
  const { stop, ready, warm } = preset;
  return httpHook({
    name: preset.name,
    stop: {
      ...on(stop.path, preset.baseUrl),
      ...(stop.method === undefined ? {} : { method: stop.method }),
    },
    ...(ready && {
      ready: [ready].flat().map(({ path, baseUrl }) => on(path, baseUrl ?? preset.baseUrl)),
    }),
    ...(warm && { warm: on(warm.path, preset.baseUrl) }),
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
