import { checkAll, envoy, httpHook } from "@k8s-job/wrapper";
import { assertEquals, assertRejects } from "../../tests/support/assert.ts";
import { freePort, startSidecar } from "../../tests/support/sidecar.ts";

Deno.test("checkAll() reports whether each sidecar is ready, and stops none", async () => {
  await using sidecar = startSidecar();
  const present = httpHook({
    name: "present",
    stop: { url: `${sidecar.origin}/quit` },
    ready: { url: `${sidecar.origin}/ready` },
    isReady: () => false,
  });
  const absent = envoy({ baseUrl: `http://127.0.0.1:${freePort()}` });
  const checks = await checkAll([envoy({ baseUrl: sidecar.origin }), present, absent]);
  assertEquals(
    checks.map(({ hook, state, answer }) => [hook, state, answer]),
    [
      ["envoy", "ready", "200 OK"],
      ["present", "present", "200 OK"],
      ["envoy", "absent", "connection refused"],
    ],
  );
  assertEquals(sidecar.posts(), []);
});

Deno.test("checkAll() rejects with its AbortSignal's reason, and for a wrong argument", async () => {
  await assertRejects(() => checkAll([envoy()], { signal: AbortSignal.abort() }), DOMException);
  await assertRejects(() => checkAll([envoy()], { requestTimeoutMs: 0 }), RangeError);
});
