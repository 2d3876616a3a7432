/**
 * The hooks that the command line knows by name, and how a TARGET is read.
 *
 * @module
 */

import type { Awaitable, Hook, SidecarHook } from "../src/hook.ts";
import type { StopFailure } from "../src/http/exchange.ts";
import { alloydbAuthProxy } from "./alloydb_auth_proxy.ts";
import { auto } from "./auto.ts";
import { cloudSqlProxy } from "./cloud_sql_proxy.ts";
import { consulDataplane } from "./consul_dataplane.ts";
import { dapr } from "./dapr.ts";
import { envoy } from "./envoy.ts";
import { fileHook } from "./file.ts";
import { hostOf, httpHook } from "./http.ts";
import { istio } from "./istio.ts";
import { kuma } from "./kuma.ts";
import { linkerd } from "./linkerd.ts";
import { ABSENT_ADVICE, type NamedHook } from "./preset.ts";
import { fileReady, httpReady, processReady, tcpReady, unixReady } from "./ready.ts";
import { parseSignalHook } from "./signal.ts";
import { baseUrlHint, targetHint, waitHint } from "./target_hint.ts";
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
  const [, method = "POST", url] = /^(?:([A-Z]+)\s+)?((?:https?|http\+unix):\/\/.*)$/s.exec(text) ??
    [];
  if (url !== undefined) {
    refuseSeveral(url);
    const hint = (failure: StopFailure) => urlHint(url, failure, presets);
    return withDoubt(httpHook({ name: hostOf(url), stop: { method, url }, hint }), url, presets);
  }
  const [, scheme, rest = ""] = /^(signal|file):(.*)$/s.exec(text) ?? [];
  if (scheme === "signal") return parseSignalHook(rest);
  if (scheme === "file") return fileHook({ path: rest });
  const others = "a URL, signal:NAME, file:PATH, auto or none";
  return parsePreset(text, presets, others, () => targetHint(text, presets));
}

/** Reads `NAME` or `NAME=BASE_URL`; `others` has the other forms, and `findHint` what was meant, for the error. */
function parsePreset(
  text: string,
  presets: readonly NamedHook[],
  others: string,
  findHint: () => string | undefined,
): Hook {
  const [, name = text, baseUrl] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  const preset = presets.find(({ hookName }) => hookName === name);
  if (preset === undefined) {
    const names = presets.map(({ hookName }) => hookName).join(", ");
    const hint = findHint();
    throw new TypeError(
      `expected ${names}, NAME=BASE_URL, ${others}` + (hint === undefined ? "" : `; ${hint}`),
    );
  }
  if (baseUrl !== undefined) refuseSeveral(baseUrl);
  const meant = baseUrl && baseUrlHint(name, baseUrl);
  if (meant) throw new TypeError(`expected NAME=BASE_URL; ${meant}`);
  return preset(baseUrl === undefined ? {} : { baseUrl });
}

/** The forms of a TARGET of `--wait-for`, for `--help`. */
export const WAIT_FORMS: readonly (readonly [form: string, summary: string])[] = [
  ["NAME", "that sidecar's readiness; NAME=BASE_URL: on another origin"],
  ["URL", "a GET is answered with 2xx; http://, https://, http+unix://%2Fpath.sock/"],
  ["tcp://HOST:PORT", "it accepts a connection"],
  ["unix:PATH", "so does this socket"],
  ["file:PATH", "this file exists and is not empty"],
  ["process:NAME", "a process of that name is there"],
  ["auto", "a sidecar is found, and all that are found are ready"],
  ["none", "nothing"],
];

/**
 * Reads one TARGET of `--wait-for`.
 *
 * @param target as the operator typed it
 * @param presets the hooks that are known by name
 * @returns what to wait for; undefined for `none`
 * @throws {TypeError} that says what was expected
 *
 * @example
 * ```ts
 * import { parseWaitFor } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseWaitFor("tcp://db:5432")?.address, "tcp://db:5432");
 * assertEquals(parseWaitFor("istio")?.name, "istio");
 * ```
 */
