/**
 * The variables of scuttle, for pods that come from there: the same effect, so that changing the
 * binary is the whole migration.
 *
 * Where following it to the letter would leave a pod hanging, this does what was meant; each such
 * place says so.
 *
 * @see https://github.com/kvij/scuttle
 *
 * @module
 */

import { hostOf, httpHook } from "../../hooks/http.ts";
import { ABSENT_ADVICE } from "../../hooks/preset.ts";
import type { SidecarHook } from "../hook.ts";
import type { StopFailure } from "../http/exchange.ts";
import { resolveUrl } from "../http/url.ts";
import { redactValue } from "../log/redact.ts";
import { nearest } from "../nearest.ts";
import type { Environment, Settings } from "../options.ts";
import { LONGEST_MS } from "../time.ts";
import { couldBeScuttles, NAME_OF_MANY, SCUTTLE_VARIABLES, SINGULAR } from "./scuttle_names.ts";

/** What scuttle's variables come to. */
export interface ScuttleReading {
  /** Each setting as it could have been typed, and the variables that it follows from. */
  readonly values: ReadonlyMap<keyof Settings, ScuttleValue>;
  /** What to stop. */
  readonly hooks: readonly SidecarHook[];
  /** What to wait for: Envoy alone, whatever is stopped later. */
  readonly waitFor: readonly SidecarHook[];
  /** What was ignored, and why, each a sentence for the operator. */
  readonly warnings: readonly string[];
}

/** A setting as it could have been typed. */
export interface ScuttleValue {
  readonly texts: readonly string[];
  readonly origin: string;
}

/** scuttle stops waiting after this time, because the library that it retries with does. */
const LONGEST_WAIT = "15m";

/** Variables that alone say nothing about scuttle. */
const NOT_ALONE: readonly string[] = [NAME_OF_MANY, SINGULAR];

type Variable = typeof SCUTTLE_VARIABLES[number];

/** Go's units of time, in milliseconds. */
const UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "µs": 1e-3,
  "μs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * Reads scuttle's variables.
 *
 * @param environment looks up a variable
 * @returns undefined if none is set; without values if none of them can be read
 *
 * @example
 * ```ts
 * import { readScuttle } from "./scuttle.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const environment = new Map([["ENVOY_ADMIN_API", "http://127.0.0.1:15000"]]);
 * const reading = readScuttle((name) => environment.get(name));
 * assertEquals(reading?.hooks[0]?.address, "http://127.0.0.1:15020/quitquitquit");
 * assertEquals(reading?.values.get("waitMs")?.texts, ["15m"]);
 * ```
 */
