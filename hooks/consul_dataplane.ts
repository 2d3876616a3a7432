import { isNotFoundOfGo } from "../src/http/page.ts";
import { isOfKuma, nodeOfEnvoy } from "./envoy_admin.ts";
import { httpPreset, type NamedHook } from "./preset.ts";

/**
 * Consul's sidecar: consul-dataplane, which runs Envoy.
 *
 * Its graceful port quits at `/graceful_shutdown`, whatever the method: Helm's charts set the port to
 * 20600, the program's default is 20300. `/graceful_startup` on that port answers 200 even if Envoy
 * never became ready, so readiness is asked of Envoy's admin interface.
 *
 * @see https://github.com/hashicorp/consul-dataplane/blob/main/pkg/consuldp/lifecycle.go
 * @see https://github.com/hashicorp/consul-k8s/blob/main/control-plane/connect-inject/constants/constants.go
 * @see https://developer.hashicorp.com/consul/docs/connect/dataplane/consul-dataplane
 *
 * @example
 * ```ts
 * import { consulDataplane } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(consulDataplane().address, "http://localhost:20600/graceful_shutdown");
 * ```
 */
export const consulDataplane: NamedHook = httpPreset({
  name: "consul-dataplane",
  summary: "Consul's dataplane, and Envoy with it",
  baseUrl: "http://localhost:20600",
  stop: { path: "/graceful_shutdown" },
  ready: { path: "/ready", baseUrl: "http://localhost:19000", isOnlyThere: true },
  // There is no page there, only a 404: nothing else on this port is harmless.
  warmUp: { path: "/" },
  async recognize(get) {
    const node = await nodeOfEnvoy(get, "http://localhost:19000");
    if (node === undefined || isOfKuma(node) || "ISTIO_VERSION" in node.metadata) return false;
    if (!["namespace", "partition"].every((name) => typeof node.metadata[name] === "string")) {
      return false;
    }
    // The graceful port has no page to recognize it by, and may be taken by another program.
    const graceful = await get("http://localhost:20600/");
    return graceful === undefined || isNotFoundOfGo(graceful);
  },
  hint({ state, status }) {
    if (state !== "failed") {
      return "It needs the annotation consul.hashicorp.com/enable-sidecar-proxy-lifecycle: 'true'; outside Helm's charts its port is 20300: --hook consul-dataplane=http://localhost:20300";
    }
    return status === 404
      ? "Its path was changed (sidecar-proxy-lifecycle-graceful-shutdown-path): name it with --hook URL"
      : undefined;
  },
});
