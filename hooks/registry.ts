/**
 * The hooks that the command line knows by name, and how a TARGET is read.
 *
 * @module
 */

import type { Hook } from "../src/hook.ts";
import { alloydbAuthProxy } from "./alloydb_auth_proxy.ts";
import { auto } from "./auto.ts";
import { cloudSqlProxy } from "./cloud_sql_proxy.ts";
import { consulDataplane } from "./consul_dataplane.ts";
import { dapr } from "./dapr.ts";
import { envoy } from "./envoy.ts";
import { fileHook } from "./file.ts";
import { httpHook } from "./http.ts";
import { istio } from "./istio.ts";
import { kuma } from "./kuma.ts";
import { linkerd } from "./linkerd.ts";
import type { NamedHook } from "./preset.ts";
import { parseSignalHook } from "./signal.ts";
import { vaultAgent } from "./vault_agent.ts";

/**
 * All built-in presets: one line each.
 *
 * @example
 * ```ts
 * import { PRESETS } from "@k8s-job/wrapper";
 *
 * for (const { hookName, summary } of PRESETS) console.log(`${hookName}: ${summary}`);
 * ```
 */
export const PRESETS: readonly NamedHook[] = [
  istio,
  envoy,
  kuma,
  linkerd,
  cloudSqlProxy,
  alloydbAuthProxy,
  vaultAgent,
  consulDataplane,
  dapr,
];

/** The forms of a TARGET that are no preset's name, for `--help`. */
export const TARGET_FORMS: readonly (readonly [form: string, summary: string])[] = [
  ["NAME=BASE_URL", "that preset's paths on another origin: istio=http://127.0.0.1:16020"],
  ["[METHOD ]URL", "that request, POST by default; http://, https://, http+unix://%2Fpath.sock/"],
  ["signal:NAME[:SIGNAL]", "SIGNAL (SIGTERM) to every process of that name in the pod"],
  ["file:PATH", "create PATH with a JSON summary of the job"],
  ["auto", "whichever of these are there; each is recognized before it is told to quit"],
  ["none", "nothing"],
];

/**
 * Reads one TARGET.
 *
 * @param target as the operator typed it
 * @param presets the hooks that are known by name
 * @returns the hook; undefined for `none`
 * @throws {TypeError} that says what was expected
 *
 * @example
 * ```ts
 * import { parseHook } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseHook("GET http://localhost:1234/quit")?.address, "http://localhost:1234/quit");
 * ```
 */
export function parseHook(
  target: string,
  presets: readonly NamedHook[] = PRESETS,
): Hook | undefined {
  const text = target.trim();
  if (text === "none") return undefined;
  if (text === "auto") return auto(presets);
  const [, method, url] = /^(?:([A-Z]+)\s+)?((?:https?|http\+unix):\/\/.*)$/.exec(text) ?? [];
  if (url !== undefined) {
    return httpHook({ name: hostOf(url), stop: { method: method ?? "POST", url } });
  }
  const [, scheme, rest = ""] = /^(signal|file):(.*)$/s.exec(text) ?? [];
  if (scheme === "signal") return parseSignalHook(rest);
  if (scheme === "file") return fileHook({ path: rest });
  const [, name = text, baseUrl] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  const preset = presets.find(({ hookName }) => hookName === name);
  if (preset === undefined) {
    throw new TypeError(
      `expected ${
        presets.map(({ hookName }) => hookName).join(", ")
      }, NAME=BASE_URL, a URL, signal:NAME, file:PATH, auto or none`,
    );
  }
  return preset(baseUrl === undefined ? {} : { baseUrl });
}

/** The host of a URL, which names a sidecar in the log; never its credentials. */
export function hostOf(url: string): string {
  if (!URL.canParse(url)) return "";
  const { protocol, host } = new URL(url);
  return protocol === "http+unix:" ? host.replaceAll(/%2f/gi, "/") : host;
}
