/**
 * A hook for any number of sidecars: each is kept track of by itself, and this puts them together.
 *
 * @module
 */

import type { Hook, Probe } from "../hook.ts";
import type { Report } from "../log/log.ts";
import type { HookOutcome, Sidecar, SidecarLimits } from "./sidecar.ts";

/** The outcomes from the worst to the best: a group's is the worst of its sidecars'. */
const WORST_FIRST = ["failed", "stopped", "unneeded", "already-stopped"] as const;

/**
 * Makes one sidecar of the candidates of a hook: those that are there, whichever they are.
 *
 * @param hook the hook with the candidates
 * @param candidates each candidate, kept track of
 */
export function trackGroup(
  hook: Hook,
  candidates: readonly Sidecar[],
  limits: SidecarLimits,
  log: Report,
): Sidecar {
  const { name, address } = hook;
  const found = () => candidates.filter((candidate) => candidate.isSeen());

  return {
    name,
    isSeen: () => found().length > 0,
    async probe(signal) {
      const probes = candidates.map(async (one) => [one.name, await one.probe(signal)] as const);
      return combineProbes(await Promise.all(probes));
    },
    async watch(signal, commandPid) {
      await Promise.all(candidates.map((candidate) => candidate.watch(signal, commandPid)));
    },
    async stop(job, signal) {
      const startMs = performance.now();
      const stopping = candidates.map((candidate) => candidate.stop(job, signal));
      const remainingMs = limits.windowEndMs - startMs;
      if (remainingMs > 0) {
        const names = found().map((candidate) => candidate.name).join(", ") || "none";
        log("sidecars-expected", { hook: name, found: names, remainingMs });
      }
      const outcomes = await Promise.all(stopping);
      const sidecars = outcomes.filter((_, index) => candidates[index]?.isSeen());
      const durationMs = performance.now() - startMs;
      return { hook: name, address, durationMs, ...combineOutcomes(sidecars, signal.aborted) };
    },
  };

  function combineOutcomes(
    sidecars: readonly HookOutcome[],
    givenUp: boolean,
  ): Pick<HookOutcome, "outcome" | "answer" | "sidecars"> & { hint?: string } {
    const outcome = WORST_FIRST.find((worst) => sidecars.some(({ outcome }) => outcome === worst));
    if (outcome !== undefined) {
      const answer = sidecars.map(({ hook, answer }) => `${hook}: ${answer}`).join(", ");
      const hint = sidecars.find(({ outcome }) => outcome === "failed")?.hint;
      return { outcome, answer, sidecars, ...(hint === undefined ? {} : { hint }) };
    }
    if (givenUp && performance.now() < limits.windowEndMs) {
      const answer = "given up before any sidecar came";
      log("hook-failed", { hook: name, answer, address, hint: "" });
      return { outcome: "failed", answer, sidecars };
    }
    log("no-sidecar-found", { hook: name });
    return { outcome: "no-sidecar", answer: "none found", sidecars };
  }
}

/** One look of many: ready when somebody is there, and all that are there are ready. */
export function combineProbes(probes: readonly (readonly [name: string, Probe])[]): Probe {
  const there = probes.filter(([, { state }]) => state !== "absent");
  if (there.length === 0) return { state: "absent", answer: "no sidecar found" };
  return {
    state: there.every(([, { state }]) => state === "ready") ? "ready" : "present",
    answer: there.map(([name, { answer }]) => `${name}: ${answer}`).join(", "),
  };
}
