/**
 * One sidecar over the life of a job: is it there, has it ever been, and what came of stopping it.
 *
 * @module
 */

import { formatDuration } from "../time.ts";
import { trackGroup } from "./sidecars.ts";
import type { Hook, HookContext, JobSummary, Probe, Stop } from "../hook.ts";
import type { Logger, Report } from "../log/log.ts";
import { errorText, isRefused } from "../platform/errors.ts";
import { environmentVariable } from "../platform/mod.ts";

/**
 * How hooks are run. Every field has a default.
 *
 * @example
 * ```ts
 * import { type HookOptions, istio, stopSidecars, run } from "@k8s-job/wrapper";
 *
 * const limits: HookOptions = { requestTimeoutMs: 2000, shutdownTimeoutMs: 10_000, retries: 3 };
 * await run(["true"], { ...limits, hooks: [istio()] });
 * await stopSidecars([istio()], limits);
 * ```
 */
export interface HookOptions {
  /**
   * How long after this process's own start a sidecar that has never answered is still expected, in
   * milliseconds.
   *
   * @default 30000 in a Kubernetes pod, where `KUBERNETES_SERVICE_HOST` is set, else 0
   */
  readonly startupWindowMs?: number;
  /**
   * One attempt at one request, in milliseconds; at least 1.
   *
   * @default 5000
   */
  readonly requestTimeoutMs?: number;
  /**
   * The whole of a hook once its sidecar is there, retries included, in milliseconds; at
   * least 1.
   *
   * @default 15000
   */
  readonly shutdownTimeoutMs?: number;
  /**
   * Further attempts after the first.
   *
   * @default 10
   */
  readonly retries?: number;
  /**
   * Takes the log lines.
   *
   * @default silentLogger
   */
  readonly log?: Logger;
}

/**
 * How a hook ended.
 *
 * @example
 * ```ts
 * import { type HookOutcome, istio, stopSidecars } from "@k8s-job/wrapper";
 *
 * const outcomes: readonly HookOutcome[] = await stopSidecars([istio()]);
 * for (const { hook, outcome, answer } of outcomes) console.log(`${hook}: ${outcome} (${answer})`);
 * ```
 */
export interface HookOutcome {
  /** The hook's name. */
  readonly hook: string;
  /** Where the sidecar was told to quit; without credentials or query. */
  readonly address: string;
  /**
   * - `stopped`: it took the stop request
   * - `already-stopped`: it had been there and was gone
   * - `no-sidecar`: it never was there
   * - `unneeded`: it is there and need not be told: something else stops it
   * - `failed`: it is there and was not stopped
   */
  readonly outcome: "stopped" | "already-stopped" | "no-sidecar" | "unneeded" | "failed";
  /** What was seen, in a few words. */
  readonly answer: string;
  /** What the operator can do about it. */
  readonly hint?: string;
  /** How long it took, in milliseconds. */
  readonly durationMs: number;
  /** Of a hook for any number of sidecars: the outcome of each that was there. */
  readonly sidecars?: readonly HookOutcome[];
}

/** The limits within which a sidecar is looked for and stopped. */
export interface SidecarLimits {
  /** When the startup window is over, on the clock of `performance.now()`. */
  readonly windowEndMs: number;
  /** One attempt at one request, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** The whole of a hook once the sidecar is there, in milliseconds. */
  readonly shutdownTimeoutMs: number;
  /** Further attempts after the first. */
  readonly retries: number;
}

