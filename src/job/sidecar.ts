/**
 * One sidecar during the life of a job: is it there, has it ever been there, and what came of
 * stopping it.
 *
 * @module
 */

import type { HookContext, JobSummary, Obstacle, Probe, SidecarHook, Stop } from "../hook.ts";
import type { Report } from "../log/log.ts";
import { redact } from "../log/redact.ts";
import { isRefused, thrownReason } from "../platform/errors.ts";
import { abortable, afterTime, backoffMs, formatDuration, LONGEST_MS, sleep } from "../time.ts";
import type { Armed } from "./armed.ts";
import { type Expectation, type ExpectationLimits, lastLook } from "./expectation.ts";
import type { ResolvedOptions } from "./options.ts";
import type { HookOutcome } from "./result.ts";

/** The limits within which a sidecar is looked for and stopped. */
export type SidecarLimits =
  & ExpectationLimits
  & Pick<
    ResolvedOptions,
    "requestTimeoutMs" | "shutdownTimeoutMs" | "confirmMs" | "retries" | "containers"
  >;

/** A sidecar, or a group of them, that is tracked. */
export interface Sidecar {
  /** The hook's name. */
  readonly name: string;
  /** Where it is told to quit, for people to read. */
  readonly address: string;
  /** Where it is asked whether it is ready, for people to read. */
  readonly readyAddress: string;
  /** Whether it has ever given a sign of life. */
  isSeen(): boolean;
  /** Warns about what will make stopping it fail, as far as that can be seen before COMMAND starts. */
  foresee(): void;
  /** Asks once whether it is ready. */
  probe(signal: AbortSignal): Promise<Probe>;
  /** Looks for it again and again, quietly, until it was seen once or is no longer expected. */
  watch(signal: AbortSignal, running: WhileRunning): Promise<void>;
  /** Tells it to quit, and reports the result in one log line. */
  stop(job: JobSummary, signal: AbortSignal): Promise<HookOutcome>;
}

/** What a sidecar that is watched has to do with the COMMAND that runs. */
export interface WhileRunning {
  /** COMMAND's process id. */
  readonly commandPid: number;
  /** Where its stop request stands ready, once it was seen. */
  readonly armed: Armed;
  /** Aborted when COMMAND has ended. */
  readonly ended: AbortSignal;
  /** Aborted when the job has ended. */
  readonly over: AbortSignal;
}

/** The pause after an attempt to find a sidecar, or to find it ready, in milliseconds. */
export function probePauseMs(attempt: number): number {
  return backoffMs(attempt, 50, 1000);
}

/** How long past its deadline a hook may still report how far it got. */
const LAST_WORDS_MS = 500;

/**
 * Without a startup window, a sidecar is still looked for during this time: it costs a few requests,
 * and opens the connection for the stop request.
 */
const SHORTEST_WATCH_MS = 5000;

/**
 * A sidecar that is gone, and that nobody here has told, is looked for again during this time. With
 * `restartPolicy: OnFailure` the kubelet starts a container that has failed again after 0.3 s.
 */
const RESTART_MS = 1000;
const RESTART_PAUSE_MS = 100;

/** A sidecar that has ended its connection is looked for again at most once a second, this often. */
const LOOKS_AGAIN = 7;
const FIRST_LOOK_AGAIN_MS = 1000;
const LONGEST_LOOK_AGAIN_MS = 30_000;

/** A sidecar that ends its connection at once, this often, does not want to have one. */
const MOST_QUICK_LOSSES = 3;

/** When a sidecar went, in words; NaN if that was not seen. */
function describeLoss(lostAtMs: number, endMs: number): string {
  const before = Number.isNaN(lostAtMs) ? "" : `${formatDuration(endMs - lostAtMs)} `;
  return `gone ${before}before the command ended`;
}

/**
 * The hooks whose sidecar has given a sign of life. This outlives one call of the library, so that a
 * job that first waits for its sidecars and later tells them to quit knows that they were there.
 */
const seen = new WeakSet<SidecarHook>();

/** Whether a hook's sidecar has ever given a sign of life. */
export function wasSeen(hook: SidecarHook): boolean {
  return seen.has(hook);
}

