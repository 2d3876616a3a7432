/**
 * Orphans: processes whose parent has ended fall to PID 1, or to the nearest ancestor that asked
 * for them, and stay as zombies until it has taken their status.
 *
 * @module
 */

import type { RunningCommand } from "../job/command.ts";
import type { Report } from "../log/log.ts";
import {
  addSignalListener,
  type ChildWaiter,
  openChildWaiter,
  processId,
  removeSignalListener,
} from "../platform/mod.ts";

/**
 * Takes the status of every child that ends, but never COMMAND's, which the runtime takes.
 *
 * @param command COMMAND
 * @param over ends it
 * @param log takes what goes wrong
 */
export function reapOrphans(
  command: Pick<RunningCommand, "pid" | "end">,
  over: AbortSignal,
  log: Report,
): void {
  let waiter: ChildWaiter;
  try {
    waiter = openChildWaiter();
    // PID 1 has the orphans of its namespace anyway.
    if (processId() !== 1) waiter.adoptOrphans();
  } catch (error) {
    log("reap-unavailable", { reason: error instanceof Error ? error.message : String(error) });
    return;
  }

  let commandIsTaken = false;
  function reap() {
    for (;;) {
      const pid = waiter.firstEnded();
      if (pid === undefined) return;
      // COMMAND's own stands before the others for a moment. When it is gone, this runs again.
      if (pid === command.pid && !commandIsTaken) return;
      waiter.take(pid);
      log("orphan-reaped", { pid });
    }
  }

  // Several children that end at once may cause one SIGCHLD only, so each looks at all of them.
  addSignalListener("SIGCHLD", reap);
  command.end.then(() => {
    commandIsTaken = true;
    reap();
  });
  reap();
  over.addEventListener("abort", () => removeSignalListener("SIGCHLD", reap), { once: true });
}
