/**
 * Stops whichever sidecars are there. Each is recognized by its answers before it is told to quit.
 *
 * @module
 */

import type { HookContext, HookGroup, Probe, SidecarHook } from "../src/hook.ts";
import { getPage } from "./http.ts";
import type { NamedHook, Recognize } from "./preset.ts";

/**
 * Makes a hook for all the sidecars that are there.
 *
 * The addresses of all presets are asked at the same time, by harmless GETs. A sidecar counts as
 * there only if its answers are its own, so that nothing is ever posted to another program on its
 * port. What is found is told to quit as soon as the job has ended. Because others may still be
 * starting, they are looked for until the end of the startup window; naming the hooks saves that
 * time.
 *
 * @param presets the sidecars to look for; one without a rule to recognize it is not found
 *
 * @example
 * ```ts
 * import { auto, PRESETS } from "@k8s-job/wrapper";
 * import { assert } from "@std/assert";
 *
 * const names = auto(PRESETS).candidates.map(({ name }) => name);
 * assert(names.includes("istio") && names.includes("linkerd"));
 * ```
 */
export function auto(presets: readonly NamedHook[]): HookGroup {
  return {
    name: "auto",
    address: "each preset's address",
    candidates: presets.flatMap((preset) =>
      preset.recognize === undefined ? [] : [recognizedHook(preset(), preset.recognize)]
    ),
  };
}

/** A preset's hook that sends no stop request to a program it has not recognized. */
function recognizedHook(hook: SidecarHook, recognize: Recognize): SidecarHook {
  /** Whether the sidecar was recognized, and the address that tells it to quit has answered. */
  let isStoppable = false;

  async function isThere(context: HookContext): Promise<boolean> {
    try {
      return await recognize((url, headers, method) => getPage(url, context, headers, method));
    } catch {
      // Another program is there, which does not speak HTTP or does not answer at all.
      return false;
    }
  }

  /** Probes in this way, if the sidecar is there. */
  async function probeIfThere(
    probe: (context: HookContext) => Promise<Probe>,
    context: HookContext,
  ): Promise<Probe> {
    if (!await isThere(context)) return { state: "absent", answer: "not recognized" };
    const found = await probe(context);
    return found.state === "absent" ? { ...found, state: "present" } : found;
  }

  async function warmUp(context: HookContext): Promise<Probe> {
    // It is also called when the sidecar has ended its connection: another program may be there now.
    isStoppable = false;
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
    arm: () => isStoppable ? hook.arm?.() : undefined,
    async stop(context) {
      if (!isStoppable || !context.wasSeen()) {
        if (!await isThere(context)) return { state: "absent", answer: "not recognized" };
        context.markSeen();
      }
      const stopped = await hook.stop(context);
      // Whatever listens there next may be another program.
      if (stopped.state === "absent") isStoppable = false;
      return stopped;
    },
  };
}
