/**
 * The requests to a sidecar that speaks HTTP. ky decides about retries and time-outs.
 *
 * @module
 */

import ky, { type Options } from "ky";
import type { ArmedStop, HookContext, Obstacle, Probe, Stop } from "../hook.ts";
import { redactValue } from "../log/redact.ts";
import { errorReason } from "../platform/errors.ts";
import type { Connection, SocketAddress } from "../platform/types.ts";
import { afterTime, backoffMs, formatDuration, lookUntil, sleep } from "../time.ts";
import {
  BrokenConnectionError,
  type Endpoint,
  NobodyListensError,
  openEndpoint,
  QUIT_UNANSWERED,
  UnreachableError,
} from "./endpoint.ts";
import { AnswerError } from "./client.ts";
import type { HarmlessMethod, Page } from "./page.ts";
import { resolveUrl } from "./url.ts";

/** One request. */
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

/** The requests that a sidecar understands. */
export interface ExchangeOptions {
  /** The request that makes the sidecar quit. */
  readonly stop: HttpRequest;
  /**
   * A harmless request that reports whether the sidecar is ready. If there are several, the first
   * that is answered counts.
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
   * A harmless request to the very address that is told to quit, if `ready` goes elsewhere. It is
   * sent while COMMAND runs, so that the connection is open when it is needed.
   *
   * @default none: a connection is made and closed again, and another one is opened at the end. To hold
   * it would block a server that handles one connection at a time.
   */
  readonly warmUp?: HttpRequest;
  /** Headers for every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Which further answers to the stop request are tried again, as a 5xx is.
   *
   * @default none
   */
  readonly isTemporary?: (status: number, headers: Headers) => boolean;
  /**
   * Which 2xx answers to the stop request are another program's, and a failure.
   *
   * @default none
   */
  readonly isOfAnother?: (headers: Headers) => boolean;
  /** What the operator can do about a stop request that failed like this, as a sentence. */
  readonly hint?: (failure: StopFailure) => string | undefined;
}

/** How a stop request failed, for a hint. */
export interface StopFailure {
  /**
   * - `absent`: nobody listens at its address
   * - `refused`: nobody listens there, but the sidecar reports elsewhere whether it is ready
   * - `failed`: somebody listens there, and did not accept the request
   */
  readonly state: "absent" | "refused" | "failed";
  /** The status of the last answer; 0 if there was none. */
  readonly status: number;
  /** Whether the last attempt got no answer because the connection was closed or reset. */
  readonly broke: boolean;
  /** The headers of the last answer. */
  readonly headers: Headers;
}

/** The requests to one sidecar, and the connections that they share. */
export interface Exchange {
  /** Asks whether the sidecar is ready. */
  probe(context: HookContext): Promise<Probe>;
  /** Asks whether it is there, at the address that will be told to quit. */
  warmUp(context: HookContext): Promise<Probe>;
  /** Prepares the request that tells it to quit, if `warmUp` has found it and it may be told. */
  arm(): ArmedStop | undefined;
  /** Tells it to quit. */
  stop(context: HookContext): Promise<Stop>;
  /** Whether anybody accepts connections at the address that is told to quit. */
  isListening(context: HookContext): Promise<boolean>;
  /** When the sidecar last ended the connection to that address, as `performance.now()` has it. */
  lostAtMs(): number | undefined;
}

/** No more of a body than this is read. */
const LONGEST_BODY_BYTES = 256 * 1024;

const LAST_PROBE_MS = 250;

/** The runtime wakes up for the timers of a rehearsal, although they were taken back. */
const REHEARSAL_MS = 500;

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 2000;

