/**
 * What was probably meant by a TARGET that cannot be read.
 *
 * @module
 */

import { REFERENCE_HINT } from "../src/http/url.ts";
import { nearest } from "../src/nearest.ts";
import type { NamedHook } from "./preset.ts";
import { isQuoted, quotesHint } from "./quotes.ts";

/** Other names of what the presets are for; those that share a preset's first letters need no entry. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  pilotagent: "istio",
  kongmesh: "kuma",
  gceproxy: "cloud-sql-proxy",
  sqlproxy: "cloud-sql-proxy",
  openbao: "vault-agent",
  bao: "vault-agent",
  all: "auto",
  off: "none",
  no: "none",
  false: "none",
  disabled: "none",
};

/** The forms of a TARGET that need something after their first word. */
const FORMS: Readonly<Record<string, string>> = { signal: "signal:NAME", file: "file:PATH" };

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

const METHOD_HINT =
  "an HTTP method is in capitals, and in one value with its URL: 'POST http://HOST:PORT/PATH'";

/** What to write in place of a TARGET that is for `--wait-for` alone. */
const WAIT_FORM_HINTS: Readonly<Record<string, string>> = {
  tcp: "tcp:// is for --wait-for; a hook needs the whole URL of a stop request",
  unix: "a Unix socket is http+unix://%2Fpath%2Fto.sock/ and the path of the stop request",
  process: "signal:NAME sends SIGTERM to the processes of that name",
};

/** Words that are too short to tell anything by their first letters. */
const LEAST_LETTERS = 4;

/**
 * The known TARGET that a mistyped name is likely to mean.
 *
 * @example
 * ```ts
 * import { nearestTarget } from "./target_hint.ts";
 * import { PRESETS } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(nearestTarget("linkrd", PRESETS), "linkerd");
 * assertEquals(nearestTarget("Istio-Proxy", PRESETS), "istio");
 * assertEquals(nearestTarget("nginx", PRESETS), undefined);
 * ```
 */
export function nearestTarget(text: string, presets: readonly NamedHook[]): string | undefined {
  const known = [...presets.map(({ hookName }) => hookName), "auto", "none"];
  const letters = lettersOf(text);
  if (letters === "") return undefined;
  const other = OTHER_NAMES[letters];
  if (other !== undefined && known.includes(other)) return other;
  const sameStart = known.find((name) => {
    const [short = "", long = ""] = [letters, lettersOf(name)].sort((a, b) => a.length - b.length);
    return short.length >= LEAST_LETTERS && long.startsWith(short);
  });
  if (sameStart !== undefined) return sameStart;
  const near = nearest(text.toLowerCase(), known);
  return near?.isClose ? near.word : undefined;
}

/**
 * Says what was probably meant by a TARGET that cannot be read. It repeats nothing of the TARGET but an
 * address on this machine's loopback, because anything else could be a part of a secret.
 *
 * @returns undefined if nothing comes to mind
 *
 * @example
 * ```ts
 * import { targetHint } from "./target_hint.ts";
 * import { PRESETS } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const hint = targetHint("localhost:15020/quit", PRESETS);
 * assertEquals(hint, "did you mean http://localhost:15020/quit?");
 * ```
 */
