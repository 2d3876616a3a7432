import { googleProxy } from "./cloud_sql_proxy.ts";
import { httpPreset, type NamedHook } from "./preset.ts";

/**
 * Google's AlloyDB Auth Proxy: ports, paths and options are those of the Cloud SQL Auth Proxy.
 *
 * @see https://github.com/GoogleCloudPlatform/alloydb-auth-proxy/blob/main/cmd/root.go
 *
 * @example
 * ```ts
 * import { alloydbAuthProxy } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(alloydbAuthProxy().address, "http://localhost:9091/quitquitquit");
 * ```
 */
export const alloydbAuthProxy: NamedHook = httpPreset({
  name: "alloydb-auth-proxy",
  summary: "Google's AlloyDB Auth Proxy; needs its --quitquitquit",
  ...googleProxy(),
});
