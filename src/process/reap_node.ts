/**
 * Orphans on Node, which cannot take the status of a child that it did not start: there are none.
 *
 * @module
 */

import type { Report } from "../log/log.ts";
import type { ChildWaiter } from "../platform/types.ts";

/** Says that orphans stay where they are. */
export function adoptOrphans(report: Report): ChildWaiter | undefined {
  report("reap-unavailable", { reason: "Node cannot wait for them" });
  return undefined;
}

/** Is never called, because nothing is adopted. */
export function reapOrphans(_waiter: ChildWaiter, _ended: AbortSignal, _report: Report): void {}
