/** Every preset against a real server on its default port. */

import { PRESETS } from "../../hooks/registry.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { type Answer, type Sidecar, startSidecar } from "../support/sidecar.ts";
import { runWrapper, startWrapper } from "../support/wrapper.ts";

interface Row {
  readonly name: string;
  /** Where the stop request goes. */
  readonly stop: readonly [port: number, path: string];
  /** Where its readiness is probed. */
  readonly ready: readonly [port: number, path: string];
  readonly env?: Readonly<Record<string, string>>;
  /** Headers of the stop request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What the log says if the stop request gets this status. */
  readonly hints?: readonly (readonly [status: number, text: string])[];
  /** Whether its readiness is on that port alone, so that it has none on another origin. */
  readonly isReadyOnlyThere?: boolean;
  /** What the log says if nothing listens there. */
  readonly refused?: string;
}

const ROWS: readonly Row[] = [
  {
    name: "istio",
    stop: [15020, "/quitquitquit"],
    ready: [15021, "/healthz/ready"],
    hints: [[404, "--hook envoy"], [405, "--hook envoy"], [403, "own loopback"]],
    refused: "--hook auto",
  },
  {
    name: "envoy",
    stop: [9901, "/quitquitquit"],
    ready: [9901, "/ready"],
    hints: [[403, "admin.allow_paths"], [404, "not Envoy's admin interface"]],
    refused: "bootstrap must have an admin address",
  },
  {
    name: "kuma",
    stop: [9901, "/quitquitquit"],
    ready: [9901, "/ready"],
    hints: [[403, "admin.allow_paths"]],
    refused: "control plane",
  },
  {
    name: "linkerd",
    stop: [4191, "/shutdown"],
    ready: [4191, "/ready"],
    hints: [
      [404, "config.linkerd.io/proxy-admin-shutdown: enabled"],
      [403, "own loopback"],
    ],
  },
  {
    name: "cloud-sql-proxy",
    stop: [9091, "/quitquitquit"],
    ready: [9090, "/readiness"],
    isReadyOnlyThere: true,
    hints: [[404, "--debug: add --quitquitquit"]],
    refused: "--quitquitquit",
  },
  {
    name: "alloydb-auth-proxy",
    stop: [9091, "/quitquitquit"],
    ready: [9090, "/readiness"],
    isReadyOnlyThere: true,
    hints: [[404, "--debug: add --quitquitquit"]],
    refused: "--quitquitquit",
  },
  {
    name: "vault-agent",
    stop: [8200, "/agent/v1/quit"],
    ready: [8200, "/agent/v1/metrics"],
    headers: { "x-vault-request": "true" },
    hints: [
      [400, "vault-agent=https://"],
      [404, "enable_quit = true"],
      [405, "enable_quit = true"],
      [412, "X-Vault-Request"],
    ],
    refused: "agent-enable-quit",
  },
  {
    name: "consul-dataplane",
    stop: [20600, "/graceful_shutdown"],
    ready: [19000, "/ready"],
    hints: [[404, "graceful-shutdown-path"]],
    refused: "20300",
  },
  {
    name: "dapr",
    stop: [3500, "/v1.0/shutdown"],
    ready: [3500, "/v1.0/healthz/outbound"],
    hints: [[401, "Put the secret"], [404, "spec.api.allowed"]],
  },
  {
    name: "dapr",
    stop: [3555, "/v1.0/shutdown"],
    ready: [3555, "/v1.0/healthz/outbound"],
    env: { DAPR_HTTP_PORT: "3555", DAPR_API_TOKEN: "sesame\n" },
    headers: { "dapr-api-token": "sesame" },
    hints: [[401, "is not the one"]],
  },
];

/** Starts servers on the preset's ports, which may be the same. */
function startOnDefaultPorts({ stop, ready }: Row, status: number) {
  const [stopPort, readyPort] = [stop[0], ready[0]];
  // A refusal says why, as those of all these programs do.
  const answer: Answer = status < 400
    ? status
    : () => new Response("no\n", { status, headers: { "content-type": "text/plain" } });
  const atStop = startSidecar([answer], { port: stopPort });
  const atReady = readyPort === stopPort ? atStop : startSidecar([200], { port: readyPort });
  const all = [...new Set<Sidecar>([atStop, atReady])];
  return { atStop, atReady, close: () => Promise.all(all.map((sidecar) => sidecar.close())) };
}

Deno.test("every preset has a row", () => {
  const names = new Set(ROWS.map(({ name }) => name));
  assertEquals(PRESETS.map(({ hookName }) => hookName).filter((name) => !names.has(name)), []);
});

