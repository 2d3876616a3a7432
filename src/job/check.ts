/**
 * A probe of every sidecar: is it there, and is it ready? Nothing is stopped. For `--check`, and for
 * a job's own code.
 *
 * @module
 */

import type { Awaitable, Probe } from "../hook.ts";
import { createReport, silentLogger } from "../log/log.ts";
import { trackAwaited } from "./awaited.ts";
import { type HookOptions, resolveOptions } from "./options.ts";
import { validateAwaitables, validateOptions } from "./validate.ts";

/** What a probe of one hook's sidecar found. */
export interface Check {
  /** The name of the hook or the condition. */
  readonly hook: string;
  /** Where its readiness was asked for. */
  readonly address: string;
  /** `ready`, `present` (it is there and not ready) or `absent`. */
  readonly state: Probe["state"];
  /** What was seen, in a few words. */
  readonly answer: string;
  /** How long that took, in milliseconds. */
  readonly durationMs: number;
}

/** How sidecars are probed. Every field has a default. */
export interface CheckOptions extends Pick<HookOptions, "requestTimeoutMs" | "log"> {
  /** When it is aborted, the promise is rejected with its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Probes the sidecar of every hook, and every condition, once and all at the same time. Nothing is
 * stopped.
 *
 * @param hooks the sidecars, and conditions such as {@linkcode tcpReady}'s
 * @param options the limits
 * @returns one result each, in the order of the hooks
 * @throws {TypeError} or {RangeError} for a wrong argument, or the reason of `options.signal`
 *
 * @example
 * ```ts
 * import { checkAll, istio } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * // Nothing listens on this port here.
 * const [check] = await checkAll([istio({ baseUrl: "http://127.0.0.1:9" })]);
 * assertEquals([check?.state, check?.answer], ["absent", "connection refused"]);
 * ```
 */
export async function checkAll(
  hooks: readonly Awaitable[],
  options: CheckOptions = {},
): Promise<readonly Check[]> {
  validateAwaitables(hooks, "hooks");
  validateOptions(options);
  const { signal = new AbortController().signal } = options;
  const report = createReport(options.log ?? silentLogger);
  const awaited = trackAwaited(hooks, resolveOptions(options), signal, report);
  const checks = await Promise.all(awaited.map(async (one): Promise<Check> => {
    const startMs = performance.now();
    const { obstacle, ...found } = await one.probe(signal);
    const state = obstacle === undefined ? found.state : "present";
    const answer = found.answer + (obstacle === undefined ? "" : `, but ${obstacle.answer}`);
    const durationMs = Math.round(performance.now() - startMs);
    return { hook: one.name, address: one.readyAddress, state, answer, durationMs };
  }));
  signal.throwIfAborted();
  return checks;
}
