/** The library as its caller sees it: real processes, real servers, results and errors. */

import {
  envoy,
  type Hook,
  httpHook,
  istio,
  type LogEntry,
  NotReadyError,
  run,
  type SidecarHook,
  StartError,
  stopSidecars,
} from "@k8s-job/wrapper";
import { assert, assertEquals, assertStringIncludes } from "../../tests/support/assert.ts";
import { recordLog } from "../../tests/support/log.ts";
import { sleep } from "../time.ts";
import { freePort, startRawSidecar, startSidecar } from "../../tests/support/sidecar.ts";

function never(): Promise<never> {
  return new Promise(() => {});
}

Deno.test("run() returns how COMMAND ended, its process id, and each hook's outcome", async () => {
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

Deno.test("run() returns the signal that ended COMMAND", async () => {
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

Deno.test("run() reports that its time limit ended COMMAND", async () => {
  const { exitCode, timedOut, signal } = await run(["sleep", "60"], { timeoutMs: 50 });
  assertEquals([exitCode, timedOut, signal], [124, true, "SIGTERM"]);
});

Deno.test("an AbortSignal aborted before run(): COMMAND is not started, hooks run", async () => {
  await using sidecar = startSidecar();
  const { log, entries } = recordLog();
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  const result = await run(["true"], { hooks, log, signal: AbortSignal.abort() });
  assertEquals([result.exitCode, result.pid], [143, undefined]);
  assertEquals(sidecar.posts().length, 1);
  assertEquals(entries.map(({ event }) => event), ["command-aborted", "hook-stopped"]);
});

Deno.test("an AbortSignal aborted during the wait: COMMAND is not started, hooks run", async () => {
  const { log, event } = recordLog();
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
  const { log, event } = recordLog();
  const controller = new AbortController();
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  const running = run(["sleep", "60"], { hooks, log, signal: controller.signal });
  await event("command-started");
  controller.abort();
  const { exitCode, signal } = await running;
  assertEquals([exitCode, signal], [143, "SIGTERM"]);
  assertEquals(sidecar.posts().length, 1);
});

Deno.test("an AbortSignal aborted while hooks run changes nothing: only their limits apply", async () => {
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
  const { log, event } = recordLog();
  const controller = new AbortController();
  // The shell creates a file in this folder once its trap is set.
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
  // Deno's test runner fails this test if a timer is left.
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

Deno.test("stopSidecars() gives up when its AbortSignal is aborted, and reports it", async () => {
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

Deno.test("stopSidecars() runs hooks without a command, and never throws because of a sidecar", async () => {
  await using sidecar = startSidecar([404]);
  const unused = `http://127.0.0.1:${freePort()}`;
  const thrower: Hook = {
    name: "thrower",
    address: "nowhere",
    probe: () => Promise.reject(new Error("no")),
    stop: () => Promise.reject(new Error("broken hook")),
  };
  const outcomes = await stopSidecars([
    envoy({ baseUrl: sidecar.origin }),
    istio({ baseUrl: unused }),
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

Deno.test("run() returns a NotReadyError if the sidecars are not ready in time", async () => {
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

Deno.test("one hook can be used for many calls", async () => {
  await using sidecar = startSidecar();
  const hook = httpHook({ name: "mine", stop: { url: `${sidecar.origin}/quit` } });
  await run(["true"], { hooks: [hook] });
  await run(["true"], { hooks: [hook] });
  assertEquals(sidecar.posts().length, 2);
});

Deno.test("after a defect of the wrapper COMMAND runs to its end, then the hooks run once", async () => {
  const folder = Deno.makeTempDirSync();
  const stops: boolean[] = [];
  const hook: SidecarHook = {
    name: "mine",
    address: "nowhere",
    probe: () => Promise.resolve({ state: "ready", answer: "ok" }),
    stop: () => {
      stops.push([...Deno.readDirSync(folder)].length > 0);
      return Promise.resolve({ state: "stopped", answer: "ok" });
    },
  };
  // The wrapper listens to this signal right after COMMAND has started.
  const signal = Object.assign(new AbortController().signal, {
    addEventListener: () => {
      throw new Error("oh no");
    },
  });
  const entries: LogEntry[] = [];
  const { exitCode } = await run(["sh", "-c", `sleep 0.1; touch ${folder}/ended; exit 5`], {
    hooks: [hook],
    signal,
    log: (entry) => entries.push(entry),
  });
  Deno.removeSync(folder, { recursive: true });
  assertEquals([exitCode, stops], [125, [true]]);
  const events = entries.map(({ event }) => event);
  assert(events.indexOf("internal-error") < events.indexOf("hook-stopped"), events.join());
});

Deno.test("a logger that throws changes nothing: COMMAND's code, and the hooks run", async () => {
  await using sidecar = startSidecar();
  const log = () => {
    throw new Error("the log's disk is full");
  };
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  const { exitCode } = await run(["sh", "-c", "exit 6"], { hooks, log });
  assertEquals([exitCode, sidecar.posts().length], [6, 1]);
});

/** A sidecar whose stop request stands ready, and what happens to it in order. */
function armedHook(happened: string[]): SidecarHook {
  return {
    name: "armed",
    address: "here",
    probe: () => Promise.resolve({ state: "ready", answer: "here" }),
    arm: () => ({
      send() {
        happened.push("sent ahead");
        return Promise.resolve();
      },
    }),
    stop() {
      happened.push("stop");
      return Promise.resolve({ state: "stopped", answer: "told" });
    },
  };
}

const ONCE_SEEN = ["sh", "-c", "sleep 0.3"];

Deno.test("a stop request that stands ready is sent before anything else is done", async () => {
  const happened: string[] = [];
  const { hooks } = await run(ONCE_SEEN, {
    hooks: [armedHook(happened)],
    log: ({ event }) => happened.push(event),
  });
  assertEquals(happened.slice(0, 2), ["command-started", "sidecar-seen"]);
  assertEquals(happened.slice(2), ["sent ahead", "command-ended", "stop", "hook-stopped"]);
  assertEquals(hooks.map(({ outcome }) => outcome), ["stopped"]);
});

Deno.test("a stop request that stands ready is not sent where hooks do not run", async () => {
  const happened: string[] = [];
  await run(ONCE_SEEN, { hooks: [armedHook(happened)], on: "failure" });
  assertEquals(happened, []);
});

Deno.test("a stop request that stands ready is sent once others have decided that hooks run", async () => {
  const sharedDir = Deno.makeTempDirSync();
  const happened: string[] = [];
  const options = { containers: 2, sharedDir, startupWindowMs: 0, furtherWindowMs: 0 };
  const [first, second] = [armedHook([]), armedHook(happened)];
  const long = run(["sh", "-c", "sleep 1"], {
    ...options,
    hooks: [second],
    log: ({ event }) => happened.push(event),
  });
  const short = await run(ONCE_SEEN, { ...options, hooks: [first] });
  assertEquals(short.hooks.map(({ outcome }) => outcome), ["left"]);
  await long;
  Deno.removeSync(sharedDir, { recursive: true });
  const wanted = ["command-ended", "sent ahead", "stop"];
  assertEquals(happened.filter((what) => wanted.includes(what)), wanted);
});

Deno.test("a hook that fails to make its request ready is stopped in the ordinary way", async () => {
  const happened: string[] = [];
  const { log, entries } = recordLog();
  const hook: SidecarHook = {
    ...armedHook(happened),
    arm: () => {
      throw new Error("not today");
    },
  };
  // Deno's test runner fails this test if a promise is rejected that nobody waits for.
  const { exitCode, hooks } = await run(ONCE_SEEN, { hooks: [hook], log });
  assertEquals([exitCode, happened], [0, ["stop"]]);
  assertEquals(hooks.map(({ outcome }) => outcome), ["stopped"]);
  assertEquals(entries.filter(({ event }) => event === "hook-note").length, 1);
});

Deno.test("nothing is sent to COMMAND once it has ended, while stop requests that stood ready are on their way", async () => {
  const controller = new AbortController();
  const { log, entries } = recordLog();
  const hook: SidecarHook = {
    ...armedHook([]),
    arm: () => ({
      async send() {
        await Promise.resolve();
        controller.abort();
      },
    }),
    async stop() {
      await new Promise((resolve) => setTimeout(resolve, 200));
      return { state: "stopped", answer: "told" };
    },
  };
  const options = { hooks: [hook], log, killAfterMs: 50, signal: controller.signal };
  assertEquals((await run(ONCE_SEEN, options)).exitCode, 0);
  assertEquals(controller.signal.aborted, true);
  assertEquals(entries.map(({ event }) => event), [
    "command-started",
    "sidecar-seen",
    "command-ended",
    "hook-stopped",
  ]);
});

Deno.test("run() leaves no look behind for a sidecar that has ended its connection", async () => {
  const { log, event } = recordLog();
  const looking = Promise.withResolvers<void>();
  const hungUp = Promise.withResolvers<"hung up">();
  using sidecar = startRawSidecar(async (connection) => {
    const isFirst = sidecar.connections() === 1;
    const buffer = new Uint8Array(4096);
    let isLook = false;
    for (let length; (length = await connection.read(buffer)) !== null;) {
      isLook = !isFirst &&
        new TextDecoder().decode(buffer.subarray(0, length)).startsWith("GET");
      if (isLook) looking.resolve();
      else await connection.write(new TextEncoder().encode(NO_CONTENT));
      if (!isFirst) continue;
      await event("sidecar-seen");
      return connection.close();
    }
    if (isLook) hungUp.resolve("hung up");
  });
  const origin = `http://127.0.0.1:${sidecar.port}`;
  const hook = httpHook({
    name: "mine",
    stop: { url: `${origin}/quit` },
    ready: { url: `${origin}/ready` },
  });
  const controller = new AbortController();
  const { signal } = controller;
  const options = { hooks: [hook], log, requestTimeoutMs: 60_000, signal };
  const running = run(["sleep", "60"], options);
  await looking.promise;
  controller.abort();
  const { hooks } = await running;
  assertEquals(hooks.map(({ outcome }) => outcome), ["stopped"]);
  const late = new AbortController();
  const timeUp = sleep(10_000, late.signal).then(() => "time is up");
  assertEquals(await Promise.race([hungUp.promise, timeUp]), "hung up");
  late.abort();
});

const NO_CONTENT = "HTTP/1.1 204 No Content\r\n\r\n";

Deno.test("a hook that fails to send its request ahead is stopped in the ordinary way", async () => {
  const happened: string[] = [];
  const hook: SidecarHook = {
    ...armedHook(happened),
    arm: () => ({
      send: () => {
        throw new Error("not today");
      },
    }),
  };
  const { exitCode, hooks } = await run(ONCE_SEEN, { hooks: [hook] });
  assertEquals([exitCode, happened], [0, ["stop"]]);
  assertEquals(hooks.map(({ outcome }) => outcome), ["stopped"]);
});
