import type { NamedHook } from "../src/hook.ts";
import { httpPreset, type StopFailure } from "./http.ts";
import { isOfKuma, nodeOfEnvoy } from "../src/http/recognize.ts";

/**
 * Envoy by its admin interface.
 *
 * It has one only where its bootstrap says so; 9901 is a custom, not a default. `/quitquitquit` takes
 * POST alone and answers before Envoy ends.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/operations/admin
 * @see https://github.com/envoyproxy/envoy/blob/main/source/server/admin/admin.cc
 *
 * @example
 * ```ts
 * import { envoy } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const hook = envoy({ baseUrl: "http://127.0.0.1:9999" });
 * assertEquals(hook.address, "http://127.0.0.1:9999/quitquitquit");
 * ```
 */
export const envoy: NamedHook = httpPreset({
  name: "envoy",
  summary: "Envoy's admin interface",
  baseUrl: "http://localhost:9901",
  stop: { path: "/quitquitquit" },
  ready: { path: "/ready" },
  async recognize(get) {
    const node = await nodeOfEnvoy(get, "http://localhost:9901");
    return node !== undefined && !isOfKuma(node);
  },
  hint(failure) {
    return failure.state === "absent"
      ? "Envoy's bootstrap must have an admin address on this port; Istio's sidecar is --hook istio, Consul's --hook consul-dataplane"
      : adminHint(failure);
  },
});

/** What to do about an answer of Envoy's admin interface, or of what is there instead. */
export function adminHint({ status, headers }: StopFailure): string | undefined {
  if (status === 403) return "Add /quitquitquit to admin.allow_paths in Envoy's bootstrap";
  if (status !== 404 && status !== 405) return undefined;
  return headers.get("server") === "envoy"
    ? "This is one of Envoy's listeners, not its admin interface"
    : "This is not Envoy's admin interface: Istio's pilot-agent is --hook istio";
}
