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
 * Takes the status of every child that ends, except COMMAND's, which the runtime takes.
 *
 * @param command COMMAND; `end` settles when the runtime has its status
 * @param ended stops the reaping
 */
export function reapOrphans(
  waiter: ChildWaiter,
  command: { readonly pid: number; readonly end: Promise<unknown> },
  ended: AbortSignal,
  report: Report,
): void {
  let commandIsTaken = false;
  function reap() {
    for (;;) {
      const pid = waiter.firstEnded();
      if (pid === undefined) return;
      // Until the runtime has taken COMMAND's status, it hides the others. Then this runs again.
      if (pid === command.pid && !commandIsTaken) return;
      waiter.take(pid);
      report("orphan-reaped", { pid });
    }
  }

  // Several children that end at once may cause only one SIGCHLD, so each one takes all of them.
  addSignalListener("SIGCHLD", reap);
  command.end.then(() => {
    commandIsTaken = true;
    reap();
  });
  reap();
  ended.addEventListener("abort", () => removeSignalListener("SIGCHLD", reap), { once: true });
}
