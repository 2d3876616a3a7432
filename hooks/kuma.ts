import { type Hook, type HookContext, type NamedHook, nameHook } from "../src/hook.ts";
import { adminHint } from "./envoy.ts";
import { getPage, type HttpPreset, type Page, presetHook } from "./http.ts";

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
      ? "Kuma's control plane stops the sidecar of a finished job by itself"
      : adminHint(failure);
  },
};

/**
 * Kuma's sidecar: kuma-dp, which runs Envoy and ends with it.
 *
 * Up to Kuma 2.13 Envoy's admin interface is on 9901. Since 2.14 it is on a Unix socket inside the
 * sidecar's own container, where nobody else can tell Envoy to quit, unless the control plane has
 * `experimental.envoyAdminUnixSocket: false`. Kuma's control plane stops the sidecar of a pod whose
 * other containers are over by itself, so nothing hangs; the hook then says so.
 *
 * @see https://github.com/kumahq/kuma/blob/master/UPGRADE.md
 * @see https://github.com/kumahq/kuma/blob/master/app/kuma-dp/pkg/dataplane/readiness/component.go
 * @see https://github.com/kumahq/kuma/blob/master/pkg/plugins/runtime/k8s/controllers/pod_status_controller.go
 *
 * @example
 * ```ts
 * import { kuma } from "./kuma.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(kuma().address, "http://localhost:9901/quitquitquit");
 * ```
 */
export const kuma: NamedHook = nameHook(PRESET.name, PRESET.summary, (options) => {
  const admin = presetHook(PRESET, options);
  return options?.baseUrl === undefined ? withReadiness(admin) : admin;
});

/** The hook for a sidecar that may hide Envoy's admin interface. */
function withReadiness(admin: Hook): Hook {
  return {
    ...admin,
    async look(context) {
      const found = await admin.look(context);
      const page = found.state === "absent" ? await readiness(context) : undefined;
      return page === undefined
        ? found
        : { state: page.status === 200 ? "ready" : "present", answer: `${page.status} at 9902` };
    },
    async stop(context) {
      const stop = await admin.stop(context);
      const page = stop.state === "absent" ? await readiness(context) : undefined;
      // What kuma-dp answers itself may also mean that Envoy and its port are still to come.
      if (page === undefined || !(isEnvoys(page) || context.wasSeen())) return stop;
      return {
        state: "unneeded",
        answer: "Envoy's admin interface is not on a port, and Kuma's control plane will stop it",
        hint:
          "To stop it from here set experimental.envoyAdminUnixSocket=false on the control plane, or use --hook signal:kuma-dp",
      };
    },
  };
}

/** What kuma-dp says about its readiness; undefined if it is not there. */
async function readiness(context: HookContext): Promise<Page | undefined> {
  const page = await getPage(READINESS, context).catch(() => undefined);
  return page !== undefined && (page.headers.get("x-powered-by") === "kuma-dp" || isEnvoys(page))
    ? page
    : undefined;
}

/** Whether the answer is Envoy's, which kuma-dp passes on only where the admin interface is hidden. */
function isEnvoys({ headers, text }: Page): boolean {
  const states = ["LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"];
  return headers.get("server") === "envoy" && states.includes(text.trim());
}