export function readScuttle(environment: Environment): ScuttleReading | undefined {
  if (SCUTTLE_VARIABLES.every((name) => NOT_ALONE.includes(name) || !environment(name))) {
    return undefined;
  }
  const warnings: string[] = [];
  const given = new Set<string>();

  function read<Value>(
    name: Variable,
    parse: (text: string) => Value | undefined,
    expected: string,
  ): Value | undefined {
    const text = environment(name);
    if (!text) return undefined;
    const value = parse(text);
    if (value === undefined) {
      const shown = JSON.stringify(redactValue(text));
      warnings.push(`${name} ${shown} is ignored, as scuttle does: expected ${expected}`);
    } else {
      given.add(name);
    }
    return value;
  }
  const text = (name: Variable) => read(name, (value) => value, "");
  // scuttle knows these two words alone: not `True`, not `1`.
  const flag = (name: Variable) => read(name, parseFlag, "true or false");
  const duration = (name: Variable) =>
    read(name, parseGoDuration, "a duration with its unit, such as 500ms, 30s or 1m30s");

  const logging = flag("SCUTTLE_LOGGING");
  const adminApi = text("ENVOY_ADMIN_API");
  const quitApi = text("ISTIO_QUIT_API");
  const plural = text("GENERIC_QUIT_ENDPOINTS");
  const singular = text(SINGULAR);
  const endpoints = plural ?? singular;
  const genericOnly = flag("GENERIC_QUIT_ONLY") ?? false;
  const killApi = text("ENVOY_KILL_API");
  const never = [flag("NEVER_KILL_ISTIO"), flag("NEVER_KILL_ENVOY")].includes(true);
  const always = flag("ALWAYS_KILL_ENVOY");
  const neverOnFailure = flag("NEVER_KILL_ISTIO_ON_FAILURE") ?? false;
  const startWithout = flag("START_WITHOUT_ENVOY") ?? false;
  const waitMs = duration("WAIT_FOR_ENVOY_TIMEOUT") ?? 0;
  const quitWithoutMs = duration("QUIT_WITHOUT_ENVOY_TIMEOUT") ?? 0;
  const requestMs = duration(NAME_OF_MANY);
  if ([...given].every((name) => NOT_ALONE.includes(name))) {
    return warnings.length === 0
      ? undefined
      : { values: new Map(), hooks: [], waitFor: [], warnings };
  }
  if (plural === undefined && singular !== undefined) {
    warnings.push(
      `${SINGULAR} is read as GENERIC_QUIT_ENDPOINTS, which is the name that scuttle reads`,
    );
  }
  if (always === false) {
    warnings.push(
      "ALWAYS_KILL_ENVOY=false has no effect: the sidecar is told to quit after a failure, too, " +
        "so that the pod ends; WRAPPER_ON=success keeps it",
    );
  }

  const values = new Map<keyof Settings, ScuttleValue>();
  const set = (key: keyof Settings, texts: string | readonly string[], ...from: string[]) =>
    values.set(key, {
      texts: typeof texts === "string" ? [texts] : texts,
      origin: from.filter((name) => given.has(name)).join(", ") || [...given].join(", "),
    });

  const adminUrl = usableOrigin("ENVOY_ADMIN_API", adminApi, warnings);
  const agentPort = adminUrl === undefined ? undefined : AGENT_PORT.exec(adminUrl)?.[1];
  if (agentPort !== undefined) {
    warnings.push(
      `ENVOY_ADMIN_API has port ${agentPort}, which is pilot-agent's: its /healthz/ready is asked, ` +
        "because /server_info is on port 15000",
    );
  }
  if (startWithout) {
    set("waitMs", "0", "START_WITHOUT_ENVOY");
  } else if (adminUrl !== undefined && quitWithoutMs > 0) {
    set("waitMs", `${quitWithoutMs}ms`, "QUIT_WITHOUT_ENVOY_TIMEOUT");
    set("onWaitTimeout", "fail", "QUIT_WITHOUT_ENVOY_TIMEOUT");
  } else if (adminUrl !== undefined) {
    const limit = waitMs > 0 ? `${waitMs}ms` : LONGEST_WAIT;
    set("waitMs", limit, "ENVOY_ADMIN_API", "WAIT_FOR_ENVOY_TIMEOUT");
    set("onWaitTimeout", "start", "ENVOY_ADMIN_API", "WAIT_FOR_ENVOY_TIMEOUT");
  }

  if (requestMs !== undefined && requestMs > 0) {
    set("requestTimeoutMs", `${requestMs}ms`, NAME_OF_MANY);
    set("shutdownTimeoutMs", `${requestMs}ms`, NAME_OF_MANY);
  } else if (requestMs !== undefined) {
    // scuttle would give up before it has sent anything, and the pod would hang.
    warnings.push(`${NAME_OF_MANY} is ignored: a limit of 0 would never let a request finish`);
  }
  if (logging === false) set("logLevel", "error", "SCUTTLE_LOGGING");

  const stopsIstio = !genericOnly && !never && (adminApi ?? killApi) !== undefined;
  const isLocal = /127\.0\.0\.1|localhost/.test(adminApi ?? killApi ?? "");
  const stopsAny = genericOnly || (stopsIstio && isLocal);
  if (neverOnFailure && !genericOnly) set("on", "success", "NEVER_KILL_ISTIO_ON_FAILURE");
  if (!genericOnly && (adminApi ?? killApi) === undefined && !never) {
    warnings.push(
      "ENVOY_ADMIN_API is not set: no sidecar will be told to quit, as scuttle does; " +
        "if this pod has one, name it with WRAPPER_HOOKS",
    );
  }

  const genericUrls = stopsAny ? listUrls(endpoints, warnings) : [];
  const istioQuitUrl = stopsIstio && isLocal
    ? quitUrl(
      adminUrl,
      usableOrigin("ISTIO_QUIT_API", quitApi, warnings),
      usableUrl("ENVOY_KILL_API", killApi, warnings),
    )
    : undefined;
  const targets = [...genericUrls, ...(istioQuitUrl === undefined ? [] : [istioQuitUrl])];
  const from = [
    "GENERIC_QUIT_ONLY",
    plural === undefined ? SINGULAR : "GENERIC_QUIT_ENDPOINTS",
    "ENVOY_ADMIN_API",
    "ISTIO_QUIT_API",
    "ENVOY_KILL_API",
  ];
  const reasons = [...from, ...(never ? ["NEVER_KILL_ISTIO", "NEVER_KILL_ENVOY"] : [])];
  set("hook", targets.length === 0 ? ["none"] : targets.map((url) => `POST ${url}`), ...reasons);

  return { values, ...makeHooks(adminUrl, istioQuitUrl, genericUrls), warnings };
}

/**
 * Makes the hooks.
 *
 * @param adminUrl the base URL of Envoy's admin interface, which is waited for
 * @param istioQuitUrl where Istio is told to quit
 * @param genericUrls everything else that is told to quit
 */
