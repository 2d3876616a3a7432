/**
 * How programs are told apart by what they answer, where several presets need it.
 *
 * @module
 */

import type { Get, Page } from "../hook.ts";

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The JSON object that a page with status 200 holds; undefined if it holds anything else. */
export function jsonOf(page: Page | undefined): JsonObject | undefined {
  if (page?.status !== 200) return undefined;
  if (!page.headers.get("content-type")?.startsWith("application/json")) return undefined;
  try {
    const value: unknown = JSON.parse(page.text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether this is the "not found" of a program in Go, which many sidecars are. */
export function isNotFoundOfGo({ status, headers, text }: Page): boolean {
  return status === 404 && text === "404 page not found\n" &&
    headers.get("x-content-type-options") === "nosniff" && !headers.has("server");
}

const ENVOY_STATES: readonly unknown[] = ["LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"];

/** Whether this is what Envoy answers at `/ready`. */
export function isReadinessOfEnvoy({ status, headers, text }: Page): boolean {
  return (status === 200 || status === 503) && headers.get("server") === "envoy" &&
    ENVOY_STATES.includes(text.trim());
}

/**
 * What the Envoy whose admin interface is at this origin says about itself.
 *
 * @returns its node's metadata and id; undefined if this is not the admin interface of an Envoy
 */
export async function nodeOfEnvoy(
  get: Get,
  origin: string,
): Promise<{ readonly id: unknown; readonly metadata: JsonObject } | undefined> {
  const ready = await get(`${origin}/ready`);
  if (ready === undefined || !isReadinessOfEnvoy(ready)) return undefined;
  const info = jsonOf(await get(`${origin}/server_info`)) ?? {};
  const { version, state, node, command_line_options: options } = info;
  // `9e55…9f36/1.40.0/Clean/RELEASE/BoringSSL`
  const isVersion = typeof version === "string" && version.split("/").length === 5;
  if (!isVersion || !ENVOY_STATES.includes(state) || !isObject(options) || !isObject(node)) {
    return undefined;
  }
  return { id: node["id"], metadata: isObject(node["metadata"]) ? node["metadata"] : {} };
}

/** Whether an Envoy's node is one of Kuma's. */
export function isOfKuma({ metadata }: { readonly metadata: JsonObject }): boolean {
  const { version } = metadata;
  return "dataplane.admin.port" in metadata || (isObject(version) && "kumaDp" in version);
}
