/**
 * Envoy's admin interface, which the sidecars of several meshes have.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/operations/admin
 *
 * @module
 */

import type { StopFailure } from "../src/http/exchange.ts";
import { type Get, isObject, type JsonObject, jsonOf, type Page } from "../src/http/page.ts";

const STATES: readonly unknown[] = ["LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"];

/** What an Envoy reports about its own node. */
export interface EnvoyNode {
  readonly id: unknown;
  readonly metadata: JsonObject;
}

/** Whether this is what Envoy answers at `/ready`. */
export function isReadinessOfEnvoy({ status, headers, text }: Page): boolean {
  return (status === 200 || status === 503) && headers.get("server") === "envoy" &&
    STATES.includes(text.trim());
}

/**
 * Asks the Envoy whose admin interface is at this origin about its node.
 *
 * @returns undefined if this is not the admin interface of an Envoy
 */
export async function nodeOfEnvoy(get: Get, origin: string): Promise<EnvoyNode | undefined> {
  const ready = await get(`${origin}/ready`);
  if (ready === undefined || !isReadinessOfEnvoy(ready)) return undefined;
  const info = jsonOf(await get(`${origin}/server_info`)) ?? {};
  const { version, state, node, command_line_options: options } = info;
  // `9e55…9f36/1.40.0/Clean/RELEASE/BoringSSL`
  const isVersion = typeof version === "string" && version.split("/").length === 5;
  if (!isVersion || !STATES.includes(state) || !isObject(options) || !isObject(node)) {
    return undefined;
  }
  return { id: node["id"], metadata: isObject(node["metadata"]) ? node["metadata"] : {} };
}

/** Whether an Envoy's node belongs to Kuma. */
export function isOfKuma({ metadata }: EnvoyNode): boolean {
  const { version } = metadata;
  return "dataplane.admin.port" in metadata || (isObject(version) && "kumaDp" in version);
}

/** What to do about an answer of Envoy's admin interface, or of another server on its port. */
export function adminHint({ status, headers }: StopFailure): string | undefined {
  if (status === 403) return "Add /quitquitquit to admin.allow_paths in Envoy's bootstrap";
  if (status !== 404 && status !== 405) return undefined;
  return headers.get("server") === "envoy"
    ? "This is one of Envoy's listeners, not its admin interface"
    : "This is not Envoy's admin interface: Istio's pilot-agent is --hook istio";
}