export function parseWaitFor(
  target: string,
  presets: readonly NamedHook[] = PRESETS,
): Awaitable | undefined {
  const text = target.trim();
  if (text === "none") return undefined;
  if (text === "auto") return auto(presets);
  if (/^(?:https?|http\+unix):\/\//.test(text)) return httpReady({ url: text });
  const [, scheme, rest = ""] = /^(tcp:\/\/|unix:|file:|process:)(.*)$/s.exec(text) ?? [];
  if (scheme === "tcp://") return tcpReady({ address: rest });
  if (scheme === "unix:") return unixReady({ path: rest.replace(/^\/\/(?=\/)/, "") });
  if (scheme === "file:") return fileReady({ path: rest });
  if (scheme === "process:") return processReady({ process: rest });
  return parsePreset(
    text,
    presets,
    "a URL, tcp://HOST:PORT, unix:PATH, file:PATH, process:NAME, auto or none",
    () => waitHint(text, presets),
  );
}

/**
 * @throws {TypeError} if there is more than one URL, or a character at which `WRAPPER_HOOKS` would be
 * split
 */
function refuseSeveral(url: string): void {
  if (/[\s,]/.test(url)) {
    throw new TypeError(
      "expected one URL: repeat --hook for another one; a URL's own comma is %2C, its own blank %20",
    );
  }
}

/** Says why a URL that was typed is likely to be the wrong one. */
function urlHint(
  url: string,
  { state, status }: StopFailure,
  presets: readonly NamedHook[],
): string | undefined {
  if (state === "absent") return ABSENT_ADVICE;
  if (![404, 405, 501].includes(status)) return undefined;
  const preset = presetAt(url, presets);
  const parts = [
    ...(isRoot(url) ? [NO_PATH] : []),
    ...(preset === undefined ? [] : [ofPreset(preset)]),
  ];
  return parts.length === 0 ? undefined : sentence(parts);
}

/**
 * Envoy answers a POST to `/` with 200, and so does many a readiness page: what is told so at a preset's port
 * has taken no stop request.
 */
function withDoubt(hook: SidecarHook, url: string, presets: readonly NamedHook[]): SidecarHook {
  return {
    ...hook,
    async stop(context) {
      const stopped = await hook.stop(context);
      const hint = stopped.state === "stopped" ? doubtAbout(url, presets) : undefined;
      return hint === undefined ? stopped : { ...stopped, hint };
    },
  };
}

function doubtAbout(url: string, presets: readonly NamedHook[]): string | undefined {
  const preset = presetAt(url, presets);
  const { pathname } = new URL(url);
  if (preset === undefined || pathname === preset.stopPath) return undefined;
  const asksReadiness = pathname === preset.readyPath;
  if (!isRoot(url) && !asksReadiness) return undefined;
  const problem = isRoot(url) ? NO_PATH : "it is asked for its readiness, and not to quit";
  return sentence([problem, ofPreset(preset)]);
}

function ofPreset({ name, port }: { readonly name: string; readonly port: string }): string {
  return `port ${port} is that of --hook ${name}`;
}

function sentence(parts: readonly string[]): string {
  const text = parts.join("; ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const NO_PATH = "the URL has no path";

function isRoot(url: string): boolean {
  return ["", "/"].includes(new URL(url).pathname);
}

/** The admin port of the Envoy in Istio's sidecar, which pilot-agent stands in front of. */
const ISTIO_ENVOY_PORT = "15000";

/** A preset's hook at its usual address; undefined for a custom one that has none, and throws. */
function usual(preset: NamedHook): SidecarHook | undefined {
  try {
    return preset();
  } catch {
    // A hint must not make a failure of a sidecar that has been told to quit.
    return undefined;
  }
}

/** The preset whose port a URL has. */
function presetAt(url: string, presets: readonly NamedHook[]) {
  const { port } = new URL(url);
  if (port === "") return undefined;
  for (const preset of presets) {
    const hook = usual(preset);
    if (hook === undefined) continue;
    const { address, readyAddress = "" } = hook;
    const hasPort = (one: string) => URL.canParse(one) && new URL(one).port === port;
    if (![address, readyAddress].some(hasPort)) continue;
    const pathOf = (one: string) => hasPort(one) ? new URL(one).pathname : undefined;
    const [stopPath, readyPath] = [pathOf(address), pathOf(readyAddress)];
    return { name: preset.hookName, port, stopPath, readyPath };
  }
  const hasIstio = presets.some(({ hookName }) => hookName === "istio");
  return port === ISTIO_ENVOY_PORT && hasIstio
    ? { name: "istio", port, stopPath: undefined, readyPath: "/ready" }
    : undefined;
}
