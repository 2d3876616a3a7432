/** The library as a caller sees it: real processes, real servers, results and errors. */

import {
  checkAll,
  envoy,
  type Hook,
  httpHook,
  istio,
  type LogEntry,
  NotReadyError,
  run,
  StartError,
  stopSidecars,
  waitUntilReady,
} from "@k8s-job/wrapper";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "../../tests/support/assert.ts";
import { freePort, startSidecar } from "../../tests/support/sidecar.ts";

/** A log that a test can wait for. */
function listen() {
  const entries: LogEntry[] = [];
  const waiting = new Set<() => void>();
  return {
    entries,
    log: (entry: LogEntry) => {
      entries.push(entry);
      for (const check of waiting) check();
    },
    event: (name: string) =>
      new Promise<LogEntry>((resolve) => {
        const check = () => {
          const entry = entries.find(({ event }) => event === name);
          if (entry !== undefined) resolve(entry);
        };
        waiting.add(check);
        check();
      }),
  };
}

function never(): Promise<never> {
  return new Promise(() => {});
}

Deno.test("run() returns COMMAND's end, its process id, and each hook's outcome", async () => {
  await using sidecar = startSidecar();
  const hook = envoy({ baseUrl: sidecar.origin });
  const { durationMs, pid, hooks, ...rest } = await run(["sh", "-c", "exit 7"], { hooks: [hook] });
  assertEquals(rest, { command: "sh", exitCode: 7, timedOut: false });
  assert(durationMs > 0 && pid !== undefined && pid > 1);
  assertEquals(hooks.map(({ hook, outcome, answer }) => [hook, outcome, answer]), [
    ["envoy", "stopped", "200 OK"],
  ]);
  assertEquals(sidecar.posts().length, 1);
});

Deno.test("run() tells the signal that ended COMMAND", async () => {
  const { exitCode, signal } = await run(["sh", "-c", "kill -KILL $$"]);
  assertEquals([exitCode, signal], [137, "SIGKILL"]);
});

Deno.test("run() returns a StartError with its data, and the hooks run", async () => {
  await using sidecar = startSidecar();
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  const rows = [["/no/such", 127, "ENOENT"], ["/tmp", 126, "EACCES"]] as const;
  for (const [command, exitCode, code] of rows) {
    const result = await run([command], { hooks });
    assert(result.error instanceof StartError);
    assertEquals([result.error.command, result.error.exitCode, result.error.code], [
      command,
      exitCode,
      code,
    ]);
    assertEquals([result.exitCode, result.pid], [exitCode, undefined]);
  }
  assertEquals(sidecar.posts().length, 2);
});

Deno.test("run() with a time limit says that it ended COMMAND", async () => {
  const { exitCode, timedOut, signal } = await run(["sleep", "60"], { timeoutMs: 50 });
  assertEquals([exitCode, timedOut, signal], [124, true, "SIGTERM"]);
});

Deno.test("an AbortSignal aborted before run(): COMMAND is not started, hooks run", async () => {
  await using sidecar = startSidecar();
  const { log, entries } = listen();
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  const result = await run(["true"], { hooks, log, signal: AbortSignal.abort() });
  assertEquals([result.exitCode, result.pid], [143, undefined]);
  assertEquals(sidecar.posts().length, 1);
  assertEquals(entries.map(({ event }) => event), ["command-aborted", "hook-stopped"]);
});

Deno.test("an AbortSignal aborted during the wait: COMMAND is not started, hooks run", async () => {
  const { log, event } = listen();
  const controller = new AbortController();
  const hooks = [envoy({ baseUrl: `http://127.0.0.1:${freePort()}` })];
  const running = run(["true"], { hooks, log, waitMs: 60_000, signal: controller.signal });
  await event("wait-started");
  controller.abort();
  const result = await running;
  assertEquals([result.exitCode, result.pid, result.error], [143, undefined, undefined]);
  assertEquals(result.hooks.map(({ outcome }) => outcome), ["no-sidecar"]);
});

Deno.test("an AbortSignal aborted while COMMAND runs: it gets SIGTERM, hooks run", async () => {
  await using sidecar = startSidecar();
  const { log, event } = listen();
  const controller = new AbortController();
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  const running = run(["sleep", "60"], { hooks, log, signal: controller.signal });
  await event("command-started");
  controller.abort();
  const { exitCode, signal } = await running;
  assertEquals([exitCode, signal], [143, "SIGTERM"]);
  assertEquals(sidecar.posts().length, 1);
});

Deno.test("an AbortSignal aborted while hooks run changes nothing: their own limits hold", async () => {
  const controller = new AbortController();
  await using sidecar = startSidecar([() => {
    controller.abort();
    return new Response(null, { status: 200 });
  }]);
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  const result = await run(["sh", "-c", "exit 3"], { hooks, signal: controller.signal });
  assertEquals(result.exitCode, 3);
  assertEquals(result.hooks.map(({ outcome }) => outcome), ["stopped"]);
});