/** Tracks the sidecar that a hook is for. */
export function trackSidecar(
  hook: SidecarHook,
  limits: SidecarLimits,
  expectation: Expectation,
  report: Report,
): Sidecar {
  const { name, address, readyAddress = address } = hook;

  let isReported = false;
  let isWarned = false;

  function markSeen(): void {
    if (seen.has(hook)) return;
    seen.add(hook);
    expectation.sawOne();
  }

  function makeContext(signal: AbortSignal, deadlineMs: number): HookContext {
    return {
      signal,
      deadlineMs,
      requestTimeoutMs: Math.min(limits.requestTimeoutMs, deadlineMs),
      retries: limits.retries,
      wasSeen: () => seen.has(hook),
      markSeen,
      debug: (text) => report("hook-note", { hook: name, text }),
    };
  }

  /** Probes in one of the hook's two ways, and notes the first sign of life. */
  async function probeBy(
    probing: (context: HookContext) => Promise<Probe>,
    signal: AbortSignal,
  ): Promise<Probe> {
    const limitMs = limits.requestTimeoutMs;
    const found = await withDeadline<Probe>(
      limitMs,
      signal,
      (deadline) => probing(makeContext(deadline, limitMs)),
      (answer) => ({ state: "absent", answer }),
    );
    if (found.state !== "absent" && !isReported) {
      isReported = true;
      markSeen();
      const where = found.address ?? readyAddress;
      report("sidecar-seen", { hook: name, address: where, answer: found.answer });
    }
    return found;
  }

  function foresee(): void {
    try {
      warn(hook.foresee?.());
    } catch (error) {
      // It only looks ahead: COMMAND runs all the same, and the stop request shows what is wrong.
      report("hook-note", { hook: name, text: `could not look ahead: ${reasonOf(error)}` });
    }
  }

  function warn(obstacle: Obstacle | undefined): void {
    if (obstacle === undefined) return;
    const { answer, hint = "" } = obstacle;
    report("hook-doubtful", { hook: name, answer, address, hint });
  }

  async function probe(signal: AbortSignal): Promise<Probe> {
    const found = await probeBy((context) => hook.probe(context), signal);
    if (found.obstacle !== undefined && !isWarned) {
      isWarned = true;
      warn(found.obstacle);
    }
    return found;
  }

  async function watch(signal: AbortSignal, running: WhileRunning): Promise<void> {
    const leastMs = performance.now() + SHORTEST_WATCH_MS;
    for (let attempt = 1;; attempt++) {
      await warmUp(running, signal);
      if (seen.has(hook) || signal.aborted) break;
      // Asked anew each time: once one sidecar was seen, the others may be expected for less long.
      if (performance.now() >= leastMs && expectation.remainingMs() === 0) return;
      await sleep(probePauseMs(attempt), signal);
    }
    keepArmed(running).catch((error) => {
      // A custom hook's; its sidecar is stopped in the ordinary way.
      const text = `could not make the stop request ready: ${reasonOf(error)}`;
      report("hook-note", { hook: name, text });
    });
  }

  async function warmUp({ commandPid }: WhileRunning, signal: AbortSignal): Promise<Probe> {
    return await probeBy((context) => {
      const withPid = { ...context, commandPid };
      return hook.warmUp?.(withPid) ?? hook.probe(withPid);
    }, signal);
  }

  /** Keeps the stop request ready. The sidecar may end the connection, or be started again. */
  async function keepArmed(running: WhileRunning): Promise<void> {
    for (let quickLosses = 0; !running.ended.aborted;) {
      const one = hook.arm?.();
      if (one === undefined) return;
      const sinceMs = performance.now();
      const disarm = running.armed.add(one);
      if (one.lost === undefined) return;
      await abortable(one.lost, running.ended).catch(() => {});
      if (running.ended.aborted) return;
      disarm();
      const heldMs = performance.now() - sinceMs;
      quickLosses = heldMs < FIRST_LOOK_AGAIN_MS ? quickLosses + 1 : 0;
      if (quickLosses === MOST_QUICK_LOSSES || !await lookAgain(running, heldMs)) return;
    }
  }

  /** Looks for a sidecar that has ended its connection, at once or a second after the last look. */
  async function lookAgain(running: WhileRunning, lookedMsAgo: number): Promise<boolean> {
    await sleep(Math.max(0, FIRST_LOOK_AGAIN_MS - lookedMsAgo), running.ended);
    for (let attempt = 1; attempt <= LOOKS_AGAIN && !running.ended.aborted; attempt++) {
      // Aborting it at COMMAND's end would delay the stop request.
      const found = await warmUp(running, running.over);
      if (found.state !== "absent") return true;
      await sleep(backoffMs(attempt, FIRST_LOOK_AGAIN_MS, LONGEST_LOOK_AGAIN_MS), running.ended);
    }
    return false;
  }

  async function stop(job: JobSummary, signal: AbortSignal): Promise<HookOutcome> {
    const startMs = performance.now();
    const { outcome, answer, hint, lostAtMs } = await stopOrMiss(job, signal);
    const durationMs = performance.now() - startMs;
    switch (outcome) {
      case "stopped":
        if (hint === undefined) report("hook-stopped", { hook: name, answer, durationMs });
        else report("hook-stop-unsure", { hook: name, answer, address, hint });
        break;
      case "already-stopped":
        if (lostAtMs === undefined) report("hook-already-stopped", { hook: name, answer });
        else report("hook-gone", { hook: name, answer, when: describeLoss(lostAtMs, startMs) });
        break;
      case "no-sidecar":
        report(isMissed(hook, limits, expectation) ? "sidecar-missing" : "hook-no-sidecar", {
          hook: name,
          answer,
          address,
          hint: hint ?? "",
        });
        break;
      case "unneeded":
        report("hook-unneeded", { hook: name, answer, hint: hint ?? "" });
        break;
      case "failed":
        report("hook-failed", { hook: name, answer, address, hint: hint ?? "" });
        break;
    }
    const end = outcome === "stopped" ? await confirm(signal) : outcome;
    return { hook: name, address, outcome: end, answer, durationMs, ...(hint && { hint }) };
  }

  /** After it was told to quit: looks, without telling it again, until nobody listens any more. */
  async function confirm(signal: AbortSignal): Promise<"stopped" | "gone" | "still-listening"> {
    const { confirmMs } = limits;
    if (confirmMs === 0) return "stopped";
    const isListening = hook.isListening?.bind(hook);
    if (isListening === undefined) {
      report("hook-unconfirmed", { hook: name });
      return "stopped";
    }
    const startMs = performance.now();
    for (let attempt = 1;; attempt++) {
      const leftMs = Math.max(1, confirmMs - (performance.now() - startMs));
      const limitMs = Math.min(limits.requestTimeoutMs, leftMs);
      const listens = await withDeadline(
        limitMs,
        signal,
        (deadline) => isListening(makeContext(deadline, limitMs)),
        (_, refused) => !refused,
      );
      const durationMs = performance.now() - startMs;
      if (!listens) {
        report("hook-confirmed", { hook: name, durationMs });
        return "gone";
      }
      if (signal.aborted) return "stopped";
      if (durationMs >= confirmMs) {
        report("hook-still-listening", { hook: name, address, limitMs: confirmMs });
        return "still-listening";
      }
      await sleep(Math.min(backoffMs(attempt, 10, 500), confirmMs - durationMs), signal);
    }
  }

  /** Stops the sidecar, and waits for one that may still be coming. */
  async function stopOrMiss(
    job: JobSummary,
    signal: AbortSignal,
  ): Promise<Pick<HookOutcome, "outcome" | "answer" | "hint"> & Pick<Stop, "lostAtMs">> {
    const { over, release } = lastLook(expectation, () => seen.has(hook));
    const stopLooking = AbortSignal.any([signal, over]);
    const stopPausing = AbortSignal.any([signal, expectation.ended]);
    let loss: { readonly stop: Stop; readonly atMs: number } | undefined;
    try {
      for (let attempt = 1;; attempt++) {
        const stop = await attemptStop(job, stopLooking);
        const { state, answer, hint, elsewhere } = stop;
        const withHint = hint === undefined ? {} : { hint };
        if (over.aborted && !seen.has(hook)) return { outcome: "no-sidecar", answer: "no answer" };
        if (state !== "absent") return { outcome: state, answer, ...withHint };
        if (seen.has(hook)) {
          // With several containers, another one's wrapper may have told it.
          const isFinal = stop.isEnding || expectation.jobEnding.aborted ||
            elsewhere === undefined && (limits.containers > 1 || signal.aborted);
          if (isFinal) return { outcome: "already-stopped", answer };
          if (loss === undefined) {
            loss = { stop, atMs: performance.now() };
            const why = elsewhere?.answer ?? "gone without having been told";
            report("hook-note", { hook: name, text: `${why}; looking again` });
          }
          const lostMs = performance.now() - loss.atMs;
          const mayCome = elsewhere !== undefined && lostMs < limits.shutdownTimeoutMs &&
            expectation.remainingMs() > 0;
          if (signal.aborted || lostMs >= RESTART_MS && !mayCome) {
            if (elsewhere !== undefined) return { outcome: "failed", ...elsewhere };
            const { answer, lostAtMs = NaN } = loss.stop;
            return { outcome: "already-stopped", answer, lostAtMs };
          }
          await sleep(RESTART_PAUSE_MS, AbortSignal.any([signal, expectation.jobEnding]));
          continue;
        }
        const remainingMs = expectation.remainingMs();
        if (remainingMs === 0) return { outcome: "no-sidecar", answer, ...withHint };
        if (signal.aborted) return { outcome: "failed", answer: "given up before it came" };
        if (attempt === 1) report("sidecar-expected", { hook: name, address, remainingMs });
        await sleep(Math.min(probePauseMs(attempt), remainingMs), stopPausing);
      }
    } finally {
      release();
    }
  }

  async function attemptStop(job: JobSummary, signal: AbortSignal): Promise<Stop> {
    const limitMs = limits.shutdownTimeoutMs;
    return await withDeadline<Stop>(
      limitMs,
      signal,
      (deadline) => hook.stop({ ...makeContext(deadline, limitMs), job }),
      (answer, refused) => ({ state: refused ? "absent" : "failed", answer }),
    );
  }

  return {
    name,
    address,
    readyAddress,
    isSeen: () => seen.has(hook),
    foresee,
    probe,
    watch,
    stop,
  };
}

