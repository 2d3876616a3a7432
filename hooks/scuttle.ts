/**
 * The sidecars of a pod that comes from scuttle.
 *
 * @module
 */

import type { Hook } from "../src/hook.ts";
import type { ScuttlePlan } from "../src/cli/scuttle.ts";
import { httpHook } from "./http.ts";
import { hostOf } from "./registry.ts";

/** What to stop, and what to wait for: scuttle waits for Envoy alone, whatever it stops later. */
export function scuttleHooks(
  { adminUrl, istioQuitUrl, genericUrls }: ScuttlePlan,
): { readonly hooks: readonly Hook[]; readonly waitFor: readonly Hook[] } {
  const generic = genericUrls.map((url) => httpHook({ name: hostOf(url), stop: { url } }));
  const stopUrl = istioQuitUrl ?? adminUrl;
  if (stopUrl === undefined) return { hooks: generic, waitFor: [] };
  const envoy = httpHook({
    name: "istio",
    stop: { url: stopUrl },
    ...(adminUrl === undefined ? {} : { ready: { url: `${adminUrl}/server_info` } }),
    // scuttle does not look at the status.
    isReady: (_, body) => /"state"\s*:\s*"LIVE"/.test(body),
    headers: { accept: "application/json" },
  });
  return {
    hooks: istioQuitUrl === undefined ? generic : [...generic, envoy],
    waitFor: adminUrl === undefined ? [] : [envoy],
  };
}