/** A sidecar that is kept track of. */
export interface Sidecar {
  /** The hook's name. */
  readonly name: string;
  /** Whether it has ever given a sign of life. */
  isSeen(): boolean;
  /** Looks once, for its readiness. */
  probe(signal: AbortSignal): Promise<Probe>;
  /** Looks again and again, quietly, until it was seen once or is not to be expected any more. */
  watch(signal: AbortSignal, commandPid?: number): Promise<void>;
  /** Tells it to quit, and says in one log line what came of it. */
  stop(job: JobSummary, signal: AbortSignal): Promise<HookOutcome>;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
const LAST_WORDS_MS = 500;

/**
 * Where no startup window is set a sidecar is still looked for during this time: it costs a few
 * requests, and makes the connection warm for the stop request.
 */
const LEAST_LOOK_OUT_MS = 5000;

/**
 * The hooks whose sidecar has given a sign of life. It outlives one call of the library, so that a
 * job that first waits for its sidecars and later tells them to quit knows that they were there.
 */
const seen = new WeakSet<Hook>();

/** How long after its own start a process still expects a sidecar that has never answered. */
export function defaultStartupWindowMs(environment: (name: string) => string | undefined): number {
  // Kubernetes sets this variable in every container.
  return environment("KUBERNETES_SERVICE_HOST") ? 30_000 : 0;
}

/** Keeps track of the sidecars of all these hooks. */
export function trackAll(
  hooks: readonly Hook[],
  options: HookOptions,
  log: Report,
): readonly Sidecar[] {
  const limits = {
    // This clock starts with the process.
    windowEndMs: options.startupWindowMs ?? defaultStartupWindowMs(environmentVariable),
    requestTimeoutMs: options.requestTimeoutMs ?? 5000,
    shutdownTimeoutMs: options.shutdownTimeoutMs ?? 15_000,
    retries: options.retries ?? 10,
  };
  return hooks.map((hook) => {
    if (hook.candidates === undefined) return trackSidecar(hook, limits, log);
    const candidates = hook.candidates.map((candidate) => {
      // Most candidates are not there, and that is no news.
      const logOnceSeen: Report = (...entry) => seen.has(candidate) && log(...entry);
      return trackSidecar(candidate, limits, logOnceSeen);
    });
    return trackGroup(hook, candidates, limits, log);
  });
}

/** Keeps track of the sidecar that a hook is for. */
function trackSidecar(hook: Hook, limits: SidecarLimits, log: Report): Sidecar {
  function context(signal: AbortSignal, deadlineMs: number, job?: JobSummary): HookContext {
    return {
      signal,
      deadlineMs,
      requestTimeoutMs: Math.min(limits.requestTimeoutMs, deadlineMs),
      retries: limits.retries,
      wasSeen: () => seen.has(hook),
      markSeen: () => {
        seen.add(hook);
      },
      debug: (text) => log("hook-note", { hook: hook.name, text }),
      ...(job === undefined ? {} : { job }),
    };
  }

  async function note(
    probing: (context: HookContext) => Promise<Probe>,
    signal: AbortSignal,
    commandPid?: number,
  ): Promise<Probe> {
    const limitMs = limits.requestTimeoutMs;
    const more = commandPid === undefined ? {} : { commandPid };
    const found = await within<Probe>(
      limitMs,
      signal,
      (given) => probing({ ...context(given, limitMs), ...more }),
      (answer) => ({ state: "absent", answer }),
    );
    if (found.state !== "absent" && !seen.has(hook)) {
      seen.add(hook);
      const address = hook.readyAddress ?? hook.address;
      log("sidecar-seen", { hook: hook.name, address, answer: found.answer });
    }
    return found;
  }

  const probe = (signal: AbortSignal) => note((context) => hook.probe(context), signal);

  async function watch(signal: AbortSignal, commandPid?: number): Promise<void> {
    const endMs = Math.max(limits.windowEndMs, performance.now() + LEAST_LOOK_OUT_MS);
    for (const pauseMs of pauses()) {
      await note((context) => hook.warmUp?.(context) ?? hook.probe(context), signal, commandPid);
      if (seen.has(hook) || signal.aborted || performance.now() >= endMs) return;
      await sleep(pauseMs, signal);
    }
  }

  async function stop(job: JobSummary, signal: AbortSignal): Promise<HookOutcome> {
    const startMs = performance.now();
    const { outcome, answer, hint } = await stopOrMiss(job, signal);
    const durationMs = performance.now() - startMs;
    const { name, address } = hook;
    switch (outcome) {
      case "stopped":
        log("hook-stopped", { hook: name, answer, durationMs });
        break;
      case "already-stopped":
        log("hook-already-stopped", { hook: name, answer });
        break;
      case "no-sidecar":
        log("hook-no-sidecar", { hook: name, answer, address, hint: hint ?? "" });
        break;
      case "unneeded":
        log("hook-unneeded", { hook: name, answer, hint: hint ?? "" });
        break;
      case "failed":
        log("hook-failed", { hook: name, answer, address, hint: hint ?? "" });
        break;
    }
    return { hook: name, address, outcome, answer, durationMs, ...(hint && { hint }) };
  }

  /** Stops the sidecar, and waits for one that may still be coming. */
  async function stopOrMiss(
    job: JobSummary,
    signal: AbortSignal,
  ): Promise<Pick<HookOutcome, "outcome" | "answer"> & { hint?: string }> {
    let toldThatExpected = false;
    for (const pauseMs of pauses()) {
      const { state, answer, hint } = await attemptStop(job, signal);
      const withHint = hint === undefined ? {} : { hint };
      if (state !== "absent") return { outcome: state, answer, ...withHint };
      if (seen.has(hook)) return { outcome: "already-stopped", answer };
      const remainingMs = limits.windowEndMs - performance.now();
      if (remainingMs <= 0) return { outcome: "no-sidecar", answer, ...withHint };
      if (signal.aborted) return { outcome: "failed", answer: "given up before it came" };
      if (!toldThatExpected) {
        toldThatExpected = true;
        log("sidecar-expected", { hook: hook.name, address: hook.address, remainingMs });
      }
      await sleep(Math.min(pauseMs, remainingMs), signal);
    }
    throw new Error("unreachable: pauses never end");
  }

  async function attemptStop(job: JobSummary, signal: AbortSignal): Promise<Stop> {
    const limitMs = limits.shutdownTimeoutMs;
    return await within<Stop>(
      limitMs,
      signal,
      (given) => hook.stop(context(given, limitMs, job)),
      (answer, refused) => ({ state: refused ? "absent" : "failed", answer }),
    );
  }

  return { name: hook.name, isSeen: () => seen.has(hook), probe, watch, stop };
}

/**
 * Starts something that is told when its time is up, and ends then whether it heeds that or not.
 *
 * @param otherwise makes a result where there is none, of what happened instead
 */
async function within<Result>(
  limitMs: number,
  signal: AbortSignal,
  start: (signal: AbortSignal) => Promise<Result>,
  otherwise: (answer: string, refused: boolean) => Result,
): Promise<Result> {
  const deadline = new AbortController();
  const settled = new AbortController();
  const timer = setTimeout(() => deadline.abort(), limitMs);
  try {
    return await Promise.race([
      start(AbortSignal.any([signal, deadline.signal])),
      aborted(signal, settled.signal).then(() => otherwise("given up", false)),
      // Who heeds the deadline says itself how far it came, and gets a moment to do so.
      aborted(deadline.signal, settled.signal).then(() => sleep(LAST_WORDS_MS, settled.signal))
        .then(() => otherwise(`not done within ${formatDuration(limitMs)}`, false)),
    ]);
  } catch (error) {
    if (isRefused(error)) return otherwise("connection refused", true);
    return otherwise(errorText(error), false);
  } finally {
    clearTimeout(timer);
    settled.abort();
  }
}

function* pauses(): Generator<number, never> {
  for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    yield pauseMs;
  }
}

/** Settles when a signal is aborted; the other one ends the listening. */
function aborted(signal: AbortSignal, settled: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true, signal: settled });
  });
}

/** Waits, until the signal is aborted at the latest. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
