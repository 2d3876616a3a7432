import type { HookContext, SidecarHook } from "../src/hook.ts";
import type { Get, Page } from "../src/http/page.ts";
import { adminHint, isOfKuma, isReadinessOfEnvoy, nodeOfEnvoy } from "./envoy_admin.ts";
import { getPage } from "./http.ts";
import { type HttpPreset, type NamedHook, nameHook, presetHook } from "./preset.ts";

/** kuma-dp's own readiness, which it serves itself wherever Envoy's admin interface is. */
const READINESS = "http://localhost:9902/ready";

const PRESET: HttpPreset = {
  name: "kuma",
  summary: "Kuma's or Kong Mesh's Envoy, where its admin interface is on a port",
  baseUrl: "http://localhost:9901",
  stop: { path: "/quitquitquit" },
  ready: { path: "/ready" },
  hint(failure) {
    return failure.state === "absent"
      ? "Kuma puts it into pods with the label kuma.io/sidecar-injection: enabled, and its control plane stops the sidecar of a finished job by itself"
      : adminHint(failure);
  },
};

/**
 * Kuma's sidecar: kuma-dp, which runs Envoy and ends with it.
 *
 * Up to Kuma 2.13 Envoy's admin interface is on 9901. Since 2.14 it is on a Unix socket inside the
 * sidecar's own container, where nobody else can tell Envoy to quit, unless the control plane has
 * `experimental.envoyAdminUnixSocket: false`. Nothing hangs then: once the other containers of a pod
 * have ended, Kuma's control plane stops the sidecar itself, and the hook reports that.
 *
 * @see https://github.com/kumahq/kuma/blob/master/UPGRADE.md
 * @see https://github.com/kumahq/kuma/blob/master/app/kuma-dp/pkg/dataplane/readiness/component.go
 * @see https://github.com/kumahq/kuma/blob/master/pkg/plugins/runtime/k8s/controllers/pod_status_controller.go
 *
 * @example
 * ```ts
 * import { kuma } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(kuma().address, "http://localhost:9901/quitquitquit");
 * ```
 */
export const kuma: NamedHook = nameHook(
  PRESET.name,
  PRESET.summary,
  (options) => {
    const admin = presetHook(PRESET, options);
    return options?.baseUrl === undefined ? withReadiness(admin) : admin;
  },
  async (get) => {
    const node = await nodeOfEnvoy(get, PRESET.baseUrl);
    if (node !== undefined) return isOfKuma(node);
    // If another program has that port, nothing may be posted to it.
    const isFree = await get(PRESET.baseUrl) === undefined;
    return isFree && await readiness(get) !== undefined;
  },
);

/** Extends the hook for a sidecar that may hide Envoy's admin interface. */
function withReadiness(admin: SidecarHook): SidecarHook {
  return {
    ...admin,
    async probe(context) {
      const found = await admin.probe(context);
      const page = found.state === "absent" ? await readiness(getFor(context)) : undefined;
      return page === undefined
        ? found
        : { state: page.status === 200 ? "ready" : "present", answer: `${page.status} at 9902` };
    },
    async stop(context) {
      const stop = await admin.stop(context);
      const page = stop.state === "absent" ? await readiness(getFor(context)) : undefined;
      // An answer from kuma-dp itself may also mean that Envoy and its port are still to come.
      if (page === undefined || !(isReadinessOfEnvoy(page) || context.wasSeen())) return stop;
      return {
        state: "unneeded",
        answer: "Envoy's admin interface is not on a port, and Kuma's control plane will stop it",
        hint:
          "To stop it from here set experimental.envoyAdminUnixSocket=false on the control plane, or use --hook signal:kuma-dp",
      };
    },
  };
}

const getFor = (context: HookContext): Get => (url) => getPage(url, context).catch(() => undefined);

/**
 * Asks kuma-dp for its readiness. If Envoy's admin interface is hidden, kuma-dp passes on Envoy's
 * answer. Returns undefined if neither is there.
 */
async function readiness(get: Get): Promise<Page | undefined> {
  const page = await get(READINESS);
  const isKumas = page?.headers.get("x-powered-by") === "kuma-dp";
  return page !== undefined && (isKumas || isReadinessOfEnvoy(page)) ? page : undefined;
}