/**
 * Whether a sidecar that never came should have come: somebody has named it, or has said that one was
 * injected. A pod that is being deleted ends without it.
 */
function isMissed(
  { optional = false }: SidecarHook,
  { injected }: SidecarLimits,
  { ended }: Expectation,
): boolean {
  return !ended.aborted && (injected ?? !optional);
}

/** Why a hook failed that has thrown something. */
function reasonOf(error: unknown): string {
  return redact(thrownReason(error));
}

/**
 * Runs a task with a deadline. A task that ignores the deadline is abandoned shortly after it.
 *
 * @param otherwise makes a result of what happened instead
 */
export async function withDeadline<Result>(
  limitMs: number,
  signal: AbortSignal,
  start: (signal: AbortSignal) => Promise<Result>,
  otherwise: (answer: string, refused: boolean) => Result,
): Promise<Result> {
  const deadline = new AbortController();
  const patience = new AbortController();
  const takeBack = [
    afterTime(limitMs, () => deadline.abort()),
    afterTime(Math.min(limitMs + LAST_WORDS_MS, LONGEST_MS), () => patience.abort()),
  ];
  try {
    const result = start(AbortSignal.any([signal, deadline.signal]));
    return await abortable(result, AbortSignal.any([signal, patience.signal]));
  } catch (error) {
    if (signal.aborted) return otherwise("given up", false);
    if (patience.signal.aborted) {
      return otherwise(`not done within ${formatDuration(limitMs)}`, false);
    }
    if (isRefused(error)) return otherwise("connection refused", true);
    return otherwise(reasonOf(error), false);
  } finally {
    for (const take of takeBack) take();
  }
}
