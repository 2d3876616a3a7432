/**
 * What has to be ready before COMMAND starts: sidecars, and other conditions.
 *
 * @module
 */

import { type Awaitable, type Condition, isHook, type Probe } from "../hook.ts";
import type { Report } from "../log/log.ts";
import { resolveOptions, type RunOptions } from "./options.ts";
import { type Sidecar, type SidecarLimits, withDeadline } from "./sidecar.ts";
import { trackAll } from "./sidecars.ts";

/** Something that is waited for. */
export type Awaited = Pick<Sidecar, "name" | "readyAddress" | "probe">;

/** What has to be ready before COMMAND. Where no sidecar was injected, none will ever be. */
export function awaitedOf(
  { hooks = [], waitFor = hooks, injected }: Pick<RunOptions, "hooks" | "waitFor" | "injected">,
): readonly Awaitable[] {
  return waitFor.filter((one) =>
    !isHook(one) || (injected !== false && !("isAlwaysReady" in one && one.isAlwaysReady))
  );
}

/**
 * Why a job with these options would wait for what cannot be waited for, each a sentence for the
 * operator.
 *
 * @param options the options of {@linkcode run}
 *
 * @example
 * ```ts
 * import { cloudSqlProxy, waitProblems } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const proxy = cloudSqlProxy({ baseUrl: "http://localhost:9191" });
 * assertEquals(waitProblems({ hooks: [proxy], waitMs: 60_000 }).length, 1);
 * assertEquals(waitProblems({ hooks: [proxy] }), []);
 * ```
 */
export function waitProblems(
  options: Pick<RunOptions, "hooks" | "waitFor" | "waitMs" | "injected">,
): readonly string[] {
  const problems = awaitedOf(options).flatMap((one) =>
    "waitProblem" in one ? one.waitProblem ?? [] : []
  );
  return problems.length === 0 || resolveOptions(options).waitMs === 0 ? [] : problems;
}

/**
 * Tracks all of these, in their order.
 *
 * @param askedToEnd aborted when the job has been asked to end
 */
export function trackAwaited(
  awaitables: readonly Awaitable[],
  limits: SidecarLimits,
  askedToEnd: AbortSignal,
  report: Report,
): readonly Awaited[] {
  return awaitables.flatMap((one) =>
    isHook(one) ? trackAll([one], limits, askedToEnd, report) : trackCondition(one, limits, report)
  );
}

function trackCondition(
  condition: Condition,
  { requestTimeoutMs, retries }: SidecarLimits,
  report: Report,
): Awaited {
  const { name, address } = condition;
  let isSeen = false;
  const context = {
    requestTimeoutMs,
    deadlineMs: requestTimeoutMs,
    retries,
    wasSeen: () => isSeen,
    markSeen: () => {
      isSeen = true;
    },
    debug: (text: string) => report("hook-note", { hook: name, text }),
  };
  return {
    name,
    readyAddress: address,
    probe: (signal) =>
      withDeadline<Probe>(
        requestTimeoutMs,
        signal,
        (deadline) => condition.probe({ ...context, signal: deadline }),
        (answer) => ({ state: "absent", answer }),
      ),
  };
}
