import { jsonOf } from "../src/http/page.ts";
import { httpPreset, type NamedHook } from "./preset.ts";

const BASE_URL = "http://localhost:8200";

/** A listener may be configured to refuse every request without it. */
const HEADERS = { "x-vault-request": "true" };

/**
 * HashiCorp's Vault Agent, and OpenBao's.
 *
 * A listener with `agent_api { enable_quit = true }` quits at a POST; one with
 * `require_request_header` refuses every request without `X-Vault-Request`. The agent forwards all
 * paths but its own to Vault, so readiness is the agent's metrics page, which answers even before the
 * agent has logged in.
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
export const vaultAgent: NamedHook = httpPreset({
  name: "vault-agent",
  summary: "Vault's or OpenBao's agent; needs enable_quit",
  baseUrl: BASE_URL,
  stop: { path: "/agent/v1/quit" },
  ready: { path: "/agent/v1/metrics" },
  headers: HEADERS,
  async recognize(get) {
    const metrics = jsonOf(await get(`${BASE_URL}/agent/v1/metrics`, HEADERS)) ?? {};
    return typeof metrics["Timestamp"] === "string" &&
      ["Gauges", "Points", "Counters", "Samples"].every((name) => Array.isArray(metrics[name]));
  },
  hint({ state, status }) {
    if (state === "absent") {
      return "The agent must have a listener with agent_api { enable_quit = true }: annotate the pod's template with vault.hashicorp.com/agent-enable-quit: 'true'";
    }
    switch (status) {
      case 400:
        return "If its listener has TLS, use --hook vault-agent=https://NAME:PORT";
      case 404:
      case 405:
        return "Its listener needs agent_api { enable_quit = true }: annotate the pod's template with vault.hashicorp.com/agent-enable-quit: 'true'";
      case 412:
        return "Something between here and the agent removes the header X-Vault-Request";
    }
    return undefined;
  },
});
