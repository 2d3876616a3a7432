import type { HookContext, Probe, SidecarHook, Stop } from "../src/hook.ts";
import type { StopFailure } from "../src/http/exchange.ts";
import { isNotFoundOfGo } from "../src/http/page.ts";
import { lookUntil } from "../src/time.ts";
import { type EnvoyNode, isOfKuma, nodeOfEnvoy } from "./envoy_admin.ts";
import { getPage, httpHook, httpSidecar } from "./http.ts";
import { joinUrl, type NamedHook, nameHook, withAbsentAdvice } from "./preset.ts";

const NAME = "consul-dataplane";
const GRACEFUL = "http://localhost:20600";
const ADMIN = "http://localhost:19000";
const READY = `${ADMIN}/ready`;

/** How much of a hook's time is spent on waiting for Envoy; the rest is for the stop request. */
const WAIT_SHARE = 0.75;

/**
 * Consul's sidecar: consul-dataplane, which runs Envoy.
 *
 * Its graceful port quits at `/graceful_shutdown`, whatever the method: Helm's charts set the port to
 * 20600, the program's default is 20300. `/graceful_startup` on that port answers 200 even if Envoy
 * never became ready, so readiness is asked of Envoy's admin interface.
 *
 * The graceful port answers up to a second before Envoy's admin port is there. A stop request in this
 * gap is answered with 200, but consul-dataplane cannot pass it on to Envoy, takes itself for stopped,
 * and then ignores every further request and SIGTERM. So the hook waits for Envoy first.
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
export const consulDataplane: NamedHook = nameHook(
  NAME,
  "Consul's dataplane, and Envoy with it",
  (options) => afterEnvoy(options?.baseUrl),
  async (get) => {
    const node = await nodeOfEnvoy(get, ADMIN);
    if (node === undefined || !isOfDataplane(node)) return false;
    // The graceful port has no page to recognize it by, and may be taken by another program.
    const graceful = await get(GRACEFUL);
    return graceful === undefined || isNotFoundOfGo(graceful);
  },
);

/** Whether an Envoy is consul-dataplane's; that of `consul connect envoy` has no `node_name`. */
function isOfDataplane(node: EnvoyNode): boolean {
  return !isOfKuma(node) && !("ISTIO_VERSION" in node.metadata) &&
    ["node_name", "namespace", "partition"].every((name) =>
      typeof node.metadata[name] === "string"
    );
}

/** The hook that posts nothing before Envoy's admin port is there. */
function afterEnvoy(baseUrl?: string): SidecarHook {
  const on = (path: string) => joinUrl(baseUrl ?? GRACEFUL, path);
  // What is armed is sent at once, and Envoy has to be asked before.
  const { lostAtMs: _lost, arm: _arm, ...graceful } = httpSidecar({
    name: NAME,
    stop: { url: on("/graceful_shutdown") },
    // On the operator's own origin something may be in front of both ports.
    ready: [{ url: READY }, ...(baseUrl === undefined ? [] : [{ url: on("/ready") }])],
    // There is no page there, only a 404: nothing else on this port is harmless.
    warmUp: { url: on("/") },
    hint,
  });
  const admin = httpHook({ name: NAME, stop: { url: `${ADMIN}/quitquitquit` } });

  const isEnvoy = (found: Probe) =>
    found.state === "ready" || found.state === "present" && found.address === READY;

  /**
   * Asks anew each time: the process that had an Envoy may have been started again a moment ago, and has
   * none yet.
   */
  async function findEnvoy(context: HookContext): Promise<true | undefined> {
    return isEnvoy(await graceful.probe(context)) || undefined;
  }

  const findGraceful = async (context: HookContext) => await graceful.warmUp?.(context);

  async function isGracefulThere(context: HookContext): Promise<boolean> {
    return (await findGraceful(context))?.state !== "absent";
  }

  async function stop(context: HookContext): Promise<Stop> {
    const endMs = performance.now() + context.deadlineMs;
    const leftMs = () => Math.max(0, endMs - performance.now());
    const isThere = await findEnvoy(context);
    if (!isThere && !await isGracefulThere(context)) {
      const failure = { state: "absent", status: 0, broke: false, headers: new Headers() } as const;
      return { state: "absent", answer: "connection refused", ...withHint(hint(failure)) };
    }
    if (!isThere) {
      context.markSeen();
      context.debug(`waiting for Envoy's admin port at ${ADMIN}: it never ends if told before`);
      const came = await lookUntil(leftMs() * WAIT_SHARE, context.signal, async () => {
        if (await findEnvoy(context)) return "envoy";
        return await isGracefulThere(context) ? undefined : "gone";
      });
      if (came === "gone") return { state: "absent", answer: "connection refused" };
      if (context.signal.aborted) return { state: "failed", answer: "given up before Envoy came" };
      if (came === undefined) return await stopWithoutEnvoy({ ...context, deadlineMs: leftMs() });
    }
    return await graceful.stop({ ...context, deadlineMs: leftMs() });
  }

  /** Tells it although its Envoy did not come, and stops that Envoy if it still comes. */
  async function stopWithoutEnvoy(context: HookContext): Promise<Stop> {
    const endMs = performance.now() + context.deadlineMs;
    const stopped = await graceful.stop(context);
    if (stopped.state !== "stopped") return stopped;
    const after = await lookUntil((endMs - performance.now()) * 0.9, context.signal, async () => {
      if (!await isGracefulThere(context)) return "gone";
      const node = await nodeOfEnvoy((url) => getPage(url, context), ADMIN).catch(() => undefined);
      return node !== undefined && isOfDataplane(node) ? "envoy" : undefined;
    });
    if (after === "gone") return stopped;
    if (after === "envoy") return await admin.stop(context);
    return {
      ...stopped,
      hint:
        `Nobody listens at Envoy's admin port (${ADMIN}); without Envoy it never ends. If that port was moved, ignore this`,
    };
  }

  return {
    ...graceful,
    async probe(context) {
      const found = await graceful.probe(context);
      const there = await findGraceful(context);
      if (found.state === "ready" && there?.state === "absent") {
        const answer = `${found.answer}, but nobody listens at ${graceful.address}`;
        return { ...found, state: "present", answer };
      }
      if (found.state === "absent" && there?.state === "present") {
        return { ...found, state: "present", answer: "Envoy's admin port is not there yet" };
      }
      return found;
    },
    async warmUp(context) {
      const found = await findGraceful(context) ?? { state: "absent", answer: "" };
      if (found.state === "absent") return found;
      context.markSeen();
      // So that the connection to it is open when COMMAND has ended.
      await lookUntil(context.deadlineMs * 0.9, context.signal, () => findEnvoy(context));
      return found;
    },
    stop,
  };
}

const withHint = (hint: string | undefined) => hint === undefined ? {} : { hint };

const hint = (failure: StopFailure) => withAbsentAdvice({ name: NAME, hint: adviceFor }, failure);

function adviceFor({ state, status }: StopFailure): string | undefined {
  switch (state) {
    case "absent":
      return "It needs the annotation consul.hashicorp.com/enable-sidecar-proxy-lifecycle: 'true', and opens no port before it has reached a Consul server; outside Helm's charts its port is 20300: --hook consul-dataplane=http://localhost:20300";
    case "refused":
      return "Outside Helm's charts its port is 20300: --hook consul-dataplane=http://localhost:20300";
    case "failed":
      return status === 404
        ? "Its path was changed (sidecar-proxy-lifecycle-graceful-shutdown-path): name it with --hook URL"
        : undefined;
  }
}