for (const row of ROWS) {
  const { name, stop, ready, env = {}, headers = {}, hints = [], refused } = row;
  const run = (...args: readonly string[]) =>
    runWrapper("binary", { args: ["--hook", name, ...args], env });

  Deno.test(`${name} is probed and told to quit on its own ports`, async () => {
    const { atStop, atReady, close } = startOnDefaultPorts(row, 200);
    try {
      const { code, stderr } = await run("--wait=60s", "sh", "-c", "exit 3");
      assertEquals(code, 3, stderr);
      assertStringIncludes(stderr, `${name}: told to quit (200 OK)`);
      assertEquals(atStop.posts()[0]?.headers.get("host"), `localhost:${stop[0]}`);
      assertEquals(atReady.requests[0]?.method, "GET");
      assertEquals(atReady.requests[0]?.path, ready[1]);
      assertEquals(atStop.posts().map(({ method, path }) => [method, path]), [["POST", stop[1]]]);
      for (const [header, value] of Object.entries(headers)) {
        assertEquals(atStop.posts()[0]?.headers.get(header), value);
      }
      if (atReady !== atStop) assertEquals(atReady.posts(), []);
      const gets = atStop.requests.filter(({ method }) => method === "GET");
      assertEquals(gets.filter(({ path }) => path === stop[1]), [], "GET stops some sidecars too");
    } finally {
      await close();
    }
  });

  Deno.test(`--wait-for ${name} asks for its readiness, and tells it nothing`, async () => {
    const { atStop, atReady, close } = startOnDefaultPorts(row, 200);
    try {
      const { code, stderr } = await runWrapper("binary", {
        args: ["--hook=none", `--wait-for=${name}`, "--wait=60s", "sh", "-c", "exit 3"],
        env,
      });
      assertEquals(code, 3, stderr);
      const asked = [...atReady.requests, ...atStop.requests];
      assert(atReady.requests.some(({ path }) => path === ready[1]));
      assertEquals(asked.filter(({ method, path }) => method !== "GET" || path === stop[1]), []);
    } finally {
      await close();
    }
  });

  Deno.test(`${name}=BASE_URL has all its paths on that origin`, async () => {
    await using sidecar = startSidecar();
    const target = `${name}=${sidecar.origin}`;
    const runThere = (...args: readonly string[]) =>
      runWrapper("binary", { args: ["--hook", target, ...args, "sh", "-c", "exit 3"], env });
    const waiting = await runThere("--wait=60s");
    if (row.isReadyOnlyThere) {
      const address = `http://localhost:${ready[0]}${ready[1]}`;
      assertEquals(waiting.code, 125);
      assertStringIncludes(waiting.stderr, `${target} cannot be waited for`);
      assertStringIncludes(waiting.stderr, `expected --wait-for ${address}`);
    } else {
      assertEquals(waiting.code, 3, waiting.stderr);
      assertEquals(sidecar.requests[0]?.path, ready[1]);
    }
    assertEquals(sidecar.posts().map(({ path }) => path), [stop[1]]);
    const { code, stderr } = await runThere();
    assertEquals(code, 3, stderr);
    assertEquals(sidecar.posts().map(({ path }) => path), [stop[1], stop[1]]);
  });

  for (const [status, text] of hints) {
    Deno.test(`${name}: the log says what to do about ${status}`, async () => {
      const { close } = startOnDefaultPorts(row, status);
      try {
        const { code, stderr } = await run("sh", "-c", "exit 3");
        assertEquals(code, 3);
        assertStringIncludes(
          stderr,
          `${name}: NOT stopped, the pod may not end: answered ${status}`,
        );
        assertStringIncludes(stderr, text);
      } finally {
        await close();
      }
    });
  }

  if (ready[0] !== stop[0]) {
    for (const before of [[], ["--wait=300ms", "--on-wait-timeout=start"]]) {
      const how = before.length > 0 ? "seen while waiting" : "never seen before";
      Deno.test(`${name}: not ready, and nobody at the stop address (${how}): a failure`, async () => {
        await using _readiness = startSidecar([503], { port: ready[0], get: 503 });
        const { code, stderr } = await run("--startup-window=0", ...before, "sh", "-c", "exit 3");
        assertEquals(code, 3, stderr);
        const answer = "connection refused, but it is there: 503 Service Unavailable at " +
          `http://localhost:${ready[0]}${ready[1]}`;
        assertStringIncludes(stderr, `${name}: NOT stopped, the pod may not end: ${answer}`);
        assertMatch(stderr, /\bport\b|--quitquitquit/);
      });
    }

    Deno.test(`${name}: its stop address comes after its readiness, and the job`, async () => {
      const asked = Promise.withResolvers<void>();
      const notReady = () => {
        asked.resolve();
        return 503;
      };
      await using _readiness = startSidecar([503], { port: ready[0], get: notReady });
      await using wrapper = startWrapper("binary", {
        args: ["--hook", name, "--startup-window=60s", "true"],
      });
      await asked.promise;
      await using late = startSidecar([200], { port: stop[0] });
      const { code, stderr } = await wrapper.ended;
      assertEquals(code, 0, stderr);
      assertEquals(late.posts().map(({ path }) => path), [stop[1]]);
    });

    Deno.test(`${name}: not ready, nobody at the stop address, and SIGTERM: the kubelet ends it`, async () => {
      await using _readiness = startSidecar([503], { port: ready[0], get: 503 });
      await using wrapper = startWrapper("binary", {
        args: ["--hook", name, "--wait=60s", "true"],
      });
      await wrapper.waitFor("waiting up to");
      wrapper.kill("SIGTERM");
      const { code, stderr } = await wrapper.ended;
      assertEquals(code, 143, stderr);
      assert(!stderr.includes("NOT stopped"), stderr);
    });

    Deno.test(`${name}: another program at the readiness address is not taken for it`, async () => {
      await using _other = startSidecar([404], { port: ready[0], get: 404 });
      const { code, stderr } = await run("--startup-window=0", "--strict", "true");
      assertEquals(code, 0, stderr);
      assertStringIncludes(stderr, `${name}: no such sidecar`);
    });
  }

  if (refused !== undefined) {
    Deno.test(`${name}: the log says what to do if it is there, but not on its port`, async () => {
      const { stderr } = await run("true");
      assertStringIncludes(stderr, `${name}: no such sidecar (connection refused at `);
      assertStringIncludes(stderr, refused);
    });
  }
}

