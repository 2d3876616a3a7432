import type { NamedHook } from "../src/hook.ts";
import { httpPreset } from "./http.ts";

/**
 * Envoy by its admin interface.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/operations/admin
 *
 * @example
 * ```ts
 * import { envoy } from "./envoy.ts";
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
  hint: (status) =>
    status === 404
      ? "This is not Envoy's admin interface: Istio's pilot-agent is --hook istio"
      : undefined,
});
