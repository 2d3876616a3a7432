import { type Get, isNotFoundOfGo, type Page } from "../src/http/page.ts";
import { type HttpPreset, httpPreset, type NamedHook } from "./preset.ts";

/**
 * Google's Cloud SQL Auth Proxy.
 *
 * `--quitquitquit` opens an admin server on 9091, which quits at a POST, and since 2.7 at a GET too.
 * Readiness is on another server, on 9090, which `--health-check` opens. What is recognized may also be
 * the AlloyDB Auth Proxy, which gives the same answers.
 *
 * @see https://github.com/GoogleCloudPlatform/cloud-sql-proxy/blob/main/cmd/root.go
 * @see https://github.com/GoogleCloudPlatform/cloud-sql-proxy/blob/main/internal/healthcheck/healthcheck.go
 * @see https://github.com/GoogleCloudPlatform/cloud-sql-proxy/blob/main/internal/proxy/proxy.go
 *
 * @example
 * ```ts
 * import { cloudSqlProxy } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(cloudSqlProxy().address, "http://localhost:9091/quitquitquit");
 * ```
 */
export const cloudSqlProxy: NamedHook = httpPreset({
  name: "cloud-sql-proxy",
  summary: "Google's Cloud SQL Auth Proxy; needs its --quitquitquit",
  ...googleProxy(),
  async recognize(get) {
    // The admin server's port may be taken by another program.
    const admin = await get("http://localhost:9091/");
    if (admin !== undefined && !isNotFoundOfGo(admin)) return false;
    for (const path of ["/liveness", "/readiness", "/startup"]) {
      const page = await get(`http://localhost:9090${path}`);
      if (page === undefined) return admin !== undefined && await refusesOptions(get);
      if (!isHealthPage(page)) return false;
    }
    return true;
  },
});

/**
 * Without `--health-check` there is no page to recognize the proxy by, but it answers every method
 * other than POST and GET at its quit path with an empty 400, and does not quit. OPTIONS is the one
 * that is harmless to other programs, too.
 */
async function refusesOptions(get: Get): Promise<boolean> {
  const page = await get("http://localhost:9091/quitquitquit", {}, "OPTIONS");
  return page?.status === 400 && page.text === "" && page.headers.get("content-length") === "0" &&
    !page.headers.has("content-type") && !page.headers.has("server");
}

/** Whether this is an answer from the server for health checks. */
function isHealthPage({ status, headers, text }: Page): boolean {
  return headers.get("content-type") === "text/plain; charset=utf-8" && !headers.has("server") &&
    (status === 200 ? text === "ok" : status === 503 && NOT_OK.test(text));
}

/** What that server answers with 503. */
const NOT_OK = /^(error|proxy is not started|proxy has stopped|max connections reached .*)\n?$/;

/** What Google's database proxies have in common: they share their code. */
export function googleProxy(): Omit<HttpPreset, "name" | "summary"> {
  return {
    baseUrl: "http://localhost:9091",
    stop: { path: "/quitquitquit" },
    ready: { path: "/readiness", baseUrl: "http://localhost:9090", isOnlyThere: true },
    // The admin server has no page there and answers 404, whatever else is switched on.
    warmUp: { path: "/" },
    hint({ state, status }) {
      if (state !== "failed") return "Start the proxy with --quitquitquit";
      return status === 404
        ? "This is not its admin port (9091, --admin-port), or it was started with --debug: add --quitquitquit"
        : undefined;
    },
  };
}