for (
  const [variable, value, expected] of [
    ["DAPR_HTTP_PORT", "sesame", "DAPR_HTTP_PORT: expected a port from 1 to 65535"],
    ["DAPR_API_TOKEN", "first\nsesame", "DAPR_API_TOKEN cannot be sent as a header"],
    ["DAPR_API_TOKEN", "sesame\u{1f511}", "DAPR_API_TOKEN cannot be sent as a header"],
    ["DAPR_API_TOKEN", "sesame\x7f", "DAPR_API_TOKEN cannot be sent as a header"],
  ] as const
) {
  for (const hook of ["dapr", "auto"]) {
    Deno.test(`--hook ${hook}, ${variable}=${JSON.stringify(value)}: not started, told to quit, 125, no value in the log`, async () => {
      await using sidecar = startSidecar([204], { port: 3500, get: 204 });
      const log = await Deno.makeTempFile();
      const { code, stdout, stderr } = await runWrapper("binary", {
        args: ["--hook", hook, "--log-level=debug", "--termination-log", log, "echo", "started"],
        env: { [variable]: value, WRAPPER_STARTUP_WINDOW: "0" },
      });
      assertEquals([code, stdout], [125, ""], stderr);
      assertStringIncludes(stderr, expected);
      const all = stderr + await Deno.readTextFile(log);
      await Deno.remove(log);
      assert(!all.includes("sesame"), all);
      if (hook === "dapr") {
        assertEquals(sidecar.posts().map(({ path }) => path), ["/v1.0/shutdown"]);
      }
    });
  }
}

Deno.test("Istio's agent for gRPC, which has no Envoy, is probed on its own port", async () => {
  await using agent = startSidecar([200], { port: 15020 });
  const args = ["--hook=istio", "--wait=60s", "sh", "-c", "exit 3"];
  const { code, stderr } = await runWrapper("binary", { args });
  assertEquals(code, 3, stderr);
  assertEquals(agent.requests[0]?.path, "/healthz/ready");
  assertEquals(agent.posts().length, 1);
});

/** kuma-dp's readiness since Kuma 2.14: it passes on Envoy's own answer. */
function startKumaReadiness(answer: () => Response) {
  return Deno.serve({ port: 9902, hostname: "127.0.0.1", onListen: () => {} }, answer);
}

Deno.test("Kuma with Envoy's admin interface on a socket is waited for, and is not told to quit", async () => {
  const server = startKumaReadiness(() => new Response("LIVE\n", { headers: { server: "envoy" } }));
  try {
    const args = ["--hook=kuma", "--wait=60s", "--startup-window=60s", "sh", "-c", "exit 3"];
    const { code, stderr } = await runWrapper("binary", { args });
    assertEquals(code, 3, stderr);
    assertStringIncludes(
      stderr,
      "kuma: not told to quit: Envoy's admin interface is not on a port",
    );
    assertStringIncludes(stderr, "envoyAdminUnixSocket=false");
  } finally {
    await server.shutdown();
  }
});

Deno.test("kuma-dp is told to quit once its Envoy has started", async () => {
  const asked = Promise.withResolvers<void>();
  const server = startKumaReadiness(() => {
    asked.resolve();
    return new Response("NOT_READY", { status: 503, headers: { "x-powered-by": "kuma-dp" } });
  });
  try {
    const args = ["--hook=kuma", "--startup-window=60s", "sh", "-c", "exit 3"];
    const ending = runWrapper("binary", { args });
    await asked.promise;
    await using envoy = startSidecar([200], { port: 9901 });
    const { code, stderr } = await ending;
    assertEquals(code, 3, stderr);
    assertEquals(envoy.posts().map(({ path }) => path), ["/quitquitquit"]);
  } finally {
    await server.shutdown();
  }
});
