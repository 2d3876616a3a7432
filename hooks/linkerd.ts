import type { HookContext, Obstacle } from "../src/hook.ts";
import { jsonOf } from "../src/http/page.ts";
import { getPage } from "./http.ts";
import { type HttpPreset, joinUrl, type NamedHook, nameHook, presetHook } from "./preset.ts";

const BASE_URL = "http://localhost:4191";

/** Linkerd's `/env.json` lists the whole environment, secrets too, unless it is asked for one variable. */
const SWITCH = "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED";

const ANNOTATE = "Annotate the pod's template with config.linkerd.io/proxy-admin-shutdown: enabled";

const PRESET: HttpPreset = {
  name: "linkerd",
  summary: "Linkerd's proxy; needs the annotation proxy-admin-shutdown: enabled",
  baseUrl: BASE_URL,
  stop: { path: "/shutdown" },
  ready: { path: "/ready" },
  isTemporary: isOfPolicy,
  hint({ state, status, headers }) {
    if (state === "absent") {
      return "Linkerd puts it into pods with the annotation linkerd.io/inject: enabled; to be told to quit, it needs config.linkerd.io/proxy-admin-shutdown: enabled, too; config.linkerd.io/admin-port moves its port";
    }
    if (isOfPolicy(status, headers)) {
      return "No policy that allows this has come from Linkerd's control plane";
    }
    if (status === 404) return ANNOTATE;
    return status === 403 ? "The proxy accepts this from the pod's own loopback only" : undefined;
  },
};

/** Whether the proxy's policy refuses the request, and not its admin server. */
function isOfPolicy(status: number, headers: Headers): boolean {
  return (status === 403 || status === 404) && headers.get("content-length") === "0" &&
    !headers.has("content-type");
}

/**
 * Linkerd's proxy.
 *
 * Its admin server on 4191 quits at a POST to `/shutdown` from the pod's own loopback. Since Linkerd
 * 2.16 (edge-24.6.2) that is off and answered with 404, unless the pod's template has the annotation
 * `config.linkerd.io/proxy-admin-shutdown: enabled`.
 *
 * Until the first policy has come from the control plane, the proxy refuses every request, with an
 * empty 403 or 404; its own refusals are text.
 *
 * @see https://github.com/linkerd/linkerd2-proxy/blob/main/linkerd/app/admin/src/server.rs
 * @see https://github.com/linkerd/linkerd2-proxy/blob/main/linkerd/app/inbound/src/policy/http.rs
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
export const linkerd: NamedHook = nameHook(
  PRESET.name,
  PRESET.summary,
  (options) => {
    const hook = presetHook(PRESET, options);
    const switchUrl = joinUrl(options?.baseUrl ?? BASE_URL, `/env.json?${SWITCH}`);
    return {
      ...hook,
      async probe(context) {
        const found = await hook.probe(context);
        const obstacle = found.state === "ready"
          ? await findObstacle(switchUrl, context)
          : undefined;
        return obstacle === undefined ? found : { ...found, obstacle };
      },
    };
  },
  async (get) => {
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
);

/** Asks the proxy whether its shutdown endpoint is off; undefined if it is not, or does not say. */
async function findObstacle(url: string, context: HookContext): Promise<Obstacle | undefined> {
  // A page that hangs must not count against the proxy's readiness.
  const requestTimeoutMs = context.requestTimeoutMs / 4;
  const page = await getPage(url, { ...context, requestTimeoutMs }).catch(() => undefined);
  const environment = jsonOf(page) ?? {};
  if (!(SWITCH in environment) || environment[SWITCH] === "true") return undefined;
  return { answer: "its shutdown endpoint is off", hint: ANNOTATE };
}
