/**
 * Time: durations as a person types them, pauses, and waiting that can be cut short.
 *
 * @module
 */

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * The longest duration, in milliseconds: the whole days that one timer of the runtime can wait.
 *
 * @example
 * ```ts
 * import { formatDuration, LONGEST_MS } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(formatDuration(LONGEST_MS), "24d");
 * ```
 */
export const LONGEST_MS = 24 * 86_400_000;

/**
 * Reads a duration: `500ms`, `30s`, `1m30s`, `2h`, `1d`, `0`; a bare number is seconds.
 *
 * @param text what was typed
 * @returns milliseconds, rounded to whole ones; undefined if it is not a duration, or one above
 * {@linkcode LONGEST_MS}
 *
 * @example
 * ```ts
 * import { parseDuration } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseDuration("1m30s"), 90_000);
 * assertEquals(parseDuration("2.5"), 2500);
 * assertEquals(parseDuration("soon"), undefined);
 * ```
 */
export function parseDuration(text: string): number | undefined {
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : sumOfUnits(text);
  if (ms === undefined) return undefined;
  const whole = Math.round(ms);
  return whole <= LONGEST_MS ? whole : undefined;
}

function sumOfUnits(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)) {
    sum += Number(amount) * (UNITS_MS[unit ?? ""] ?? NaN);
  }
  return sum;
}

/**
 * Writes a duration as short as it can be read back: `1m30s`, `1.5s`, `250ms`, `0s`.
 *
 * @param ms milliseconds
 *
 * @example
 * ```ts
 * import { formatDuration } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(formatDuration(90_000), "1m30s");
 * assertEquals(formatDuration(1500), "1.5s");
 * assertEquals(formatDuration(12.3), "12ms");
 * ```
 */
export function formatDuration(ms: number): string {
  const whole = Math.round(ms);
  if (whole === 0) return "0s";
  if (whole < 1000) return `${whole}ms`;
  // Next to minutes, tenths of a second are as exact as anyone wants to read.
  const tenths = Math.round(whole / 100);
  const days = Math.floor(tenths / 864_000);
  const hours = Math.floor(tenths / 36_000) % 24;
  const minutes = Math.floor(tenths / 600) % 60;
  const seconds = (tenths % 600) / 10;
  return (days ? `${days}d` : "") + (hours ? `${hours}h` : "") + (minutes ? `${minutes}m` : "") +
    (seconds ? `${seconds}s` : "");
}

/**
 * How long to pause after an attempt: the first pause, doubled each time, up to the longest.
 *
 * @param attempt the number of the attempt that failed, from 1
 */
export function backoffMs(attempt: number, firstMs: number, longestMs: number): number {
  return Math.min(firstMs * 2 ** (attempt - 1), longestMs);
}

/** Waits, but not beyond the moment that the signal is aborted; never rejects. */
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

/** No request on the loopback takes as long, unless its server is in trouble. */
const FIRST_STEP_MS = 100;

/**
 * Does something after a time, unless it is taken back.
 *
 * Deno wakes up at a timer's time even if the timer was taken back long before. So this takes timers that
 * are short at first, and each twice as long as the one before: what is taken back soon leaves nothing
 * that would wake the process up later.
 *
 * @returns takes it back
 */
export function afterTime(ms: number, action: () => void): () => void {
  const endMs = performance.now() + ms;
  let timer: ReturnType<typeof setTimeout> | undefined;
  function wait(stepMs: number) {
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) action();
    else timer = setTimeout(() => wait(2 * stepMs), Math.min(stepMs, leftMs));
  }
  wait(FIRST_STEP_MS);
  return () => clearTimeout(timer);
}

/**
 * Looks again and again, with pauses that grow from 50 ms to half a second, until something is found.
 *
 * @param limitMs how long to look at most; there is always one look
 * @param signal ends the search
 * @param look returns undefined as long as nothing is found
 */
export async function lookUntil<Found>(
  limitMs: number,
  signal: AbortSignal,
  look: () => Promise<Found | undefined>,
): Promise<Found | undefined> {
  const endMs = performance.now() + limitMs;
  for (let attempt = 1;; attempt++) {
    const found = await look();
    // A look that was cut short has seen nothing.
    if (signal.aborted) return undefined;
    const leftMs = endMs - performance.now();
    if (found !== undefined || leftMs <= 0) return found;
    await sleep(Math.min(backoffMs(attempt, 50, 500), leftMs), signal);
  }
}

/**
 * Waits for a promise, but not beyond the moment that the signal is aborted. The work behind the
 * promise is not interrupted.
 *
 * @throws the signal's reason, or whatever the promise was rejected with
 */
export function abortable<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
