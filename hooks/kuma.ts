import type { HookContext, Probe, SidecarHook, Stop } from "../src/hook.ts";
import type { Get, Page } from "../src/http/page.ts";
import { lookUntil } from "../src/time.ts";
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
      ? "Kuma puts it into pods with the label kuma.io/sidecar-injection: enabled; it opens no port before its control plane has answered"
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
  /** Probes 9901, then 9902. */
  async function probe(
    context: HookContext,
    probeAdmin: SidecarHook["warmUp"] = admin.probe,
  ): Promise<Probe> {
    const found = await probeAdmin(context);
    const page = found.state === "absent" ? await readiness(getFor(context)) : undefined;
    if (page === undefined) return found;
    const isReady = page.status === 200 && isReadinessOfEnvoy(page);
    return { state: isReady ? "ready" : "present", answer: describe(page), address: READINESS };
  }

  async function warmUp(context: HookContext): Promise<Probe> {
    const found = await probe(context, admin.warmUp);
    if (found.state !== "present" || found.address !== READINESS) return found;
    context.markSeen();
    // Envoy and its port may still be to come, and a connection to it has to be open at the end.
    return await lookUntil(context.deadlineMs * 0.9, context.signal, async () => {
      const later = await probe(context, admin.warmUp);
      return later.state === "present" && later.address === READINESS ? undefined : later;
    }) ?? found;
  }

  async function stop(context: HookContext): Promise<Stop> {
    let stopped: Stop = { state: "absent", answer: "connection refused" };
    let page: Page | undefined;
    const decided = await lookUntil(context.deadlineMs * 0.9, context.signal, async () => {
      stopped = await admin.stop(context);
      if (stopped.state !== "absent") return stopped;
      page = await readiness(getFor(context));
      if (page === undefined) return stopped;
      context.markSeen();
      if (isReadinessOfEnvoy(page)) return UNNEEDED;
      // Otherwise kuma-dp itself answers: its Envoy is still to come.
      return page.text === "TERMINATING"
        ? { ...stopped, answer: describe(page), isEnding: true }
        : undefined;
    });
    if (decided !== undefined) return decided;
    const answer = page === undefined ? "" : `, but kuma-dp is there: ${describe(page)}`;
    const hint = page?.text === "READY"
      ? "Perhaps its admin port was moved: --hook kuma=http://localhost:PORT"
      : "Its Envoy did not come; look at the log of kuma-dp";
    return { state: "failed", answer: stopped.answer + answer, hint };
  }

  return { ...admin, probe: (context) => probe(context), warmUp, stop };
}

const UNNEEDED: Stop = {
  state: "unneeded",
  answer: "Envoy's admin interface is not on a port, and Kuma's control plane will stop it",
  hint:
    "To stop it from here set experimental.envoyAdminUnixSocket=false on the control plane, or use --hook signal:kuma-dp",
};

const getFor = (context: HookContext): Get => (url) => getPage(url, context).catch(() => undefined);

const describe = ({ status, text }: Page) => `${status} ${text.trim()} at 9902`;

/**
 * Asks kuma-dp for its readiness. If Envoy's admin interface is hidden, kuma-dp passes on Envoy's
 * answer, or says that it has none. Its own READY proves that the interface is on a port, and may come
 * before it. Returns undefined if neither is there.
 */
async function readiness(get: Get): Promise<Page | undefined> {
  const page = await get(READINESS);
  if (page === undefined) return undefined;
  const isKumas = page.headers.get("x-powered-by") === "kuma-dp" ||
    page.status === 503 && page.text === "envoy not ready\n";
  return isKumas || isReadinessOfEnvoy(page) ? page : undefined;
}
