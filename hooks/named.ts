/**
 * TARGETs that are nothing but the names of built-in presets, as most are. Only those that are named are
 * loaded, because reading code delays COMMAND.
 *
 * @module
 */

import type { Hook } from "../src/hook.ts";
import { istio } from "./istio.ts";
import type { NamedHook } from "./preset.ts";

/** How each built-in preset is loaded. The default one is always there. */
const LOADERS: Readonly<Record<string, () => NamedHook | Promise<NamedHook>>> = {
  "istio": () => istio,
  "envoy": async () => (await import("./envoy.ts")).envoy,
  "kuma": async () => (await import("./kuma.ts")).kuma,
  "linkerd": async () => (await import("./linkerd.ts")).linkerd,
  "cloud-sql-proxy": async () => (await import("./cloud_sql_proxy.ts")).cloudSqlProxy,
  "alloydb-auth-proxy": async () => (await import("./alloydb_auth_proxy.ts")).alloydbAuthProxy,
  "vault-agent": async () => (await import("./vault_agent.ts")).vaultAgent,
  "consul-dataplane": async () => (await import("./consul_dataplane.ts")).consulDataplane,
  "dapr": async () => (await import("./dapr.ts")).dapr,
};

/** `NAME` or `NAME=BASE_URL`; whatever looks unusual is left to the registry, which explains it. */
const NAMED = /^([a-z-]+)(?:=(https?:\/\/[\w.:[\]-]+\/?))?$/;

/**
 * Makes the hooks of these TARGETs.
 *
 * @param targets as the operator typed them
 * @param others names that mean something else
 * @returns the hooks by their TARGETs, undefined for `none`; or undefined if another form of TARGET is
 * among them, or anything is wrong
 */
export async function readNamed(
  targets: readonly string[],
  others: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Hook | undefined> | undefined> {
  const read = new Map<string, Hook | undefined>();
  for (const target of targets) {
    const [, name = "", baseUrl] = NAMED.exec(target) ?? [];
    const load = Object.hasOwn(LOADERS, name) && !others.has(name) ? LOADERS[name] : undefined;
    if (load === undefined && target !== "none") return undefined;
    try {
      const preset = load?.();
      // Waiting for what is there would let the event loop turn.
      const hook = preset instanceof Promise ? await preset : preset;
      read.set(target, hook?.({ baseUrl }));
    } catch {
      return undefined;
    }
  }
  return read;
}