/** Prepares the requests to a sidecar; nothing is connected yet. */
export function openExchange(options: ExchangeOptions): Exchange {
  const openEndpoints = new Map<string, Endpoint>();
  const stopRequest = prepare(options.stop, "POST", options.headers, openEndpoints);
  const ready = options.ready === undefined ? [] : [options.ready].flat();
  const readyRequests = ready.map((one) => prepare(one, "GET", options.headers, openEndpoints));
  const warmUpRequest = options.warmUp &&
    prepare(options.warmUp, "GET", options.headers, openEndpoints);
  const isSame = ({ endpoint }: PreparedRequest) => endpoint === stopRequest.endpoint;
  const readyAtSame = readyRequests.find(isSame);
  const readyElsewhere = readyRequests.filter((request) => !isSame(request));
  let isStoppable = false;

  /** Returns the first probe that finds somebody; without requests, only tries to connect. */
  async function probeFirst(
    requests: readonly (PreparedRequest | undefined)[],
    context: HookContext,
  ): Promise<Found> {
    let found: Found | undefined;
    for (const request of requests.filter((one) => one !== undefined)) {
      found = await probe(request, options, context);
      if (found.state !== "absent") break;
    }
    return found ?? await probeConnection(stopRequest.endpoint, context);
  }

  /** Probes, which leaves the connection open, and rehearses the stop request. */
  async function warmUp(context: HookContext): Promise<Probe> {
    isStoppable = false;
    const look = () => probeFirst([warmUpRequest ?? readyAtSame], context);
    let found = await look();
    if (found.state !== "absent") await rehearse(context);
    if (found.isTemporary) {
      context.markSeen();
      // It would refuse the stop request just the same.
      found = await lookUntil(context.deadlineMs * 0.9, context.signal, async () => {
        const later = await look();
        return later.isTemporary ? undefined : later;
      }) ?? found;
    }
    isStoppable = found.state !== "absent" && !found.isTemporary;
    return found;
  }

  /** V8 parses and compiles code when it first runs, which takes longer than a request. */
  async function rehearse(context: HookContext): Promise<void> {
    const rehearsed = { ...stopRequest, endpoint: openEndpoint([{ path: "" }], connectToNobody) };
    const limits = { requestTimeoutMs: REHEARSAL_MS, deadlineMs: REHEARSAL_MS, retries: 0 };
    const onStage = { ...context, ...limits, wasSeen: () => true, markSeen: () => {} };
    // On a new connection, then on the one that was kept.
    for (const _ of ["new", "kept"]) {
      await armRequest(rehearsed)?.send();
      await stop(rehearsed, options, onStage);
    }
    rehearsed.endpoint.close();
  }

  /**
   * If nobody listens at the stop request's address, asks elsewhere: a sidecar that reports whether it is
   * ready is there. Both servers may be about to come or go, so it tries again before it fails; whether
   * one that is not ready comes or goes, the caller knows.
   */
  async function stopIfThere(context: HookContext): Promise<Stop> {
    for (let attempt = 1;; attempt++) {
      const stopped = await stop(stopRequest, options, context);
      if (stopped.state !== "absent" || readyElsewhere.length === 0) return stopped;
      const found = await probeFirst(readyElsewhere, context);
      const isServerError = found.status !== undefined && found.status >= 500;
      if (found.state !== "ready") {
        // With another answer, another program may have that port.
        if (!isServerError) return stopped;
        context.markSeen();
        const where = `${found.answer} at ${found.address}`;
        return { ...stopped, elsewhere: refused(`${stopped.answer}, but it is there: ${where}`) };
      }
      await sleep(backoffMs(attempt, FIRST_DELAY_MS, LONGEST_DELAY_MS), context.signal);
      if (attempt <= context.retries && !context.signal.aborted) continue;
      return { state: "failed", ...refused(`${stopped.answer}, but it is there and ready`) };
    }
  }

  /** The failure of a sidecar that is there, but not at the stop request's address. */
  function refused(answer: string): Obstacle {
    const failure = { state: "refused", status: 0, broke: false, headers: new Headers() } as const;
    return { answer, ...withHint(options.hint?.(failure)) };
  }

  return {
    probe: (context) => probeFirst(readyRequests, context),
    warmUp,
    arm: () => isStoppable ? armRequest(stopRequest) : undefined,
    lostAtMs: stopRequest.endpoint.lostAtMs,
    async isListening({ signal }) {
      try {
        return await stopRequest.endpoint.accepts(signal);
      } catch (error) {
        // Whether it is gone is then unknown.
        if (error instanceof UnreachableError) return true;
        throw error;
      }
    },
    async stop(context) {
      try {
        return await stopIfThere(context);
      } finally {
        // Other hooks may need the descriptors.
        for (const endpoint of openEndpoints.values()) endpoint.close();
      }
    },
  };
}

