import type { NamedHook } from "../src/hook.ts";
import { httpPreset } from "./http.ts";

/**
 * Linkerd's proxy.
 *
 * Its admin server on 4191 quits at a POST to `/shutdown` from the pod's own loopback. Since Linkerd
 * 2.16 (edge-24.6.2) that is off, and answered with 404, unless the pod's template has the annotation
 * `config.linkerd.io/proxy-admin-shutdown: enabled`.
 *
 * @see https://github.com/linkerd/linkerd2-proxy/blob/main/linkerd/app/admin/src/server.rs
 * @see https://github.com/linkerd/linkerd2/blob/main/pkg/k8s/labels.go
 *
 * @example
 * ```ts
 * import { linkerd } from "./linkerd.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(linkerd().address, "http://localhost:4191/shutdown");
 * ```
 */
export const linkerd: NamedHook = httpPreset({
  name: "linkerd",
  summary: "Linkerd's proxy; needs the annotation proxy-admin-shutdown: enabled",
  baseUrl: "http://localhost:4191",
  stop: { path: "/shutdown" },
  ready: { path: "/ready" },
  hint({ status }) {
    if (status === 404) {
      return "Annotate the pod's template with config.linkerd.io/proxy-admin-shutdown: enabled";
    }
    if (status === 403) {
      return "The proxy takes this from the pod's own loopback only, and from nobody where a policy denies its admin port";
    }
    return undefined;
  },
});
