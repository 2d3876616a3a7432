import { envoy, type Hook, run, stopSidecars, waitUntilReady } from "@k8s-job/wrapper";
import { assertEquals } from "../../tests/support/assert.ts";
import { freePort, startSidecar } from "../../tests/support/sidecar.ts";

Deno.test("a custom hook need not handle a refused connection itself", async () => {
  const port = freePort();
  const connecting: Hook = {
    name: "connecting",
    address: "somewhere",
    probe: () => Promise.resolve({ state: "absent", answer: "not asked" }),
    stop: async () => {
      using _connection = await Deno.connect({ port, hostname: "127.0.0.1" });
      return { state: "stopped", answer: "connected" };
    },
  };
  const fetching: Hook = {
    ...connecting,
    name: "fetching",
    stop: async () => {
      const { status } = await fetch(`http://127.0.0.1:${port}`, { method: "POST" });
      return { state: "stopped", answer: String(status) };
    },
  };
  const outcomes = await stopSidecars([connecting, fetching]);
  assertEquals(outcomes.map(({ outcome, answer }) => [outcome, answer]), [
    ["no-sidecar", "connection refused"],
    ["no-sidecar", "connection refused"],
  ]);
});

Deno.test("a sidecar that answered waitUntilReady() is not expected again by stopSidecars()", async () => {
  const sidecar = startSidecar();
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  await waitUntilReady(hooks);
  await sidecar.close();
  const outcomes = await stopSidecars(hooks, { startupWindowMs: 2_073_600_000 });
  assertEquals(outcomes.map(({ outcome }) => outcome), ["already-stopped"]);
});

Deno.test("the startup window is counted from the start of this process", async () => {
  const hooks = [envoy({ baseUrl: `http://127.0.0.1:${freePort()}` })];
  const outcomes = await stopSidecars(hooks, { startupWindowMs: Math.floor(performance.now()) });
  assertEquals(outcomes.map(({ outcome }) => outcome), ["no-sidecar"]);
});

Deno.test("an abort ends the search for a sidecar that never answers, and not the work on one that does", async () => {
  const abort = new AbortController();
  const looked = Promise.withResolvers<void>();
  const silent: Hook = {
    name: "silent",
    address: "somewhere",
    probe: () => Promise.resolve({ state: "absent", answer: "not asked" }),
    stop() {
      looked.resolve();
      return new Promise(() => {});
    },
  };
  await using sidecar = startSidecar();
  const hooks = [silent, envoy({ baseUrl: sidecar.origin })];
  const hour = 3_600_000;
  const running = run(["true"], {
    hooks,
    startupWindowMs: hour,
    shutdownTimeoutMs: hour,
    signal: abort.signal,
  });
  await looked.promise;
  abort.abort();
  const { exitCode, hooks: outcomes } = await running;
  assertEquals(exitCode, 0);
  assertEquals(outcomes.map(({ outcome, answer }) => [outcome, answer]), [
    ["no-sidecar", "no answer"],
    ["stopped", "200 OK"],
  ]);
});