export function targetHint(text: string, presets: readonly NamedHook[]): string | undefined {
  if (isQuoted(text)) return quotesHint(text);
  if (isReference(text)) return REFERENCE_HINT;
  if (isMistypedMethod(text)) return METHOD_HINT;
  const [, method = "", address = text] = /^([A-Z]+\s+)?(\S+)$/.exec(text) ?? [];
  if (method === "" && /[\s,;]/.test(text)) {
    return severalHint(text, presets, "--hook", "WRAPPER_HOOKS");
  }
  const [, name = text, base] = /^([^=:/]+)[=:](.*)$/s.exec(text) ?? [];
  const port = base === undefined ? undefined : /^\d{1,5}$/.exec(base)?.[0];
  const meant = nearestTarget(name, presets);
  const isPreset = presets.some(({ hookName }) => hookName === meant);
  if (text.startsWith("/")) return "a path needs file: before it";
  if (/^https?\/\//i.test(address)) return URL_HINT;
  const [, barePort, path = "/PATH"] = /^:?(\d{4,5})(\/[\w./-]*)?$/.exec(text) ?? [];
  if (barePort !== undefined) return `did you mean http://localhost:${barePort}${path}?`;
  if (base === undefined) {
    const form = meant ?? FORMS[text.toLowerCase()];
    return form && `did you mean ${form}?`;
  }
  if (isPreset && meant !== undefined) {
    return `did you mean ${meant}=${port === undefined ? "BASE_URL" : `http://localhost:${port}`}?`;
  }
  if (/^(localhost|127\.0\.0\.1|\[::1\]):\d{1,5}(\/[\w./-]*)?$/.test(address)) {
    return `did you mean ${method}http://${address}?`;
  }
  if (/^(https?|http\+unix)\b/i.test(address)) return URL_HINT;
  if (WAIT_FORM_HINTS[name] !== undefined) return WAIT_FORM_HINTS[name];
  if (/^[\w.-]+:\d{1,5}(\/|$)/.test(address)) return "an address needs http:// before it";
  const scheme = nearest(name.toLowerCase(), ["signal", "file"]);
  return scheme?.isClose ? `did you mean ${scheme.word}:…?` : undefined;
}

/** Says how to name several TARGETs, if that is what a text was meant to do. */
function severalHint(
  text: string,
  presets: readonly NamedHook[],
  option: string,
  variable: string,
): string | undefined {
  const words = text.split(/[\s,;]+/).filter((word) => word !== "");
  const isKnown = (word: string) => nearestTarget(word, presets) !== undefined || isTarget(word);
  return words.length > 1 && words.some(isKnown)
    ? `${option} takes one TARGET: repeat it, ${option} A ${option} B, or set ${variable}=A,B`
    : undefined;
}

/** Whether a text refers to a variable that neither Kubernetes nor a shell has replaced. */
function isReference(text: string): boolean {
  return /\$[({]/.test(text);
}

/** Whether a text is a method without its URL, or a method in small letters before one. */
function isMistypedMethod(text: string): boolean {
  const [, word = "", rest] = /^([a-z]+)(\s+\S.*)?$/is.exec(text) ?? [];
  const method = word.toUpperCase();
  return METHODS.includes(method) && (rest === undefined || word !== method);
}

/**
 * Says how to write the base URL of a preset that was typed as a port, or without `http://`. Nothing of
 * it is repeated but a port of the loopback.
 */
export function baseUrlHint(name: string, baseUrl: string): string | undefined {
  const [, port] = /^(?:(?:localhost|127\.0\.0\.1|\[::1\])?:)?(\d{1,5})\/?$/.exec(baseUrl) ?? [];
  return port && `did you mean ${name}=http://localhost:${port}?`;
}

const URL_HINT = "a URL starts with http://, https:// or http+unix://";

/** Whether a text has the form of a TARGET, be it one that can be read or not. */
function isTarget(text: string): boolean {
  return /^(signal|file):.|:\/\/./.test(text);
}

/**
 * Says what was probably meant by a TARGET of `--wait-for` that cannot be read. It repeats nothing of it.
 *
 * @returns undefined if nothing comes to mind
 *
 * @example
 * ```ts
 * import { waitHint } from "./target_hint.ts";
 * import { PRESETS } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(waitHint("db:5432", PRESETS), "an address needs tcp:// or http:// before it");
 * ```
 */
export function waitHint(text: string, presets: readonly NamedHook[]): string | undefined {
  if (isQuoted(text)) return quotesHint(text);
  if (isReference(text)) return REFERENCE_HINT;
  if (/,/.test(text)) return severalHint(text, presets, "--wait-for", "WRAPPER_WAIT_FOR");
  if (/^(tcp:\/?)?[\w.-]+:\d+$/.test(text)) return "an address needs tcp:// or http:// before it";
  if (/^\.{0,2}\//.test(text)) return "a path needs file: or unix: before it";
  if (text.startsWith("signal:")) return "a process is process:NAME";
  if (/^[A-Z]+\s/.test(text) || isMistypedMethod(text)) {
    return "it is always a GET: leave out the method";
  }
  if (/^\w+:\/\//.test(text)) return "for a server of another protocol, name its port by tcp://";
  const near = nearestTarget(text.replace(/=.*$/s, ""), presets);
  return near === undefined ? undefined : `did you mean ${near}?`;
}

/** Whether a text could have been meant as a TARGET. */
export function couldBeTarget(text: string, presets: readonly NamedHook[]): boolean {
  return isTarget(text) || (!text.startsWith("/") && targetHint(text, presets) !== undefined);
}

function lettersOf(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
}
