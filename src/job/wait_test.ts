import { envoy, istio, NotReadyError, waitUntilReady } from "@k8s-job/wrapper";
import { assertEquals, assertRejects } from "../../tests/support/assert.ts";
import { recordLog } from "../../tests/support/log.ts";
import { freePort, startSidecar } from "../../tests/support/sidecar.ts";

Deno.test("waitUntilReady() resolves when every sidecar is ready", async () => {
  let ready = false;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
    const status = ready ? 200 : 503;
    ready = true;
    return new Response(null, { status });
  });
  const { log, entries } = recordLog();
  await waitUntilReady([envoy({ baseUrl: `http://127.0.0.1:${server.addr.port}` })], { log });
  assertEquals(entries.map(({ event }) => event), ["wait-started", "sidecar-seen", "wait-ended"]);
  await server.shutdown();
});

Deno.test("waitUntilReady() throws a NotReadyError that names the late sidecars and why", async () => {
  await using sidecar = startSidecar();
  const late = envoy({ baseUrl: `http://127.0.0.1:${freePort()}` });
  const error = await assertRejects(
    () => waitUntilReady([istio({ baseUrl: sidecar.origin }), late], { timeoutMs: 200 }),
    NotReadyError,
    "not ready after 200ms: envoy (connection refused)",
  );
  assertEquals(error.late, [{ hook: "envoy", answer: "connection refused" }]);
  assertEquals(error.timeoutMs, 200);
});

Deno.test("waitUntilReady() rejects with its AbortSignal's reason", async () => {
  const late = [envoy({ baseUrl: `http://127.0.0.1:${freePort()}` })];
  const { log, event } = recordLog();
  const controller = new AbortController();
  const waiting = waitUntilReady(late, { log, signal: controller.signal });
  await event("wait-started");
  controller.abort(new Error("changed my mind"));
  await assertRejects(() => waiting, Error, "changed my mind");
  await assertRejects(() => waitUntilReady(late, { signal: AbortSignal.abort() }), DOMException);
});
