import {
  cloudSqlProxy,
  type Condition,
  envoy,
  istio,
  NotReadyError,
  run,
  waitUntilReady,
} from "@k8s-job/wrapper";
import { assertEquals, assertRejects } from "../../tests/support/assert.ts";
import { recordLog } from "../../tests/support/log.ts";
import { freePort, startSidecar } from "../../tests/support/sidecar.ts";
import { createReport } from "../log/log.ts";
import { waitForAll } from "./wait.ts";

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

Deno.test("again and again, a line says what is missing and what it answered last", async () => {
  let answer = "closed for lunch";
  const canteen = {
    name: "canteen",
    readyAddress: "downstairs",
    probe: () => Promise.resolve({ state: "present" as const, answer }),
  };
  const { log, entries, event } = recordLog();
  const end = new AbortController();
  const waiting = waitForAll([canteen], 60_000, end.signal, createReport(log), 20);
  await event("wait-goes-on");
  answer = "closed for good";
  await event("wait-goes-on", (entry) => entry.fields["hooks"] === "canteen (closed for good)");
  end.abort();
  assertEquals((await waiting)?.late, [{ hook: "canteen", answer }]);
  assertEquals(entries[1]?.fields["hooks"], "canteen (closed for lunch)");
  assertEquals(entries[0]?.event, "wait-started");
});

Deno.test("run() waits for a condition without a limit of its own, and tells nobody to quit", async () => {
  let attempts = 0;
  const lunch: Condition = {
    name: "lunch",
    address: "downstairs",
    probe: () => Promise.resolve({ state: ++attempts < 3 ? "absent" : "ready", answer: "served" }),
  };
  const { log, entries } = recordLog();
  const result = await run(["true"], { waitFor: [lunch], log });
  assertEquals([result.exitCode, result.hooks, attempts], [0, [], 3]);
  assertEquals(entries[0]?.fields["limitMs"], 300_000);
});

Deno.test("a condition that throws is not ready, and the line says why without the runtime's words", async () => {
  const broken: Condition = {
    name: "broken",
    address: "nowhere",
    probe: () => Promise.reject(new TypeError('Invalid header value: "sesame"')),
  };
  const { error } = await run(["true"], { waitFor: [broken], waitMs: 100 });
  if (!(error instanceof NotReadyError)) throw new Error("it was ready");
  assertEquals(error.late, [{ hook: "broken", answer: "TypeError" }]);
});

Deno.test("a hook that has no readiness at its address cannot be waited for", async () => {
  const proxy = cloudSqlProxy({ baseUrl: `http://127.0.0.1:${freePort()}` });
  const text = "cannot be waited for: its readiness is not at that address; " +
    "expected --wait-for http://localhost:9090/readiness";
  await assertRejects(() => waitUntilReady([proxy], { timeoutMs: 100 }), TypeError, text);
  await assertRejects(() => run(["true"], { hooks: [proxy], waitMs: 100 }), TypeError, text);
  await assertRejects(() => run(["true"], { waitFor: [proxy] }), TypeError, text);
  assertEquals((await run(["true"], { hooks: [proxy] })).exitCode, 0);
});
