/**
 * What goes over the wire to a sidecar that speaks HTTP. ky decides about retry and time-out.
 *
 * @module
 */

import ky from "ky";
import { formatDuration, sleep } from "../time.ts";
import type { HookContext, Page, Probe, Stop } from "../hook.ts";
import { redact } from "../log/redact.ts";
import {
  BrokenConnectionError,
  type Endpoint,
  NobodyListensError,
  openEndpoint,
  UnreachableError,
} from "./endpoint.ts";
import type { HttpHookOptions, HttpRequest } from "../../hooks/http.ts";
import { resolveUrl } from "./url.ts";

/** The requests of one hook, and the connections that they share. */
export interface Exchange {
  /** Asks whether the sidecar is ready. */
  probe(context: HookContext): Promise<Probe>;
  /** Asks whether it is there, at the address that is told to quit. */
  warmUp(context: HookContext): Promise<Probe>;
  /** Tells it to quit. */
  stop(context: HookContext): Promise<Stop>;
}

/** More of a body than this is never read. */
const LONGEST_BODY_BYTES = 256 * 1024;

const LAST_LOOK_MS = 250;

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 2000;

/** Opens the way to the sidecar of a hook; nothing is connected yet. */
export function openExchange(options: HttpHookOptions): Exchange {
  const openEndpoints = new Map<string, Endpoint>();
  const stopRequest = prepare(options.stop, "POST", options.headers, openEndpoints);
  const ready = options.ready === undefined ? [] : [options.ready].flat();
  const readyRequests = ready.map((one) => prepare(one, "GET", options.headers, openEndpoints));
  const warmUpRequest = options.warmUp &&
    prepare(options.warmUp, "GET", options.headers, openEndpoints);
  const isSame = ({ endpoint }: PreparedRequest) => endpoint === stopRequest.endpoint;
  const sameEndpoint = readyRequests.find(isSame);
  const otherEndpoints = readyRequests.filter((request) => !isSame(request));

  async function probeFirst(
    requests: readonly (PreparedRequest | undefined)[],
    context: HookContext,
  ): Promise<Probe> {
    let found: Probe | undefined;
    for (const request of requests.filter((one) => one !== undefined)) {
      found = await probe(request, options, context);
      if (found.state !== "absent") break;
    }
    return found ?? await connect(stopRequest.endpoint, context);
  }

  /** Looks, which leaves the connection open, and rehearses the stop request. */
  async function warmUp(context: HookContext): Promise<Probe> {
    const found = await probeFirst([warmUpRequest ?? sameEndpoint], context);
    if (found.state !== "absent") await rehearse(context);
    return found;
  }

  /** What runs for the first time is read and compiled by V8, which takes longer than a request. */
  async function rehearse(context: HookContext): Promise<void> {
    const rehearsed = { ...stopRequest, endpoint: NOWHERE };
    await stop(rehearsed, options, { ...context, wasSeen: () => true, markSeen: () => {} });
  }

  /**
   * Nobody listens at the stop request's address; yet a sidecar that says that it is ready is there.
   * Both servers may be about to come or go, so this is asked again before it counts as a failure.
   */
  async function stopWhatIsThere(context: HookContext): Promise<Stop> {
    for (let attempt = 1;; attempt++) {
      const stopped = await stop(stopRequest, options, context);
      if (stopped.state !== "absent" || otherEndpoints.length === 0) return stopped;
      const found = await probeFirst(otherEndpoints, context);
      if (found.state !== "ready") return stopped;
      await sleep(retryDelayMs(attempt), context.signal);
      if (attempt <= context.retries && !context.signal.aborted) continue;
      const answer = `${stopped.answer}, but it is there and ready`;
      const hint = options.hint?.({ state: "refused", status: 0, headers: new Headers() });
      return { state: "failed", answer, ...(hint === undefined ? {} : { hint }) };
    }
  }

  return {
    probe: (context) => probeFirst(readyRequests, context),
    warmUp,
    stop: stopWhatIsThere,
  };
}

/** Takes the request of a rehearsal; nothing leaves the process. */
const NOWHERE: Endpoint = {
  send: () => Promise.resolve(new Response()),
  accepts: () => Promise.resolve(true),
};

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
  const target = resolveUrl(request.url);
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

async function connect(endpoint: Endpoint, context: HookContext): Promise<Probe> {
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

async function probe(
  request: PreparedRequest,
  options: HttpHookOptions,
  context: HookContext,
): Promise<Probe> {
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
 * Gets a page, once.
 *
 * @returns undefined if nobody listens there
 * @throws what went wrong, if somebody listens and does not answer as a web server in time
 */
export async function getPageOnce(
  url: string,
  context: HookContext,
  headers: Readonly<Record<string, string>> | undefined,
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

/** Sends a stop request until it is taken. */
async function stop(
  request: PreparedRequest,
  options: HttpHookOptions,
  context: HookContext,
): Promise<Stop> {
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
