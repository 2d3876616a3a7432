/**
 * Waiting until sidecars are ready: for the command line's `--wait`, and for a job's own code.
 *
 * @module
 */

import { validateHooks, validateOptions } from "./validate.ts";
import { formatDuration, LONGEST_MS } from "../time.ts";
import type { Hook } from "../hook.ts";
import { createReport, type Logger, type Report, silentLogger } from "../log/log.ts";
import { type Sidecar, sleep, trackAll } from "./sidecar.ts";

/**
 * A sidecar that was not ready in time.
 *
 * @example
 * ```ts
 * import type { LateSidecar } from "@k8s-job/wrapper";
 *
 * const late: LateSidecar = { hook: "istio", answer: "connection refused" };
 * console.log(`${late.hook} is late: ${late.answer}`);
 * ```
 */
export interface LateSidecar {
  /** The hook's name. */
  readonly hook: string;
  /** What was seen last, in a few words: `503 Service Unavailable`, `connection refused`. */
  readonly answer: string;
}

/**
 * Sidecars were not ready in time.
 *
 * @example
 * ```ts
 * import { istio, NotReadyError, waitUntilReady } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * try {
 *   // Nobody listens on this port here.
 *   await waitUntilReady([istio({ baseUrl: "http://127.0.0.1:9" })], { timeoutMs: 100 });
 * } catch (error) {
 *   if (!(error instanceof NotReadyError)) throw error;
 *   assertEquals(error.late.map(({ hook }) => hook), ["istio"]);
 * }
 * ```
 */
export class NotReadyError extends Error {
  /** The name of the class, for where `instanceof` does not reach. */
  override readonly name = "NotReadyError";
  /** The sidecars that were not ready, in the order of the hooks. */
  readonly late: readonly LateSidecar[];
  /** How long they were waited for, in milliseconds. */
  readonly timeoutMs: number;

  /** Names each sidecar, and what it answered last. */
  constructor(late: readonly LateSidecar[], timeoutMs: number) {
    const list = late.map(({ hook, answer }) => `${hook} (${answer})`).join(", ");
    super(`not ready after ${formatDuration(timeoutMs)}: ${list}`);
    this.late = late;
    this.timeoutMs = timeoutMs;
  }
}

/**
 * How sidecars are waited for. Every field has a default.
 *
 * @example
 * ```ts
 * import { type WaitOptions, waitUntilReady } from "@k8s-job/wrapper";
 *
 * const options: WaitOptions = { timeoutMs: 30_000, signal: AbortSignal.timeout(60_000) };
 * await waitUntilReady([], options);
 * ```
 */
export interface WaitOptions {
  /**
   * How long to wait at most, in milliseconds.
   *
   * @default as long as it takes
   */
  readonly timeoutMs?: number;
  /**
   * One look at one sidecar, in milliseconds.
   *
   * @default 5000
   */
  readonly requestTimeoutMs?: number;
  /** When it is aborted, the wait ends and the promise is rejected with its reason. */
  readonly signal?: AbortSignal;
  /**
   * Takes the log lines.
   *
   * @default silentLogger
   */
  readonly log?: Logger;
}

/**
 * Waits until every sidecar is ready.
 *
 * A hook remembers that its sidecar has answered: give the same hooks to {@linkcode stopSidecars} later.
 *
 * @param hooks the sidecars
 * @param options the limits
 * @throws {NotReadyError} if time runs out
 * @throws {TypeError} or {RangeError} for a wrong option, or the reason of `options.signal`
 *
 * @example
 * ```ts
 * import { httpHook, waitUntilReady } from "@k8s-job/wrapper";
 *
 * await using sidecar = Deno.serve({ port: 0, onListen: () => {} }, () => new Response("ready"));
 * const url = `http://localhost:${sidecar.addr.port}`;
 * const mine = httpHook({
 *   name: "mine",
 *   stop: { url: `${url}/quit` },
 *   ready: { url: `${url}/ready` },
 * });
 * await waitUntilReady([mine], { timeoutMs: 30_000 });
 * ```
 */
export async function waitUntilReady(
  hooks: readonly Hook[],
  options: WaitOptions = {},
): Promise<void> {
  validateHooks(hooks);
  validateOptions(options);
  const log = createReport(options.log ?? silentLogger);
  const sidecars = trackAll(hooks, options, log);
  const stopped = options.signal ?? new AbortController().signal;
  const late = await waitForAll(sidecars, options.timeoutMs ?? LONGEST_MS, stopped, log);
  stopped.throwIfAborted();
  if (late !== undefined) throw late;
}

/** Waits until all are ready; the error says which are not, when time is up or `stopped` is aborted. */
export async function waitForAll(
  sidecars: readonly Sidecar[],
  timeoutMs: number,
  stopped: AbortSignal,
  log: Report,
): Promise<NotReadyError | undefined> {
  const startMs = performance.now();
  const names = sidecars.map(({ name }) => name).join(", ");
  const timeUp = new AbortController();
  const timer = setTimeout(() => timeUp.abort(), timeoutMs);
  const over = AbortSignal.any([stopped, timeUp.signal]);
  log("wait-started", { limitMs: timeoutMs, hooks: names });
  try {
    const late = await Promise.all(sidecars.map((sidecar) => untilReady(sidecar, over)));
    const notReady = late.filter((one) => one !== undefined);
    if (notReady.length > 0) return new NotReadyError(notReady, timeoutMs);
    log("wait-ended", { hooks: names, durationMs: performance.now() - startMs });
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

async function untilReady(sidecar: Sidecar, over: AbortSignal): Promise<LateSidecar | undefined> {
  let answer = "no answer";
  for (let pauseMs = 50; !over.aborted; pauseMs = Math.min(pauseMs * 2, 1000)) {
    const found = await sidecar.probe(over);
    if (found.state === "ready") return undefined;
    // The look that the end of the wait broke off has seen nothing.
    if (!over.aborted) answer = found.answer;
    await sleep(pauseMs, over);
  }
  return { hook: sidecar.name, answer };
}
