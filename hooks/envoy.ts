import { adminHint, isOfKuma, nodeOfEnvoy } from "./envoy_admin.ts";
import { httpPreset, type NamedHook } from "./preset.ts";

/**
 * Envoy, through its admin interface.
 *
 * It has one only if its bootstrap configures it; port 9901 is a convention, not a default.
 * `/quitquitquit` accepts only POST and answers before Envoy ends.
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