Deno.test("killAfterMs applies to an abort", async () => {
  const { log, event } = listen();
  const controller = new AbortController();
  // The shell says when its trap is set by making the folder's file.
  const folder = Deno.makeTempDirSync();
  const watcher = Deno.watchFs(folder);
  try {
    const script = `trap "" TERM; touch ${folder}/ready; while :; do sleep 1; done`;
    const running = run(["sh", "-c", script], {
      log,
      killAfterMs: 50,
      processGroup: true,
      signal: controller.signal,
    });
    for await (const { paths } of watcher) if (paths.length > 0) break;
    controller.abort();
    await event("command-killed");
    assertEquals((await running).exitCode, 137);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("run() leaves no listener on the caller's AbortSignal and no timer behind", async () => {
  // Deno's test runner fails this test for a timer that is left.
  const controller = new AbortController();
  const listeners = new Set<unknown>();
  const { signal } = controller;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ) => {
    listeners.add(listener);
    const until = typeof options === "object" ? options.signal : undefined;
    until?.addEventListener("abort", () => listeners.delete(listener));
    add(type, listener, options);
  };
  signal.removeEventListener = (
    type: string,
    listener: EventListenerOrEventListenerObject,
  ) => {
    listeners.delete(listener);
    remove(type, listener);
  };
  await using sidecar = startSidecar();
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  await run(["true"], { hooks, waitMs: 60_000, timeoutMs: 60_000, signal });
  assertEquals(listeners.size, 0);
});

Deno.test("stopSidecars() is given up at its AbortSignal, and says so", async () => {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const deaf: Hook = {
    name: "deaf",
    address: "nowhere",
    probe: () => Promise.resolve({ state: "ready", answer: "always" }),
    stop: () => {
      resolve();
      return never();
    },
  };
  const controller = new AbortController();
  const quitting = stopSidecars([deaf], { signal: controller.signal });
  await asked;
  controller.abort();
  const outcomes = await quitting;
  assertEquals(outcomes.map(({ outcome, answer }) => [outcome, answer]), [["failed", "given up"]]);
});

Deno.test("stopSidecars() runs hooks alone and never throws for what a sidecar does", async () => {
  await using sidecar = startSidecar([404]);
  const nobody = `http://127.0.0.1:${freePort()}`;
  const thrower: Hook = {
    name: "thrower",
    address: "nowhere",
    probe: () => Promise.reject(new Error("no")),
    stop: () => Promise.reject(new Error("broken hook")),
  };
  const outcomes = await stopSidecars([
    envoy({ baseUrl: sidecar.origin }),
    istio({ baseUrl: nobody }),
    thrower,
  ]);
  assertEquals(outcomes.map(({ hook, outcome }) => [hook, outcome]), [
    ["envoy", "failed"],
    ["istio", "no-sidecar"],
    ["thrower", "failed"],
  ]);
  assertStringIncludes(outcomes[0]?.answer ?? "", "404");
  assertEquals(outcomes[2]?.answer, "broken hook");
});

Deno.test("a hook of one's own that finds nobody need not say so itself", async () => {
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

Deno.test("waitUntilReady() resolves when every sidecar is ready", async () => {
  let ready = false;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
    const status = ready ? 200 : 503;
    ready = true;
    return new Response(null, { status });
  });
  const { log, entries } = listen();
  await waitUntilReady([envoy({ baseUrl: `http://127.0.0.1:${server.addr.port}` })], { log });
  assertEquals(entries.map(({ event }) => event), ["wait-started", "sidecar-seen", "wait-ended"]);
  await server.shutdown();
});

Deno.test("waitUntilReady() throws a NotReadyError that names who is late and why", async () => {
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

Deno.test("waitUntilReady() is rejected with its AbortSignal's reason", async () => {
  const late = [envoy({ baseUrl: `http://127.0.0.1:${freePort()}` })];
  const { log, event } = listen();
  const controller = new AbortController();
  const waiting = waitUntilReady(late, { log, signal: controller.signal });
  await event("wait-started");
  controller.abort(new Error("changed my mind"));
  await assertRejects(() => waiting, Error, "changed my mind");
  await assertRejects(() => waitUntilReady(late, { signal: AbortSignal.abort() }), DOMException);
});

Deno.test("run() returns the NotReadyError when the wait runs out", async () => {
  const hooks = [envoy({ baseUrl: `http://127.0.0.1:${freePort()}` })];
  const result = await run(["true"], { hooks, waitMs: 100 });
  assert(result.error instanceof NotReadyError);
  assertEquals([result.exitCode, result.pid], [125, undefined]);
  const started = await run(["sh", "-c", "exit 3"], {
    hooks,
    waitMs: 100,
    onWaitTimeout: "start",
  });
  assertEquals([started.exitCode, started.error], [3, undefined]);
});

Deno.test("checkAll() says of each sidecar whether it is ready, and stops none", async () => {
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

Deno.test("checkAll() is rejected with its AbortSignal's reason, and for a wrong argument", async () => {
  await assertRejects(() => checkAll([envoy()], { signal: AbortSignal.abort() }), DOMException);
  await assertRejects(() => checkAll([envoy()], { requestTimeoutMs: 0 }), RangeError);
});

Deno.test("a sidecar that answered waitUntilReady() is not expected again by stopSidecars()", async () => {
  const sidecar = startSidecar();
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  await waitUntilReady(hooks);
  await sidecar.close();
  const outcomes = await stopSidecars(hooks, { startupWindowMs: 2_147_483_647 });
  assertEquals(outcomes.map(({ outcome }) => outcome), ["already-stopped"]);
});

Deno.test("the startup window is counted from the start of this process", async () => {
  const hooks = [envoy({ baseUrl: `http://127.0.0.1:${freePort()}` })];
  const outcomes = await stopSidecars(hooks, { startupWindowMs: Math.floor(performance.now()) });
  assertEquals(outcomes.map(({ outcome }) => outcome), ["no-sidecar"]);
});

/** What a caller without a type checker may pass. */
const WRONG: readonly (readonly [
  options: unknown,
  kind: typeof TypeError | typeof RangeError,
  text: string,
])[] = [
  [{ waitMs: -1 }, RangeError, "waitMs: expected milliseconds from 0 to 2147483647, got -1"],
  [{ timeoutMs: NaN }, RangeError, "timeoutMs: expected milliseconds from 0 to"],
  [{ killAfterMs: Infinity }, RangeError, "killAfterMs: expected milliseconds"],
  [{ shutdownTimeoutMs: "5s" }, TypeError, 'expected a number of milliseconds, got "5s"'],
  [{ retries: 1.5 }, RangeError, "retries: expected a whole number from 0, got 1.5"],
  [{ retries: "3" }, TypeError, 'retries: expected a number, got "3"'],
  [{ on: "never" }, RangeError, 'on: expected "always" or "success" or "failure", got "never"'],
  [{ onWaitTimeout: "die" }, RangeError, 'onWaitTimeout: expected "fail" or "start"'],
  [{ strict: 1 }, TypeError, "strict: expected a boolean, got 1"],
  [{ signal: {} }, TypeError, "signal: expected an AbortSignal, got an object"],
  [{ log: console }, TypeError, "log: expected a function that takes log entries"],
  [{ hooks: "istio" }, TypeError, 'hooks: expected an array, got "istio"'],
  [{ hooks: [istio] }, TypeError, "hooks[0]: expected a hook, got a function that makes one"],
  [{ hooks: [istio(), {}] }, TypeError, "hooks[1]: expected a hook, got an object"],
  [{ waitFor: [envoy] }, TypeError, "waitFor[0]: expected a hook, got a function"],
  [{ terminationLog: 1 }, TypeError, "terminationLog: expected a path, got 1"],
  [null, TypeError, "options: expected an object, got null"],
];

for (const [options, kind, text] of WRONG) {
  Deno.test(`run() refuses what is wrong before anything starts: ${text}`, async () => {
    const marker = Deno.makeTempFileSync();
    try {
      const call = Reflect.apply(run, undefined, [["rm", marker], options]);
      await assertRejects(() => call, kind, text);
      assert(Deno.statSync(marker).isFile);
    } finally {
      Deno.removeSync(marker);
    }
  });
}

Deno.test("run() refuses a command that is none", async () => {
  for (
    const [command, text] of [
      [[], "command: expected an array with at least one word, got an empty array"],
      ["ls -l", 'command: expected an array with at least one word, got "ls -l"'],
      [["ls", 7], "command[1]: expected a string, got 7"],
    ] as const
  ) {
    await assertRejects(() => Reflect.apply(run, undefined, [command]), TypeError, text);
  }
});

Deno.test("stopSidecars() and waitUntilReady() check their arguments too", async () => {
  await assertRejects(() => stopSidecars([], { retries: -1 }), RangeError, "retries");
  await assertRejects(() => waitUntilReady([], { timeoutMs: -1 }), RangeError, "timeoutMs");
  await assertRejects(
    () => Reflect.apply(stopSidecars, undefined, [[envoy]]),
    TypeError,
    "hooks[0]",
  );
});

Deno.test("one hook serves many calls", async () => {
  await using sidecar = startSidecar();
  const hook = httpHook({ name: "mine", stop: { url: `${sidecar.origin}/quit` } });
  await run(["true"], { hooks: [hook] });
  await run(["true"], { hooks: [hook] });
  assertEquals(sidecar.posts().length, 2);
});
