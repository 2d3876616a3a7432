/**
 * The stop requests that stand ready while COMMAND runs, and leave before anything else is done.
 *
 * @module
 */

import type { ArmedStop } from "../hook.ts";
import { sleep } from "../time.ts";

/** The stop requests that stand ready. */
export interface Armed {
  /** Adds one, until the function that is returned is called. */
  add(one: ArmedStop): () => void;
  /** Sends them all, and leaves the processor to the sidecars for a moment, if there are any. */
  send(): Promise<void>;
}

/**
 * On a small machine, a sidecar that has been told would wait behind our own log lines. It usually
 * answers sooner.
 */
const QUIET_MS = 1;

/** None yet. */
export async function noneArmed(): Promise<Armed> {
  const ready = new Set<ArmedStop>();

  async function send(): Promise<void> {
    if (ready.size === 0) return;
    const answers: Promise<void>[] = [];
    for (const one of ready) {
      try {
        answers.push(one.send());
      } catch {
        // A custom hook's; it is stopped in the ordinary way.
      }
    }
    ready.clear();
    const quiet = new AbortController();
    await Promise.race([Promise.all(answers), sleep(QUIET_MS, quiet.signal)]).catch(() => {});
    quiet.abort();
  }

  function add(one: ArmedStop): () => void {
    ready.add(one);
    return () => ready.delete(one);
  }

  // V8 compiles a function when it first runs.
  add({ send: () => Promise.resolve() });
  await send();
  return { add, send };
}
