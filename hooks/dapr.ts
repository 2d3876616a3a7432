import { EXPECTED_HEADER_VALUE, isHeaderValue } from "./http.ts";
import { type Get, jsonOf } from "../src/http/page.ts";
import { environmentVariable } from "../src/platform/mod.ts";
import {
  type HttpPreset,
  type NamedHook,
  nameHook,
  presetHook,
  type PresetOptions,
} from "./preset.ts";

/** What {@linkcode dapr} takes. */
export interface DaprOptions extends PresetOptions {
  /**
   * The token that Dapr's sidecar requires.
   *
   * @default the variable DAPR_API_TOKEN
   */
  readonly apiToken?: string;
}

/**
 * Dapr's sidecar, daprd.
 *
 * Its port is in `DAPR_HTTP_PORT`, which Dapr sets in each container. If the pod has
 * `dapr.io/api-token-secret`, the manifest must put the token into `DAPR_API_TOKEN`. Readiness means
 * readiness for outbound calls: `/v1.0/healthz` waits for COMMAND's own port, while COMMAND waits for it.
 *
 * @see https://github.com/dapr/dapr/blob/master/pkg/api/http/shutdown.go
 * @see https://docs.dapr.io/operations/hosting/kubernetes/kubernetes-job/
 * @see https://docs.dapr.io/operations/resiliency/health-checks/sidecar-health/
 *
 * @example
 * ```ts
 * import { dapr } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const hook = dapr({ baseUrl: "http://localhost:3501", apiToken: "sesame" });
 * assertEquals(hook.address, "http://localhost:3501/v1.0/shutdown");
 * ```
 */
export const dapr: NamedHook<DaprOptions> = nameHook(
  "dapr",
  "Dapr's sidecar; DAPR_HTTP_PORT and DAPR_API_TOKEN are respected",
  (options) => {
    const problems = [readPort(), readToken()].flatMap(({ problem }) => problem ?? []);
    return { ...presetHook(preset(options), options), ...(problems.length > 0 && { problems }) };
  },
  recognize,
);

async function recognize(get: Get): Promise<boolean> {
  const { baseUrl, headers } = preset();
  const health = await get(`${baseUrl}/v1.0/healthz/outbound`);
  const isHealth = health?.status === 204 && health.text === "" ||
    health?.status === 500 && /"errorCode":\s*"ERR_\w*HEALTH/.test(health.text);
  if (!isHealth) return false;
  const page = await get(`${baseUrl}/v1.0/metadata`, headers);
  // A sidecar that wants another token is still one; the stop request's answer will show it.
  if (page?.status === 401) return page.text.trim() === "invalid api token";
  if (page?.status === 404) return await refusesAppId(get, baseUrl, headers);
  const metadata = jsonOf(page) ?? {};
  return typeof metadata["id"] === "string" && typeof metadata["runtimeVersion"] === "string";
}

/**
 * A Configuration whose `spec.api.allowed` lacks `metadata` hides that page. The health pages are
 * always there, and with the ID of another app the answer is an error, whether Dapr is ready or not.
 */
async function refusesAppId(
  get: Get,
  baseUrl: string,
  headers: Readonly<Record<string, string>> | undefined,
): Promise<boolean> {
  const page = await get(`${baseUrl}/v1.0/healthz?appid=~`, headers);
  return page?.status === 500 &&
    /"errorCode":\s*"ERR_HEALTH_(APPID_NOT_MATCH|NOT_READY)"/.test(page.text);
}

function preset({ apiToken }: DaprOptions = {}): HttpPreset {
  const token = apiToken?.trim() ?? readToken().value;
  return {
    name: "dapr",
    summary: "",
    baseUrl: `http://localhost:${readPort().value}`,
    stop: { path: "/v1.0/shutdown" },
    ready: { path: "/v1.0/healthz/outbound" },
    isReady: (status) => status >= 200 && status < 300,
    ...(token ? { headers: { "dapr-api-token": token } } : {}),
    hint({ state, status }) {
      if (state === "absent") {
        return "Dapr puts it into pods with the annotation dapr.io/enabled: 'true', and sets DAPR_HTTP_PORT there; daprd opens no port before it has reached its control plane and loaded its components";
      }
      if (status === 401) {
        return token
          ? "The token in DAPR_API_TOKEN is not the one that dapr.io/api-token-secret names"
          : "Put the secret that dapr.io/api-token-secret names into this container's DAPR_API_TOKEN";
      }
      return status === 404
        ? "Dapr's Configuration lists the allowed APIs (spec.api.allowed), and shutdown is not among them"
        : undefined;
    },
  };
}

/** What a variable says, and what is wrong with it. */
interface Reading<Value> {
  readonly value: Value;
  readonly problem?: string;
}

function readToken(): Reading<string | undefined> {
  // A secret that was made from a file often ends with a line feed.
  const value = environmentVariable("DAPR_API_TOKEN")?.trim();
  if (value === undefined || isHeaderValue(value)) return { value };
  const problem = `DAPR_API_TOKEN cannot be sent as a header: ${EXPECTED_HEADER_VALUE}`;
  return { value: undefined, problem };
}

function readPort(): Reading<number> {
  const text = environmentVariable("DAPR_HTTP_PORT")?.trim() || "3500";
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= 65_535) return { value };
  return { value: 3500, problem: "DAPR_HTTP_PORT: expected a port from 1 to 65535" };
}