function makeHooks(
  adminUrl: string | undefined,
  istioQuitUrl: string | undefined,
  genericUrls: readonly string[],
): Pick<ScuttleReading, "hooks" | "waitFor"> {
  const hint = ({ state }: StopFailure) => state === "absent" ? ABSENT_ADVICE : undefined;
  const generic = genericUrls.map((url) => httpHook({ name: hostOf(url), stop: { url }, hint }));
  const stopUrl = istioQuitUrl ?? adminUrl;
  const isAgent = adminUrl !== undefined && AGENT_PORT.test(adminUrl);
  if (stopUrl === undefined) return { hooks: generic, waitFor: [] };
  const envoy = httpHook({
    name: "istio",
    stop: { url: stopUrl },
    ...(adminUrl === undefined ? {} : {
      ready: { url: `${adminUrl}/${isAgent ? "healthz/ready" : "server_info"}` },
    }),
    // scuttle does not look at the status.
    isReady: (status, body) => isAgent ? status === 200 : /"state"\s*:\s*"LIVE"/.test(body),
    headers: { accept: "application/json" },
    hint,
  });
  return {
    hooks: istioQuitUrl === undefined ? generic : [...generic, envoy],
    waitFor: adminUrl === undefined ? [] : [envoy],
  };
}

function parseFlag(text: string): boolean | undefined {
  return text === "true" ? true : text === "false" ? false : undefined;
}

/**
 * Reads a duration as Go does: a bare number other than 0 is invalid. A duration above 0 is never
 * rounded down to 0, and one that is too long for a timer becomes the longest possible one.
 */
export function parseGoDuration(text: string): number | undefined {
  const [, sign = "", amounts = ""] = /^([-+]?)(.*)$/s.exec(text) ?? [];
  if (amounts === "0") return 0;
  if (!/^((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/.test(amounts)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of amounts.matchAll(/([\d.]+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    sum += Number(amount) * (UNITS_MS[unit ?? ""] ?? NaN);
  }
  const whole = Math.min(Math.ceil(sum), LONGEST_MS);
  return sign === "-" ? -whole : whole;
}

/** pilot-agent's own port, or the one of its readiness, at the end of an origin. */
const AGENT_PORT = /:(15020|15021)$/;

/** An origin, without whatever follows it; undefined, and a warning, if nothing can be sent there. */
function usableOrigin(
  name: string,
  text: string | undefined,
  warnings: string[],
): string | undefined {
  const url = usableUrl(name, text, warnings);
  const [, origin, rest = ""] = /^(\w+:\/\/[^/?#]*)(.*)$/s.exec(url ?? "") ?? [];
  if (rest !== "") {
    const shown = JSON.stringify(redactValue(text ?? ""));
    warnings.push(`${name} ${shown}: its path is dropped: expected http://HOST:PORT`);
  }
  return origin;
}

/** A URL without slashes at its end; undefined, and a warning, if nothing can be sent there. */
function usableUrl(
  name: string,
  text: string | undefined,
  warnings: string[],
): string | undefined {
  if (text === undefined) return undefined;
  if (isHttpUrl(text)) return text.replace(/\/+$/, "");
  const shown = JSON.stringify(redactValue(text));
  warnings.push(`${name} ${shown} is ignored: expected http://HOST:PORT`);
  return undefined;
}

function listUrls(list: string | undefined, warnings: string[]): readonly string[] {
  if (list === undefined) return [];
  const urls = list.split(",").map((entry) => entry.replace(/^ +| +$/g, ""));
  return [...new Set(urls)].filter((url) => {
    if (isHttpUrl(url)) return true;
    const shown = JSON.stringify(redactValue(url));
    warnings.push(`GENERIC_QUIT_ENDPOINTS: ${shown} is ignored: expected http://HOST:PORT/PATH`);
    return false;
  });
}

function isHttpUrl(text: string): boolean {
  if (!/^https?:\/\//i.test(text)) return false;
  try {
    resolveUrl(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * Where Istio is told to quit. Without `ISTIO_QUIT_API` scuttle asks pilot-agent, if Envoy's admin
 * interface is at Istio's own port; elsewhere it would not ask at all, and this asks that Envoy itself.
 * envoy-preflight's `ENVOY_KILL_API` is a whole URL. If no address can be used, pilot-agent has its
 * usual one.
 */
function quitUrl(
  adminUrl: string | undefined,
  quitUrl: string | undefined,
  killUrl: string | undefined,
): string {
  if (quitUrl === undefined && killUrl !== undefined) {
    return /^\w+:\/\/[^/?#]*$/.test(killUrl) ? `${killUrl}/quitquitquit` : killUrl;
  }
  const base = quitUrl ??
    (adminUrl ?? "http://localhost:15020").replace(/:150(00|20|21)$/, ":15020");
  return `${base}/quitquitquit`;
}

/** How many edits make a near miss of these long names. */
const MOST_EDITS = 2;

/**
 * Warns about variables whose names are almost scuttle's, and that nobody reads.
 *
 * @param names the names of all variables
 */
export function nearMisses(names: readonly string[], environment: Environment): readonly string[] {
  const known: readonly string[] = SCUTTLE_VARIABLES.filter((name) => name !== SINGULAR);
  const isScuttle = (readScuttle(environment)?.values.size ?? 0) > 0;
  return names.flatMap((name) => {
    if (!couldBeScuttles(name) || known.includes(name) || !environment(name)) return [];
    if (name === SINGULAR && isScuttle) return [];
    const near = nearest(name, known);
    if (near === undefined || near.edits > MOST_EDITS) return [];
    return [`${name} is ignored: did you mean ${near.word}?`];
  });
}
