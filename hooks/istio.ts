import { jsonOf, type Page } from "../src/http/page.ts";
import { nodeOfEnvoy } from "./envoy_admin.ts";
import { httpPreset, type NamedHook } from "./preset.ts";

/**
 * Istio's sidecar: pilot-agent, which runs Envoy.
 *
 * pilot-agent listens on 15020 and quits itself and Envoy at a POST to `/quitquitquit` from the
 * pod's own loopback. The readiness of both is on 15021, where Kubernetes asks too. That listener is
 * Envoy's; an agent for proxyless gRPC does not have it, only the same page on 15020.
 *
 * @see https://github.com/istio/istio/blob/master/pilot/cmd/pilot-agent/status/server.go
 * @see https://istio.io/latest/docs/ops/deployment/application-requirements/#ports-used-by-istio
 *
 * @example
 * ```ts
 * import { istio } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(istio().address, "http://localhost:15020/quitquitquit");
 * ```
 */
export const istio: NamedHook = httpPreset({
  name: "istio",
  summary: "Istio's pilot-agent, and Envoy with it",
  baseUrl: "http://localhost:15020",
  stop: { path: "/quitquitquit" },
  ready: [
    { path: "/healthz/ready", baseUrl: "http://localhost:15021" },
    { path: "/healthz/ready" },
  ],
  warmUp: { path: "/healthz/ready" },
  async recognize(get) {
    // Envoy has no listener there before its first configuration, or if the control plane is away.
    const ready = await get("http://localhost:15021/healthz/ready");
    if (ready !== undefined && !isPassedOn(ready)) return false;
    // Its status port may have been moved, and 15020 taken by another program.
    const agent = await get("http://localhost:15020/healthz/ready");
    if (agent !== undefined && !isReadiness(agent)) return false;
    if (ready === undefined && agent === undefined) return false;

    const node = await nodeOfEnvoy(get, "http://127.0.0.1:15000");
    if (node !== undefined) {
      return typeof node.metadata["ISTIO_VERSION"] === "string" ||
        (typeof node.id === "string" && /^(sidecar|router|waypoint)~/.test(node.id));
    }
    // Envoy's admin interface may be closed. Only pilot-agent has this page.
    const names = await get("http://localhost:15020/debug/ndsz");
    if (jsonOf(names) !== undefined) return true;
    // Without its DNS proxy it has no names to show, and an empty object alone proves little.
    if (names?.status !== 404 || names.text.trim() !== "{}") return false;
    if (ready !== undefined) return true;
    const metrics = await get("http://localhost:15020/stats/prometheus");
    return metrics?.status === 200 && metrics.text.startsWith("# HELP istio_agent_");
  },
  hint({ state, status, broke, headers }) {
    if (state === "refused") {
      return "Its status port was moved (status.sidecar.istio.io/port): --hook istio=http://localhost:PORT";
    }
    if (state === "absent") {
      return "Istio puts it into pods with the label sidecar.istio.io/inject: 'true', or in a namespace that injects";
    }
    if (broke) {
      return "Without Envoy (gRPC without a proxy) pilot-agent cannot be told by HTTP: share the process namespace and use --hook signal:pilot-agent";
    }
    if (status === 403) return "pilot-agent accepts this from the pod's own loopback only";
    if (status !== 404 && status !== 405) return undefined;
    return headers.get("server") === "envoy"
      ? "This is Envoy, not pilot-agent: that is on port 15020; for a bare Envoy use --hook envoy=URL"
      : "This is not pilot-agent: with a bare Envoy use --hook envoy, for another address --hook istio=URL";
  },
});

/** Whether this is pilot-agent's readiness, which is an empty page. */
function isReadiness({ status, headers, text }: Page): boolean {
  return (status === 200 || status === 503) && text === "" && !headers.has("server");
}

/** Whether Envoy has passed on pilot-agent's readiness. */
function isPassedOn({ status, headers, text }: Page): boolean {
  return (status === 200 || status === 503) && text === "" && headers.get("server") === "envoy" &&
    headers.has("x-envoy-upstream-service-time");
}
