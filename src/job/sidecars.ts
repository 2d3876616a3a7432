/**
 * All the sidecars of a job: one by one, and groups of those that may be there.
 *
 * @module
 */

import type { Hook, HookGroup, Probe } from "../hook.ts";
import type { Report } from "../log/log.ts";
import type { HookOutcome } from "./result.ts";
import { type Expectation, expectOneOf, expectSidecars } from "./expectation.ts";
import { type Sidecar, type SidecarLimits, trackSidecar, wasSeen } from "./sidecar.ts";

/** The outcomes from the worst to the best: a group's is the worst of its sidecars'. */
const WORST_FIRST = [
  "failed",
  "still-listening",
  "stopped",
  "gone",
  "unneeded",
  "already-stopped",
] as const;

/**
 * Tracks the sidecars of all these hooks, in their order.
 *
 * @param askedToEnd aborted when the job has been asked to end, from when on nothing is expected that
 * has not been seen
 */
export function trackAll(
  hooks: readonly Hook[],
  limits: SidecarLimits,
  askedToEnd: AbortSignal,
  report: Report,
): readonly Sidecar[] {
  const all = hooks.flatMap((hook) => "stop" in hook ? hook : hook.candidates);
  const expectation = expectSidecars(limits, () => all.some(wasSeen), askedToEnd);
  return hooks.map((hook) =>
    "stop" in hook
      ? trackSidecar(hook, limits, expectation, report)
      : trackGroup(hook, limits, expectation, report)
  );
}

/** Makes one sidecar of a group's candidates: of those that are there, whichever they are. */
function trackGroup(
  group: HookGroup,
  limits: SidecarLimits,
  all: Expectation,
  report: Report,
): Sidecar {
  const { name, address } = group;
  const expectation = expectOneOf(all, limits, () => group.candidates.some(wasSeen));
  const candidates = group.candidates.map((candidate) => {
    // Most candidates are not there, which is not worth a log line.
    const reportOnceSeen: Report = (...entry) => {
      if (entry[0] === "sidecar-expected") lookedFor(candidate.name);
      if (wasSeen(candidate)) report(...entry);
    };
    return trackSidecar(candidate, limits, expectation, reportOnceSeen);
  });
  /** The candidates that have not been looked for since COMMAND has ended. */
  const unknown = new Set(group.candidates.map((candidate) => candidate.name));

  /** Once all were looked for: says what was found, if others are still expected. */
  function lookedFor(candidate: string): void {
    if (!unknown.delete(candidate) || unknown.size > 0) return;
    const remainingMs = expectation.remainingMs();
    if (remainingMs === 0) return;
    const names = found().map((candidate) => candidate.name).join(", ") || "none";
    report("sidecars-expected", { hook: name, found: names, remainingMs });
  }

  const found = () => candidates.filter((candidate) => candidate.isSeen());

  return {
    name,
    address,
    readyAddress: address,
    isSeen: () => found().length > 0,
    foresee: () => {},
    async probe(signal) {
      const probes = candidates.map(async (one) => [one.name, await one.probe(signal)] as const);
      return combineProbes(await Promise.all(probes));
    },
    async watch(signal, running) {
      await Promise.all(candidates.map((candidate) => candidate.watch(signal, running)));
    },
    async stop(job, signal) {
      const startMs = performance.now();
      const outcomes = await Promise.all(candidates.map(async (candidate) => {
        const outcome = await candidate.stop(job, signal);
        lookedFor(candidate.name);
        return outcome;
      }));
      const sidecars = outcomes.filter((_, index) => candidates[index]?.isSeen());
      const durationMs = performance.now() - startMs;
      return { hook: name, address, durationMs, ...combineOutcomes(sidecars, signal.aborted) };
    },
  };

  function combineOutcomes(
    sidecars: readonly HookOutcome[],
    isGivenUp: boolean,
  ): Pick<HookOutcome, "outcome" | "answer" | "hint" | "sidecars"> {
    const outcome = WORST_FIRST.find((worst) => sidecars.some(({ outcome }) => outcome === worst));
    if (outcome !== undefined) {
      const answer = sidecars.map(({ hook, answer }) => `${hook}: ${answer}`).join(", ");
      const hint = sidecars.find(({ outcome }) => outcome === "failed")?.hint;
      return { outcome, answer, sidecars, ...(hint === undefined ? {} : { hint }) };
    }
    if (isGivenUp && expectation.remainingMs() > 0) {
      const answer = "given up before any sidecar came";
      report("hook-failed", { hook: name, answer, address, hint: "" });
      return { outcome: "failed", answer, sidecars };
    }
    if (limits.injected === true && !all.ended.aborted) {
      report("sidecar-missing", { hook: name, answer: "none found", address, hint: "" });
    } else {
      report("no-sidecar-found", { hook: name });
    }
    return { outcome: "no-sidecar", answer: "none found", sidecars };
  }
}

/** One probe made of many: ready if something is there, and all that is there is ready. */
function combineProbes(probes: readonly (readonly [name: string, Probe])[]): Probe {
  const there = probes.filter(([, { state }]) => state !== "absent");
  if (there.length === 0) return { state: "absent", answer: "no sidecar found" };
  const obstacles = there.flatMap(([name, { obstacle }]) =>
    obstacle === undefined ? [] : [`${name}: ${obstacle.answer}`]
  );
  return {
    state: there.every(([, { state }]) => state === "ready") ? "ready" : "present",
    answer: there.map(([name, { answer }]) => `${name}: ${answer}`).join(", "),
    ...(obstacles.length > 0 && { obstacle: { answer: obstacles.join(", ") } }),
  };
}