/** The connection of a rehearsal: each request is accepted, and nothing leaves the process. */
function connectToNobody(): Promise<Connection> {
  let answer = Promise.withResolvers<void>();
  return Promise.resolve({
    async read() {
      await answer.promise;
      answer = Promise.withResolvers();
      return new TextEncoder().encode("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    },
    write() {
      answer.resolve();
      return Promise.resolve();
    },
    setIdle: () => {},
    close: () => {},
  });
}

interface PreparedRequest {
  readonly method: string;
  readonly url: URL;
  /** The URL for people to read. */
  readonly address: string;
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
  const { url, addresses, authorization } = resolveUrl(request.url);
  const key = JSON.stringify(addresses);
  const endpoint = openEndpoints.get(key) ?? openEndpoint(addresses);
  openEndpoints.set(key, endpoint);
  return {
    // What is armed must be what ky sends; only ky writes this one in capitals.
    method: request.method === "patch" ? "PATCH" : request.method ?? method,
    url,
    address: redactValue(request.url),
    headers: {
      "user-agent": "k8s-job-wrapper",
      ...(authorization === undefined ? {} : { authorization }),
      ...headers,
    },
    endpoint,
  };
}

async function probeConnection(endpoint: Endpoint, context: HookContext): Promise<Probe> {
  try {
    return await endpoint.accepts(context.signal)
      ? { state: "ready", answer: "accepts connections" }
      : { state: "absent", answer: endpoint.refusal() };
  } catch (error) {
    if (error instanceof UnreachableError) return { state: "absent", answer: describeError(error) };
    if (!context.signal.aborted) throw error;
    return { state: "absent", answer: noAnswer(context) };
  }
}

/** Tries once to connect to any of these sockets. */
export async function probeSockets(
  addresses: readonly SocketAddress[],
  context: HookContext,
): Promise<Probe> {
  return await probeConnection(openEndpoint(addresses), context);
}

/**
 * Gets a page once, to see whether it is answered with 2xx. The connection is not kept, so that the
 * host's name is resolved anew each time.
 */
export async function probePage(url: string, context: HookContext): Promise<Probe> {
  const request = prepare({ url }, "GET", undefined, new Map());
  try {
    const isReady = (status: number) => status >= 200 && status < 300;
    return await probe(request, { isReady }, context);
  } finally {
    request.endpoint.close();
  }
}

function noAnswer({ requestTimeoutMs }: HookContext): string {
  return `no answer within ${formatDuration(requestTimeoutMs)}`;
}

/** What a probe found. */
interface Found extends Probe {
  /** The status of its answer, if there was one. */
  readonly status?: number;
  /** Whether that is an answer which a stop request would get, too, and which will change. */
  readonly isTemporary?: boolean;
}

async function probe(
  request: PreparedRequest,
  options: Pick<ExchangeOptions, "isReady" | "isTemporary">,
  context: HookContext,
): Promise<Found> {
  const isReady = options.isReady ?? ((status) => status === 200);
  const { address } = request;
  try {
    const response = await sendOnce(request, context);
    const body = await readText(response);
    return {
      state: isReady(response.status, body) ? "ready" : "present",
      answer: describeStatus(response),
      address,
      status: response.status,
      isTemporary: options.isTemporary?.(response.status, response.headers) ?? false,
    };
  } catch (error) {
    // Only a connection that was made is a sign of life.
    if (error instanceof BrokenConnectionError) {
      return { state: "present", answer: describeError(error), address };
    }
    if (error instanceof NobodyListensError || error instanceof UnreachableError) {
      return { state: "absent", answer: describeError(error), address };
    }
    const isLate = isNamed(error, "AbortError") || isNamed(error, "TimeoutError");
    const answer = isLate ? noAnswer(context) : describeError(error);
    // This probe's time has run out, but a connection on the loopback takes almost no time.
    const soon = AbortSignal.timeout(LAST_PROBE_MS);
    const isThere = await request.endpoint.accepts(soon).catch(() => false);
    return { state: isThere ? "present" : "absent", answer, address };
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
  method: HarmlessMethod,
): Promise<Page | undefined> {
  // Including the body, however slow it is.
  const { signal, takeBack } = limited(context);
  const request = prepare({ url }, method, headers, new Map());
  try {
    const response = await sendOnce(request, { ...context, signal });
    return { status: response.status, headers: response.headers, text: await readText(response) };
  } catch (error) {
    if (error instanceof NobodyListensError) return undefined;
    throw error;
  } finally {
    takeBack();
    request.endpoint.close();
  }
}

/** Sends a harmless request, without a retry. */
async function sendOnce(request: PreparedRequest, context: HookContext): Promise<Response> {
  const { signal, takeBack } = limited(context);
  try {
    return await ky(request.url, {
      ...requestOptions(request, { ...context, signal }),
      // Its timer would wake the process up long after the request.
      timeout: false,
      retry: 0,
      throwHttpErrors: false,
      fetch: (input, init) => request.endpoint.send(new Request(input, init)),
    });
  } finally {
    takeBack();
  }
}

/** A signal that is aborted when a hook has to give up, or after the time that one request may take. */
function limited({ signal, requestTimeoutMs }: HookContext) {
  const late = new AbortController();
  const takeBack = afterTime(
    requestTimeoutMs,
    () => late.abort(new DOMException("no answer in time", "TimeoutError")),
  );
  return { signal: AbortSignal.any([signal, late.signal]), takeBack };
}

/** What ky is given for every request. */
function requestOptions({ method, headers }: PreparedRequest, context: HookContext): Options {
  const { signal, requestTimeoutMs } = context;
  return { method, headers, redirect: "manual", signal, timeout: requestTimeoutMs };
}

/** Prepares the very request that `stop` sends. */
function armRequest({ url, method, headers, endpoint }: PreparedRequest): ArmedStop | undefined {
  return endpoint.arm(new Request(url, { method, headers }));
}

/** Sends a stop request until it is accepted. */
async function stop(
  request: PreparedRequest,
  options: ExchangeOptions,
  context: HookContext,
): Promise<Stop> {
  const startMs = performance.now();
  let attempts = 0;
  let status = 0;
  let headers = new Headers();
  let answer = "";
  let broke = false;
  let isLastAttempt = false;
  let wasSent = false;
  let isUnanswered = false;

  /** Makes one attempt; ky decides what follows. */
  async function attempt(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const number = ++attempts;
    status = 0;
    headers = new Headers();
    answer = noAnswer(context);
    broke = false;
    try {
      const response = await send(new Request(input, init));
      ({ status, headers } = response);
      answer = `answered ${describeStatus(response)}`;
      // `Response` refuses other numbers, but servers send them.
      if (status < 200 || status > 599) throw new AnswerError(answer);
      // ky only gets the status: it would read the body of an error, however long that takes, and
      // respect `Retry-After` even beyond the deadline.
      if (options.isTemporary?.(status, headers)) return new Response(null, { status: 503 });
      const isOfAnother = status < 300 && options.isOfAnother?.(headers);
      if (isOfAnother) return new Response(null, { status: 404 });
      return new Response(null, { status });
    } catch (error) {
      // An attempt that timed out may fail again while the next one is under way.
      if (number === attempts && !isNamed(error, "AbortError")) {
        answer = describeError(error);
        broke = error instanceof BrokenConnectionError;
      }
      throw error;
    }
  }

  async function send(attempted: Request): Promise<Response> {
    // If the request fails and nobody listens any more, it matters whether the sidecar was ever there.
    if (!context.wasSeen()) {
      const isThere = await request.endpoint.accepts(attempted.signal);
      if (!isThere) throw new NobodyListensError(false, request.endpoint.refusal());
      context.markSeen();
    }
    const response = await request.endpoint.send(attempted).catch((error) => {
      isUnanswered ||= !(error instanceof NobodyListensError) || error.wasSent;
      wasSent ||= isUnanswered;
      throw error;
    });
    wasSent = true;
    isUnanswered = false;
    context.markSeen();
    response.body?.cancel().catch(() => {});
    return response;
  }

  /**
   * How long to pause before the next attempt. A pause that would not end in time is shortened, so that
   * there is exactly one more request before the deadline.
   */
  function pauseMs(attempt: number): number {
    // `Retry-After: 0` must not use up all attempts within a few milliseconds.
    const ownMs = backoffMs(attempt, FIRST_DELAY_MS, LONGEST_DELAY_MS) * (0.5 + Math.random() / 2);
    const wantedMs = Math.max(ownMs, retryAfterMs(headers) ?? 0);
    const leftMs = Math.max(0, context.deadlineMs - (performance.now() - startMs));
    isLastAttempt = wantedMs > leftMs * 0.9;
    return isLastAttempt ? leftMs - Math.min(context.requestTimeoutMs, leftMs / 2) : wantedMs;
  }

  try {
    await ky(request.url, {
      ...requestOptions(request, context),
      totalTimeout: context.deadlineMs,
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
          // Otherwise ky decides by its own rules.
          return isTransient || undefined;
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
    const hint = options.hint?.({ state, status, broke, headers }) ??
      protocolHint(request.url, answer);
    if (error instanceof NobodyListensError) {
      const lostAtMs = request.endpoint.lostAtMs();
      return {
        state,
        // It may have gone between two attempts.
        answer: isUnanswered ? QUIT_UNANSWERED : error.message,
        isEnding: wasSent,
        ...(lostAtMs !== undefined && { lostAtMs }),
        ...withHint(hint),
      };
    }
    if (attempts === 0) answer = describeError(error);
    const times = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
    const took = formatDuration(performance.now() - startMs);
    return { state, answer: `${answer} (${times} in ${took})`, ...withHint(hint) };
  }
}

function withHint(hint: string | undefined): { readonly hint?: string } {
  return hint === undefined ? {} : { hint };
}

/** 408 Request Timeout, 425 Too Early, 429 Too Many Requests, and every server error. */
const RETRIED_STATUSES = [408, 425, 429, ...Array.from({ length: 100 }, (_, index) => 500 + index)];

/** `Retry-After`, in seconds or as a date; undefined if there is none or it is invalid. */
function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get("retry-after")?.trim() ?? "";
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** Whether the server's certificate was refused, which another attempt would not change. */
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

function describeStatus(response: Response): string {
  return `${response.status} ${response.statusText}`.trimEnd();
}

function describeError(error: unknown): string {
  if (isNamed(error, "TimeoutError")) return "no answer in time";
  if (isNamed(error, "AbortError")) return "given up";
  if (error instanceof BrokenConnectionError) return `connection broke: ${error.message}`;
  if (error instanceof UnreachableError) return `cannot be reached: ${error.message}`;
  if (error instanceof NobodyListensError || error instanceof AnswerError) return error.message;
  return errorReason(error);
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}

/** Reads a body to its end, so that the connection can be reused; gives up on a long one. */
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
