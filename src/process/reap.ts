/**
 * Orphans: processes whose parent has ended go to PID 1, or to the nearest ancestor that asked for
 * them, and stay zombies until it takes their status.
 *
 * @module
 */

import type { Report } from "../log/log.ts";
import { thrownReason } from "../platform/errors.ts";
import {
  addSignalListener,
  openChildWaiter,
  processId,
  removeSignalListener,
} from "../platform/mod.ts";
import type { ChildWaiter } from "../platform/types.ts";
import { isCommand, whenTaken } from "./commands.ts";

/** Makes the wrapper the parent of orphans; undefined if that is impossible. */
export function adoptOrphans(report: Report): ChildWaiter | undefined {
  try {
    const waiter = openChildWaiter();
    // PID 1 gets the orphans of its namespace anyway.
    if (processId() !== 1) waiter.adoptOrphans();
    return waiter;
  } catch (error) {
    report("reap-unavailable", { reason: thrownReason(error) });
    return undefined;
  }
}

/**
 * Takes the status of every child that ends, except those that are left to the runtime.
 *
 * @param ended stops the reaping
 */
export function reapOrphans(waiter: ChildWaiter, ended: AbortSignal, report: Report): void {
  function reap() {
    for (;;) {
      const pid = waiter.firstEnded();
      if (pid === undefined || isCommand(pid)) return;
      waiter.take(pid);
      report("orphan-reaped", { pid });
    }
  }

  // Several children that end at once may cause only one SIGCHLD, so each one takes all of them.
  addSignalListener("SIGCHLD", reap);
  // Until the runtime takes it, a COMMAND's status hides the others that have ended.
  const stopListening = whenTaken(reap);
  reap();
  ended.addEventListener("abort", () => {
    removeSignalListener("SIGCHLD", reap);
    stopListening();
  }, { once: true });
}
