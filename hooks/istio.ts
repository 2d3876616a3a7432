import type { NamedHook } from "../src/hook.ts";
import { httpPreset } from "./http.ts";

/**
 * Istio's sidecar: pilot-agent, which runs Envoy.
 *
 * pilot-agent listens on 15020 and quits itself and Envoy at a POST to `/quitquitquit`; the
 * readiness of both is at 15021, which is where Kubernetes asks too.
 *
 * @see https://istio.io/latest/docs/ops/deployment/application-requirements/#ports-used-by-istio
 *
 * @example
 * ```ts
 * import { istio } from "./istio.ts";
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
  ready: { path: "/healthz/ready", baseUrl: "http://localhost:15021" },
  warm: { path: "/healthz/ready" },
  hint: (status) =>
    status === 404 || status === 405
      ? "This is not pilot-agent: with a bare Envoy use --hook envoy, for another address --hook istio=URL"
      : undefined,
});
