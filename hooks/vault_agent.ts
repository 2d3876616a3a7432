import type { HookContext, Obstacle } from "../src/hook.ts";
import { type HarmlessMethod, jsonOf, type Page } from "../src/http/page.ts";
import { getPage } from "./http.ts";
import { type HttpPreset, joinUrl, type NamedHook, nameHook, presetHook } from "./preset.ts";

const BASE_URL = "http://localhost:8200";

const METRICS_PATH = "/agent/v1/metrics";

const QUIT_PATH = "/agent/v1/quit";

/** A listener may be configured to refuse every request without it. */
const HEADERS = { "x-vault-request": "true" };

const ENABLE =
  "Its listener needs agent_api { enable_quit = true }: annotate the pod's template with vault.hashicorp.com/agent-enable-quit: 'true'";

const NO_AGENT =
  "This is Vault itself or Vault Proxy, not an agent; the latter is told to quit by --hook http://localhost:PORT/proxy/v1/quit";

const PRESET: HttpPreset = {
  name: "vault-agent",
  summary: "Vault's or OpenBao's agent; needs enable_quit",
  baseUrl: BASE_URL,
  stop: { path: QUIT_PATH },
  ready: { path: METRICS_PATH },
  headers: HEADERS,
  isOfAnother: isHtml,
  hint({ state, status, headers }) {
    if (state === "absent") {
      return "The agent must have a listener with agent_api { enable_quit = true }: annotate the pod's template with vault.hashicorp.com/agent-enable-quit: 'true'; where its server does not answer, it listens only after a minute: --startup-window 2m";
    }
    switch (status) {
      case 400:
        return "If its listener has TLS, use --hook vault-agent=https://NAME:PORT";
      case 200:
      case 307:
        return NO_AGENT;
      case 404:
      case 405:
        return hintOfMissing(headers);
      case 412:
        return "Something between here and the agent removes the header X-Vault-Request";
    }
    return undefined;
  },
};

/** What to do where the quit path is not found: an agent answers with an empty page, others do not. */
function hintOfMissing(headers: Headers): string {
  if (headers.get("x-content-type-options") === "nosniff") {
    return 'A listener with role = "metrics_only" has no quit path: the agent needs another one, and --hook vault-agent=http://localhost:PORT';
  }
  return headers.get("content-type")?.startsWith("application/json") ? NO_AGENT : ENABLE;
}

/** Where Vault has its UI, every path that it does not know leads to a page of that, with status 200. */
function isHtml(headers: Headers): boolean {
  return headers.get("content-type")?.startsWith("text/html") ?? false;
}

/**
 * HashiCorp's Vault Agent, and OpenBao's.
 *
 * A listener with `agent_api { enable_quit = true }` quits at a POST; one with
 * `require_request_header` refuses every request without `X-Vault-Request`. The agent forwards all
 * paths but its own to Vault, so readiness is the agent's metrics page, which answers even before the
 * agent has logged in. OPTIONS of the quit path quits nothing: 405, or 404 where quitting is off.
 *
 * @see https://github.com/hashicorp/vault/blob/main/command/agent.go
 * @see https://github.com/openbao/openbao/blob/main/internal/command/agent.go
 * @see https://developer.hashicorp.com/vault/docs/agent-and-proxy/agent#quit
 *
 * @example
 * ```ts
 * import { vaultAgent } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(vaultAgent().address, "http://localhost:8200/agent/v1/quit");
 * ```
 */
export const vaultAgent: NamedHook = nameHook(
  PRESET.name,
  PRESET.summary,
  (options) => {
    const hook = presetHook(PRESET, options);
    return {
      ...hook,
      async probe(context) {
        const found = await hook.probe(context);
        const obstacle = found.state === "ready"
          ? await findObstacle(options?.baseUrl ?? BASE_URL, context)
          : undefined;
        return obstacle === undefined ? found : { ...found, obstacle };
      },
    };
  },
  async (get) => isMetrics(await get(BASE_URL + METRICS_PATH, HEADERS)),
);

function isMetrics(page: Page | undefined): boolean {
  const metrics = jsonOf(page) ?? {};
  return typeof metrics["Timestamp"] === "string" &&
    ["Gauges", "Points", "Counters", "Samples"].every((name) => Array.isArray(metrics[name]));
}

/** Asks the agent whether quitting is off; undefined if it is not, or this is no agent. */
async function findObstacle(baseUrl: string, context: HookContext): Promise<Obstacle | undefined> {
  // A page that hangs must not count against the agent's readiness.
  const asking = { ...context, requestTimeoutMs: context.requestTimeoutMs / 4 };
  const ask = (path: string, method?: HarmlessMethod) =>
    getPage(joinUrl(baseUrl, path), asking, HEADERS, method).catch(() => undefined);
  // Only an agent is known to quit at a POST alone; a stranger's quit handler may ignore the method.
  const metrics = await ask(METRICS_PATH);
  if (metrics !== undefined && isHtml(metrics.headers)) {
    return { answer: "that is not an agent's page", hint: NO_AGENT };
  }
  if (!isMetrics(metrics)) return undefined;
  const page = await ask(QUIT_PATH, "OPTIONS");
  return page?.status === 404
    ? { answer: "its listener does not let it quit", hint: hintOfMissing(page.headers) }
    : undefined;
}
