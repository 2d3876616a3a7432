import { jsonOf } from "../src/http/page.ts";
import { httpPreset, type NamedHook } from "./preset.ts";

const BASE_URL = "http://localhost:4191";

/** Linkerd's `/env.json` lists the whole environment, secrets too, unless it is asked for one variable. */
const SWITCH = "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED";

/**
 * Linkerd's proxy.
 *
 * Its admin server on 4191 quits at a POST to `/shutdown` from the pod's own loopback. Since Linkerd
 * 2.16 (edge-24.6.2) that is off and answered with 404, unless the pod's template has the annotation
 * `config.linkerd.io/proxy-admin-shutdown: enabled`.
 *
 * @see https://github.com/linkerd/linkerd2-proxy/blob/main/linkerd/app/admin/src/server.rs
 * @see https://github.com/linkerd/linkerd2/blob/main/pkg/k8s/labels.go
 *
 * @example
 * ```ts
 * import { linkerd } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(linkerd().address, "http://localhost:4191/shutdown");
 * ```
 */
export const linkerd: NamedHook = httpPreset({
  name: "linkerd",
  summary: "Linkerd's proxy; needs the annotation proxy-admin-shutdown: enabled",
  baseUrl: BASE_URL,
  stop: { path: "/shutdown" },
  ready: { path: "/ready" },
  async recognize(get) {
    const ready = await get(`${BASE_URL}/ready`);
    const isReadiness = ready?.status === 200 && ready.text === "ready\n" ||
      ready?.status === 503 && ready.text === "not ready\n";
    if (!isReadiness) return false;
    const page = await get(`${BASE_URL}/env.json?${SWITCH}`);
    if (page?.status !== 404) return Object.keys(jsonOf(page) ?? {}).join() === SWITCH;
    // Before 2.12 there was no such page.
    const live = await get(`${BASE_URL}/live`);
    return live?.status === 200 && live.text === "live\n";
  },
  hint({ state, status }) {
    if (state === "absent") {
      return "Linkerd puts it into pods with the annotation linkerd.io/inject: enabled; to be told to quit, it needs config.linkerd.io/proxy-admin-shutdown: enabled, too";
    }
    if (status === 404) {
      return "Annotate the pod's template with config.linkerd.io/proxy-admin-shutdown: enabled";
    }
    if (status === 403) {
      return "The proxy accepts this from the pod's own loopback only, and from nobody where a policy denies its admin port";
    }
    return undefined;
  },
});
