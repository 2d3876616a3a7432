import {
  envoy,
  type Hook,
  run,
  type SidecarHook,
  stopSidecars,
  waitUntilReady,
} from "@k8s-job/wrapper";
import { assert, assertEquals } from "../../tests/support/assert.ts";
import { recordLog } from "../../tests/support/log.ts";
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

/** A custom hook whose sidecar is told without a look. */
const CUSTOM: SidecarHook = {
  name: "custom",
  address: "somewhere",
  probe: () => Promise.resolve({ state: "absent", answer: "not asked" }),
  stop: () => Promise.resolve({ state: "stopped", answer: "told" }),
};

Deno.test("a custom hook that fails to look ahead does not keep COMMAND from running", async () => {
  const { log, entries } = recordLog();
  const hook: SidecarHook = {
    ...CUSTOM,
    foresee() {
      throw new Error("its file is broken");
    },
  };
  const { exitCode, hooks } = await run(["sh", "-c", "exit 3"], { hooks: [hook], log });
  assertEquals([exitCode, hooks[0]?.outcome], [3, "stopped"]);
  assertEquals(entries.some(({ msg }) => msg.includes("its file is broken")), true);
});

Deno.test("a refused connection that isListening() throws means that the sidecar is gone", async () => {
  const port = freePort();
  const hook: SidecarHook = {
    ...CUSTOM,
    isListening: async () => {
      using _connection = await Deno.connect({ port, hostname: "127.0.0.1" });
      return true;
    },
  };
  const [outcome] = await stopSidecars([hook], { confirmMs: 60_000 });
  assertEquals(outcome?.outcome, "gone");
});

Deno.test("once the injected sidecar was found, its group is not looked at until the window ends", async () => {
  let probes = 0;
  const found: SidecarHook = {
    ...CUSTOM,
    name: "found",
    probe: () => Promise.resolve({ state: "ready", answer: "there" }),
  };
  const missing: SidecarHook = {
    ...CUSTOM,
    name: "missing",
    probe: () => Promise.resolve({ state: "absent", answer: `look ${++probes}` }),
    stop: () => Promise.resolve({ state: "absent", answer: "not there" }),
  };
  const group: Hook = { name: "group", address: "anywhere", candidates: [found, missing] };
  await run(["sleep", "9"], { hooks: [group], injected: true });
  // Everything is looked for during the first 5 s.
  assert(probes <= 10, `${probes} looks`);
});

Deno.test("a group of which waitUntilReady() found one does not wait for the silence of the others", async () => {
  const found: SidecarHook = {
    ...CUSTOM,
    name: "found",
    probe: () => Promise.resolve({ state: "ready", answer: "there" }),
  };
  const silent: SidecarHook = { ...CUSTOM, name: "silent", stop: () => new Promise(() => {}) };
  const group: Hook = { name: "group", address: "anywhere", candidates: [found, silent] };
  await waitUntilReady([group]);
  const limits = { injected: true, shutdownTimeoutMs: 3_600_000 };
  const ended = stopSidecars([group], limits).then(([outcome]) => outcome?.outcome);
  const timer = Promise.withResolvers<string>();
  const late = setTimeout(() => timer.resolve("too late"), 20_000);
  assertEquals(await Promise.race([ended, timer.promise]), "stopped");
  clearTimeout(late);
});
