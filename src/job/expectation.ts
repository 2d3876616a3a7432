/**
 * Whether a sidecar that has never been seen is still expected: the one place that decides it.
 *
 * @module
 */

import type { ResolvedOptions } from "./options.ts";

/** What decides how long sidecars are expected. */
export type ExpectationLimits = Pick<
  ResolvedOptions,
  "startupWindowMs" | "furtherWindowMs" | "injected"
>;

/** Whether sidecars that have never been seen are still expected. */
export interface Expectation {
  /** How much longer, in milliseconds; 0 if no more. The clock starts with the process. */
  remainingMs(): number;
  /** Aborted as soon as none is expected any more, however much of the window is left. */
  readonly ended: AbortSignal;
  /** Aborted when the job has been asked to end: Kubernetes then stops the sidecars itself. */
  readonly jobEnding: AbortSignal;
  /** To be called when a sidecar was seen for the first time. */
  sawOne(): void;
}

/**
 * Expects the sidecars of a job: the first for its window, and once one was seen, the others for
 * theirs.
 *
 * @param isAnySeen whether one was seen, in an earlier call of the library too
 * @param ended aborted when the job has been asked to end: Kubernetes starts no container any more
 */
export function expectSidecars(
  { startupWindowMs, furtherWindowMs }: ExpectationLimits,
  isAnySeen: () => boolean,
  ended: AbortSignal,
): Expectation {
  return {
    remainingMs() {
      if (ended.aborted) return 0;
      const windowMs = isAnySeen() ? furtherWindowMs : startupWindowMs;
      return Math.max(0, windowMs - performance.now());
    },
    ended,
    jobEnding: ended,
    sawOne: () => {},
  };
}

/**
 * Expects the sidecars of a group, of which a pod usually has one: where the injector said that one
 * comes, no further one is expected once it was found.
 *
 * @param isAnyFound whether one of the group was seen
 */
export function expectOneOf(
  all: Expectation,
  { injected }: ExpectationLimits,
  isAnyFound: () => boolean,
): Expectation {
  if (injected !== true) return all;
  const found = new AbortController();
  // In an earlier call of the library.
  if (isAnyFound()) found.abort();
  return {
    remainingMs: () => isAnyFound() ? 0 : all.remainingMs(),
    ended: AbortSignal.any([all.ended, found.signal]),
    jobEnding: all.jobEnding,
    sawOne: () => found.abort(),
  };
}

/** How long the last look for a sidecar may take that is expected no more, in milliseconds. */
const LAST_LOOK_MS = 1000;

/**
 * Limits the search for a sidecar that has never been seen: it goes on for one second after the
 * sidecar is expected no more.
 *
 * @returns a signal that is aborted then, and what has to be called when the search is done
 */
export function lastLook(
  { ended }: Expectation,
  isSeen: () => boolean,
): { readonly over: AbortSignal; readonly release: () => void } {
  const over = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const start = () => {
    timer = setTimeout(() => {
      if (!isSeen()) over.abort();
    }, LAST_LOOK_MS);
  };
  if (ended.aborted) start();
  else ended.addEventListener("abort", start);
  return {
    over: over.signal,
    release() {
      clearTimeout(timer);
      ended.removeEventListener("abort", start);
    },
  };
}
