/**
 * Waiting until sidecars are ready: for the command line's `--wait`, and for a job's own code.
 *
 * @module
 */

import type { Hook } from "../hook.ts";
import { createReport, type Report, silentLogger } from "../log/log.ts";
import { LONGEST_MS, sleep } from "../time.ts";
import { type LateSidecar, NotReadyError } from "./errors.ts";
import { type HookOptions, resolveOptions } from "./options.ts";
import { probePauseMs, type Sidecar } from "./sidecar.ts";
import { trackAll } from "./sidecars.ts";
import { validateHooks, validateOptions } from "./validate.ts";

/** How sidecars are waited for. Every field has a default. */
export interface WaitOptions extends Pick<HookOptions, "requestTimeoutMs" | "log"> {
  /**
   * How long to wait at most, in milliseconds.
   *
   * @default as long as it takes
   */
  readonly timeoutMs?: number;
  /** When it is aborted, the wait ends and the promise is rejected with its reason. */
  readonly signal?: AbortSignal;
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
  const { timeoutMs = LONGEST_MS, signal = new AbortController().signal } = options;
  const report = createReport(options.log ?? silentLogger);
  const sidecars = trackAll(hooks, resolveOptions(options), signal, report);
  const late = await waitForAll(sidecars, timeoutMs, signal, report);
  signal.throwIfAborted();
  if (late !== undefined) throw late;
}

/** Waits until all are ready; the error names those that are not, at the time-out or the abort. */
export async function waitForAll(
  sidecars: readonly Sidecar[],
  timeoutMs: number,
  signal: AbortSignal,
  report: Report,
): Promise<NotReadyError | undefined> {
  const startMs = performance.now();
  const names = sidecars.map(({ name }) => name).join(", ");
  const timeUp = new AbortController();
  const timer = setTimeout(() => timeUp.abort(), timeoutMs);
  const ended = AbortSignal.any([signal, timeUp.signal]);
  report("wait-started", { limitMs: timeoutMs, hooks: names });
  try {
    const late = await Promise.all(sidecars.map((sidecar) => untilReady(sidecar, ended)));
    const notReady = late.filter((one) => one !== undefined);
    if (notReady.length > 0) return new NotReadyError(notReady, timeoutMs);
    report("wait-ended", { hooks: names, durationMs: performance.now() - startMs });
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

async function untilReady(sidecar: Sidecar, ended: AbortSignal): Promise<LateSidecar | undefined> {
  let answer = "no answer";
  for (let attempt = 1; !ended.aborted; attempt++) {
    const found = await sidecar.probe(ended);
    if (found.state === "ready") return undefined;
    // A probe that was cut short by the end of the wait has seen nothing.
    if (!ended.aborted) answer = found.answer;
    await sleep(probePauseMs(attempt), ended);
  }
  return { hook: sidecar.name, answer };
}
