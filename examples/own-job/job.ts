/** A job without a wrapper: it waits for its sidecar, does its work, and tells the sidecar to quit. */

import { createLogger, istio, stopSidecars, waitUntilReady } from "@k8s-job/wrapper";

const log = createLogger();
const sidecars = [istio({ baseUrl: Deno.env.get("ISTIO_URL") })];

try {
  await waitUntilReady(sidecars, { timeoutMs: 60_000, log });
  await Deno.writeTextFile(Deno.args[0] ?? "report.txt", `made at ${new Date().toISOString()}\n`);
} finally {
  // Even if the work failed: a sidecar that keeps running keeps the pod from ending.
  await stopSidecars(sidecars, { log });
}
