/**
 * Waiting until sidecars are ready: for the command line's `--wait`, and for a job's own code.
 *
 * @module
 */

import type { Awaitable } from "../hook.ts";
import { createReport, type Report, silentLogger } from "../log/log.ts";
import { linesTaken } from "../log/stderr.ts";
import { LONGEST_MS, sleep } from "../time.ts";
import { type Awaited, trackAwaited, waitProblems } from "./awaited.ts";
import { describeLate, NotReadyError } from "./errors.ts";
import { type HookOptions, resolveOptions } from "./options.ts";
import { probePauseMs } from "./sidecar.ts";
import { validateAwaitables, validateOptions } from "./validate.ts";

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
 * Waits until every sidecar, and every condition, is ready.
 *
 * A hook remembers that its sidecar has answered: give the same hooks to {@linkcode stopSidecars} later.
 *
 * @param hooks the sidecars, and conditions such as {@linkcode tcpReady}'s
 * @param options the limits
 * @throws {NotReadyError} if time runs out
 * @throws {TypeError} or {RangeError} for a wrong option, or a hook that cannot be waited for, or the reason of `options.signal`
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
  hooks: readonly Awaitable[],
  options: WaitOptions = {},
): Promise<void> {
  validateAwaitables(hooks, "hooks");
  validateOptions(options);
  const [problem] = waitProblems({ waitFor: hooks });
  if (problem !== undefined) throw new TypeError(problem);
  const { timeoutMs = LONGEST_MS, signal = new AbortController().signal } = options;
  const report = createReport(options.log ?? silentLogger);
  const awaited = trackAwaited(hooks, resolveOptions(options), signal, report);
  const late = await waitForAll(awaited, timeoutMs, signal, report);
  await linesTaken();
  signal.throwIfAborted();
  if (late !== undefined) throw late;
}

/** How often a line says what is still missing, in milliseconds. */
const REMINDER_MS = 60_000;

/** Waits until all are ready; the error names those that are not, at the time-out or the abort. */
export async function waitForAll(
  awaited: readonly Awaited[],
  timeoutMs: number,
  signal: AbortSignal,
  report: Report,
  reminderMs = REMINDER_MS,
): Promise<NotReadyError | undefined> {
  const startMs = performance.now();
  const tookMs = () => performance.now() - startMs;
  /** The last answer of each that is not ready. */
  const missing = new Map(awaited.map((one) => [one, "no answer"]));
  const late = () => [...missing].map(([{ name }, answer]) => ({ hook: name, answer }));
  const timeUp = new AbortController();
  const timer = setTimeout(() => timeUp.abort(), timeoutMs);
  const reminder = setInterval(
    () => report("wait-goes-on", { hooks: describeLate(late()), durationMs: tookMs() }),
    reminderMs,
  );
  const ended = AbortSignal.any([signal, timeUp.signal]);
  report("wait-started", { limitMs: timeoutMs, hooks: namesOf(awaited) });

  async function untilReady(one: Awaited): Promise<void> {
    for (let attempt = 1; !ended.aborted; attempt++) {
      const { state, answer } = await one.probe(ended);
      if (state === "ready") {
        missing.delete(one);
        const others = namesOf([...missing.keys()]);
        const durationMs = tookMs();
        if (missing.size > 0) report("wait-progress", { hook: one.name, durationMs, others });
        return;
      }
      // A probe that was cut short by the end of the wait has seen nothing.
      if (!ended.aborted) missing.set(one, answer);
      await sleep(probePauseMs(attempt), ended);
    }
  }

  try {
    await Promise.all(awaited.map(untilReady));
    if (missing.size > 0) return new NotReadyError(late(), timeoutMs);
    report("wait-ended", { hooks: namesOf(awaited), durationMs: tookMs() });
    return undefined;
  } finally {
    clearTimeout(timer);
    clearInterval(reminder);
  }
}

function namesOf(awaited: readonly Awaited[]): string {
  return awaited.map(({ name }) => name).join(", ");
}
