/**
 * Connections where the process may open no more files.
 *
 * @module
 */

import { isOutOfDescriptors } from "../platform/errors.ts";
import { readTextFile } from "../platform/mod.ts";
import { backoffMs, sleep } from "../time.ts";

/** How many connections may be held where the limit on open files is unknown. */
const MOST_HELD = 64;

let mostHeld: number | undefined;
let held = 0;

/**
 * Asks to hold a connection open that nothing uses now. All of them together take at most a quarter of
 * the open files that this process may have.
 *
 * @returns false if there are enough
 */
export function holdOne(): boolean {
  mostHeld ??= findMostHeld();
  if (held >= mostHeld) return false;
  held++;
  return true;
}

/** To be called when a connection is no longer held. */
export function releaseOne(): void {
  held--;
}

function findMostHeld(): number {
  try {
    const [, limit] = /^Max open files +(\d+) /m.exec(readTextFile("/proc/self/limits")) ?? [];
    return limit === undefined ? MOST_HELD : Math.floor(Number(limit) / 4);
  } catch {
    // Not Linux, or nothing that this process may read.
    return MOST_HELD;
  }
}

/**
 * Opens a connection. If too many files are open, it waits for one to be closed: with many hooks, the
 * first ones that are done make room for the others.
 *
 * @param signal ends the waiting
 * @throws the last error, if there was no room until then
 *
 * @example
 * ```ts
 * import { whenThereIsRoom } from "./descriptors.ts";
 * import { assertEquals } from "@std/assert";
 *
 * let isFull = true;
 * const open = () => {
 *   const error = Object.assign(new Error("too many open files"), { code: "EMFILE" });
 *   return isFull ? Promise.reject(error) : Promise.resolve("a connection");
 * };
 * setTimeout(() => isFull = false, 20);
 * assertEquals(await whenThereIsRoom(AbortSignal.timeout(5000), open), "a connection");
 * ```
 */
export async function whenThereIsRoom<Opened>(
  signal: AbortSignal,
  open: () => Promise<Opened>,
): Promise<Opened> {
  for (let attempt = 1;; attempt++) {
    try {
      return await open();
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
      await sleep(backoffMs(attempt, 5, 100), signal);
      if (signal.aborted) throw error;
    }
  }
}
