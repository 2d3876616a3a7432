/**
 * A probe of every sidecar: is it there, and is it ready? Nothing is stopped. For `--check`, and for
 * a job's own code.
 *
 * @module
 */

import type { Hook, Probe } from "../hook.ts";
import { createReport, silentLogger } from "../log/log.ts";
import { type HookOptions, resolveOptions } from "./options.ts";
import { trackAll } from "./sidecars.ts";
import { validateHooks, validateOptions } from "./validate.ts";

/** What a probe of one hook's sidecar found. */
export interface Check {
  /** The hook's name. */
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
 * Probes the sidecar of every hook once, all at the same time, and stops none.
 *
 * @param hooks the sidecars
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
  hooks: readonly Hook[],
  options: CheckOptions = {},
): Promise<readonly Check[]> {
  validateHooks(hooks);
  validateOptions(options);
  const { signal = new AbortController().signal } = options;
  const report = createReport(options.log ?? silentLogger);
  const sidecars = trackAll(hooks, resolveOptions(options), signal, report);
  const checks = await Promise.all(sidecars.map(async (sidecar): Promise<Check> => {
    const startMs = performance.now();
    const { state, answer } = await sidecar.probe(signal);
    const durationMs = Math.round(performance.now() - startMs);
    return { hook: sidecar.name, address: sidecar.readyAddress, state, answer, durationMs };
  }));
  signal.throwIfAborted();
  return checks;
}
