/**
 * Whatever sidecars are there: each is recognized by its answers before it is told to quit.
 *
 * @module
 */

import { combineProbes } from "../src/job/sidecars.ts";
import type { Hook, HookContext, Probe } from "../src/hook.ts";
import { getPage } from "./http.ts";
import type { NamedHook, Recognize } from "./preset.ts";

/**
 * Makes a hook for all the sidecars that are there.
 *
 * The addresses of all presets are asked at the same time, by harmless GETs. A sidecar counts as
 * there only when its answers are its own, so that nothing is ever posted to another program on its
 * port. What is found is told to quit as soon as the job is over. As others may still be starting,
 * they are looked for to the end of the startup window; naming the hooks spares that time.
 *
 * @param presets the sidecars to look for; one without a rule to recognize it is not found
 *
 * @example
 * ```ts
 * import { auto, PRESETS } from "@k8s-job/wrapper";
 * import { assert } from "@std/assert";
 *
 * const names = auto(PRESETS).candidates?.map(({ name }) => name) ?? [];
 * assert(names.includes("istio") && names.includes("linkerd"));
 * ```
 */
export function auto(presets: readonly NamedHook[]): Hook {
  const candidates = presets.flatMap((preset) =>
    preset.recognize === undefined ? [] : [recognizedHook(preset(), preset.recognize)]
  );
  return {
    name: "auto",
    address: "each preset's address",
    candidates,
    async probe(context) {
      const probes = candidates.map(async (one) => [one.name, await one.probe(context)] as const);
      return combineProbes(await Promise.all(probes));
    },
    async stop(context) {
      const stops = await Promise.all(candidates.map((candidate) => candidate.stop(context)));
      return stops.find(({ state }) => state === "failed") ??
        stops.find(({ state }) => state !== "absent") ??
        { state: "absent", answer: "no sidecar found" };
    },
  };
}

/** A preset's hook that leaves alone what it has not recognized. */
function recognizedHook(hook: Hook, recognize: Recognize): Hook {
  /** Whether the sidecar was recognized, and the address that tells it to quit answered. */
  let isStoppable = false;

  async function isThere(context: HookContext): Promise<boolean> {
    try {
      return await recognize((url, headers) => getPage(url, context, headers));
    } catch {
      // Somebody else is there, who speaks something else or nothing at all.
      return false;
    }
  }

  /** Looks in this way, if the sidecar is there. */
  async function probeIfThere(
    probeFirst: (context: HookContext) => Promise<Probe>,
    context: HookContext,
  ): Promise<Probe> {
    if (!await isThere(context)) return { state: "absent", answer: "not recognized" };
    const found = await probeFirst(context);
    return found.state === "absent" ? { ...found, state: "present" } : found;
  }

  async function warmUp(context: HookContext): Promise<Probe> {
    return await probeIfThere(async () => {
      const found = await (hook.warmUp ?? hook.probe)(context);
      isStoppable = found.state !== "absent";
      return found;
    }, context);
  }

  return {
    ...hook,
    probe: (context) => probeIfThere(hook.probe, context),
    warmUp,
    async stop(context) {
      if (!isStoppable || !context.wasSeen()) {
        if (!await isThere(context)) return { state: "absent", answer: "not recognized" };
        context.markSeen();
      }
      return await hook.stop(context);
    },
  };
}
