/** What `--hook auto` finds, and what it ignores. */

import { auto } from "../../hooks/auto.ts";
import { PRESETS } from "../../hooks/registry.ts";
import { type HookOutcome, stopSidecars } from "../../mod.ts";
import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { startSidecar } from "../support/sidecar.ts";
import {
  CLOUD_SQL_PROXY,
  CONSUL_DATAPLANE,
  DAPR,
  ENVOY,
  envoyAdmin,
  ISTIO,
  KUMA,
  LINKERD,
  type Port,
  type Reply,
  STAND_INS,
  type StandIn,
  standIn,
  startStandIns,
  VAULT_AGENT,
  withReply,
} from "../support/stand_ins.ts";
import { CLOUD_SQL_PROXY_LIFE } from "../support/recordings.ts";
import { runWrapper, startWrapper } from "../support/wrapper.ts";

const run = (args: readonly string[], env: Record<string, string> = {}) =>
  runWrapper("binary", { args: ["--hook=auto", ...args], env });

/** Asks an agent whether it may quit: 405 or 404. */
const HARMLESS = "OPTIONS :8200/agent/v1/quit";

/** The requests that may have stopped something: those that are not GET, or a GET of a stop path. */
function stopping(requests: readonly string[]): readonly string[] {
  return requests.filter((request) =>
    request !== HARMLESS &&
    (!request.startsWith("GET ") || /quit|shutdown(?!_ENDPOINT)/i.test(request))
  );
}

/** Runs the auto hook with this sidecar, in this process. */
async function quitAuto(standIn: StandIn): Promise<{ outcome: HookOutcome; requests: string[] }> {
  await using started = startStandIns(standIn);
  const [outcome] = await stopSidecars([auto(PRESETS)], { startupWindowMs: 0 });
  assert(outcome !== undefined);
  return { outcome, requests: [...started.requests] };
}

Deno.test("every preset can be recognized, except AlloyDB's, which answers like Cloud SQL's", () => {
  const names = STAND_INS.map(({ name }) => name);
  assertEquals(
    PRESETS.map(({ hookName }) => hookName).filter((name) => !names.includes(name)),
    ["alloydb-auth-proxy"],
  );
  assertEquals(auto(PRESETS).candidates?.map(({ name }) => name), names);
});

for (const standIn of STAND_INS) {
  Deno.test(`${standIn.name} is found and gets one stop request`, async () => {
    await using started = startStandIns(standIn);
    const { code, stderr } = await run(["sh", "-c", "exit 3"]);
    assertEquals(code, 3, stderr);
    assertEquals(stopping(started.requests), [standIn.stop]);
    assertStringIncludes(stderr, `${standIn.name}: told to quit (20`);
    assert(!/no such|not there|NOT stopped|not told/.test(stderr), stderr);
  });
}

Deno.test("all of them at once get one stop request each", async () => {
  const all = STAND_INS.filter((standIn) => standIn !== KUMA);
  await using started = startStandIns(...all);
  const { code, stderr } = await run(["--wait=60s", "sh", "-c", "exit 3"]);
  assertEquals(code, 3, stderr);
  assertEquals(stopping(started.requests).toSorted(), all.map(({ stop }) => stop).toSorted());
});

/** Answers that are almost a sidecar's: [whose, port, request, the difference]. */
const NEAR_MISSES: readonly (readonly [StandIn, number, string, Partial<Reply> | undefined])[] = [
  [ISTIO, 15021, "GET /healthz/ready", { status: 404 }],
  [ISTIO, 15021, "GET /healthz/ready", { body: "ok" }],
  [ISTIO, 15021, "GET /healthz/ready", { headers: { "x-envoy-upstream-service-time": "0" } }],
  [ISTIO, 15021, "GET /healthz/ready", { headers: { server: "envoy" } }],
  [ISTIO, 15020, "GET /healthz/ready", { body: "ok" }],
  [ISTIO, 15020, "GET /healthz/ready", { headers: { server: "nginx" } }],
  [ENVOY, 9901, "GET /ready", { headers: {} }],
  [ENVOY, 9901, "GET /ready", { body: "OK\n" }],
  [ENVOY, 9901, "GET /ready", { status: 403 }],
  [ENVOY, 9901, "GET /server_info", { status: 403 }],
  [ENVOY, 9901, "GET /server_info", { body: '{"version":"1.40.0","state":"LIVE"}' }],
  [ENVOY, 9901, "GET /server_info", { body: "not json" }],
  [ENVOY, 9901, "GET /server_info", { body: "x".repeat(1 << 20) }],
  [KUMA, 9901, "GET /ready", { status: 500 }],
  [LINKERD, 4191, "GET /ready", { body: "ok\n" }],
  [LINKERD, 4191, "GET /ready", { status: 404 }],
  [LINKERD, 4191, "GET /env.json?LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED", { body: "{}" }],
  [LINKERD, 4191, "GET /env.json?LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED", { headers: {} }],
  [CLOUD_SQL_PROXY, 9090, "GET /liveness", { body: "ok\n" }],
  [CLOUD_SQL_PROXY, 9090, "GET /liveness", { headers: { "content-type": "text/html" } }],
  [CLOUD_SQL_PROXY, 9090, "GET /readiness", { status: 404 }],
  [CLOUD_SQL_PROXY, 9090, "GET /startup", { status: 503, body: "starting" }],
  [CLOUD_SQL_PROXY, 9091, "GET /", { status: 200, body: "Pushgateway" }],
  [VAULT_AGENT, 8200, "GET /agent/v1/metrics", { body: '{"errors":[]}' }],
  [VAULT_AGENT, 8200, "GET /agent/v1/metrics", { status: 403 }],
  [VAULT_AGENT, 8200, "GET /agent/v1/metrics", { headers: { "content-type": "text/html" } }],
  [CONSUL_DATAPLANE, 20600, "GET /", { status: 200, body: "hello" }],
  [CONSUL_DATAPLANE, 20600, "GET /", { headers: { server: "nginx" } }],
  [DAPR, 3500, "GET /v1.0/healthz/outbound", { status: 200, body: "ok" }],
  [DAPR, 3500, "GET /v1.0/healthz/outbound", { status: 500, body: "oops" }],
  [DAPR, 3500, "GET /v1.0/metadata", { body: '{"id":1,"runtimeVersion":"1.18.3"}' }],
  [DAPR, 3500, "GET /v1.0/metadata", { status: 401, body: "login please" }],
];

for (const [whose, port, request, change] of NEAR_MISSES) {
  const text = JSON.stringify(change)?.slice(0, 60) ?? "closed";
  Deno.test(`not ${whose.name}: :${port} ${request} ${text}`, async () => {
    const { outcome, requests } = await quitAuto(withReply(whose, port, request, change));
    assertEquals(stopping(requests), []);
    assertEquals([outcome.outcome, outcome.sidecars ?? []], ["no-sidecar", []]);
  });
}

/** The same sidecar with another program on one of its ports. */
function withPort(standIn: StandIn, other: Port): StandIn {
  return { ...standIn, ports: [...standIn.ports.filter(({ port }) => port !== other.port), other] };
}

Deno.test("another Envoy is not Consul's, and an Envoy without pilot-agent is not Istio's", async () => {
  const others = [
    withPort(CONSUL_DATAPLANE, envoyAdmin(19000)),
    withPort(ISTIO, envoyAdmin(15000)),
  ];
  const [consul, istio] = others;
  assert(consul !== undefined && istio !== undefined);
  assertEquals(stopping((await quitAuto(consul)).requests), []);
  const hidden = withReply(istio, 15020, "GET /debug/ndsz", { status: 404, body: "nope" });
  assertEquals(stopping((await quitAuto(hidden)).requests), []);
});

/** Answers that are still a sidecar's: [whose, port, request, the difference]. */
const STILL: readonly (readonly [StandIn, number, string, Partial<Reply> | undefined])[] = [
  [ISTIO, 15021, "GET /healthz/ready", { status: 503 }],
  [ISTIO, 15000, "", undefined],
  // Envoy opens it with its first configuration.
  [ISTIO, 15021, "", undefined],
  [ENVOY, 9901, "GET /ready", { status: 503, body: "DRAINING\n" }],
  [LINKERD, 4191, "GET /ready", { status: 503, headers: {}, body: "not ready\n" }],
  [LINKERD, 4191, "GET /env.json?LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED", {
    status: 404,
    headers: {},
    body: "",
  }],
  [CLOUD_SQL_PROXY, 9090, "GET /readiness", { status: 503, body: "proxy is not started" }],
  [DAPR, 3500, "GET /v1.0/healthz/outbound", {
    status: 500,
    headers: { "content-type": "application/json" },
    body: '{"errorCode":"ERR_OUTBOUND_HEALTH_NOT_READY","message":"dapr outbound is not ready"}',
  }],
  [DAPR, 3500, "GET /v1.0/metadata", { status: 401, headers: {}, body: "invalid api token\n" }],
];

for (const [whose, port, request, change] of STILL) {
  Deno.test(`still ${whose.name}: :${port} ${request} ${JSON.stringify(change) ?? "closed"}`, async () => {
    const { outcome, requests } = await quitAuto(withReply(whose, port, request, change));
    assertEquals(stopping(requests), [whose.stop]);
    assertEquals(outcome.outcome, "stopped");
    assertEquals(outcome.sidecars?.map(({ hook }) => hook), [whose.name]);
  });
}

/** A Cloud SQL proxy without --health-check, and almost one: [the request, the difference]. */
const WITHOUT_HEALTH_CHECK = standIn(CLOUD_SQL_PROXY_LIFE, "without --health-check");
const NO_PROXIES: readonly (readonly [request: string, change: Partial<Reply>])[] = [
  ["GET /", { body: "not found\n" }],
  ["GET /", { headers: {} }],
  ["GET /", { status: 200 }],
  ["OPTIONS /quitquitquit", { status: 204 }],
  ["OPTIONS /quitquitquit", { status: 405 }],
  ["OPTIONS /quitquitquit", { body: "bad request" }],
  ["OPTIONS /quitquitquit", { headers: { "content-type": "text/plain" } }],
  ["OPTIONS /quitquitquit", { headers: { server: "nginx" } }],
];

for (const [request, change] of NO_PROXIES) {
  Deno.test(`no proxy without --health-check: ${request} ${JSON.stringify(change)}`, async () => {
    const stranger = withReply(WITHOUT_HEALTH_CHECK, 9091, request, change);
    const { outcome, requests } = await quitAuto(stranger);
    assertEquals(outcome.outcome, "no-sidecar");
    const asked = request.startsWith("OPTIONS") ? ["OPTIONS :9091/quitquitquit"] : [];
    assertEquals(requests.filter((one) => !one.startsWith("GET ")), asked);
  });
}

Deno.test("where anything answers on the port for health checks, no OPTIONS is sent", async () => {
  const other = withReply(CLOUD_SQL_PROXY, 9090, "GET /liveness", { body: "hello" });
  const { requests } = await quitAuto(other);
  assertEquals(requests.filter((one) => !one.startsWith("GET ")), []);
});

Deno.test("an Envoy of Istio's without pilot-agent is not told anything", async () => {
  const alone = { ...ISTIO, ports: ISTIO.ports.filter(({ port }) => port === 15000) };
  const { outcome, requests } = await quitAuto(alone);
  assertEquals([outcome.outcome, stopping(requests)], ["no-sidecar", []]);
});

Deno.test("unrelated servers on the sidecars' ports get nothing but harmless requests", async () => {
  const ports = [3500, 4191, 8200, 9090, 9091, 9901, 9902, 15020, 15021, 19000, 20600];
  const servers = ports.map((port) => startSidecar([200], { port }));
  try {
    const { code, stderr } = await run(["sh", "-c", "exit 3"]);
    assertEquals(code, 3, stderr);
    assertStringIncludes(stderr, "auto: no sidecar found");
    for (const { port, posts, requests } of servers) {
      assertEquals(posts(), [], `:${port}`);
      const asked = requests.map(({ method, path }) => `${method} :${port}${path}`);
      assertEquals(stopping(asked), []);
    }
    const asked = servers.filter(({ requests }) => requests.length > 0).map(({ port }) => port);
    for (const port of [3500, 4191, 9901, 15021]) assert(asked.includes(port), `${port} unasked`);
  } finally {
    await Promise.all(servers.map((server) => server.close()));
  }
});

Deno.test("servers that never answer are probed at the same time", async () => {
  const ports = [3500, 4191, 8200, 9090, 9091, 9901, 9902, 15020, 15021, 19000, 20600];
  const silent = ports.map((port) => Deno.listen({ hostname: "127.0.0.1", port }));
  try {
    const requestTimeoutMs = 1000;
    const limit = `--request-timeout=${requestTimeoutMs}ms`;
    const { code, stderr, durationMs } = await run([limit, "sh", "-c", "exit 3"]);
    assertEquals(code, 3, stderr);
    assertStringIncludes(stderr, "auto: no sidecar found");
    assert(durationMs < ports.length * requestTimeoutMs / 2, `took ${durationMs} ms`);
  } finally {
    for (const listener of silent) listener.close();
  }
});

Deno.test("with unrelated servers present, only the sidecars are told to quit", async () => {
  await using started = startStandIns(LINKERD, VAULT_AGENT);
  const servers = [3500, 9090, 9901, 15021].map((port) => startSidecar([200], { port }));
  try {
    const { stderr } = await run(["true"]);
    assertEquals(stopping(started.requests).toSorted(), [LINKERD.stop, VAULT_AGENT.stop]);
    for (const server of servers) assertEquals(server.posts(), [], stderr);
  } finally {
    await Promise.all(servers.map((server) => server.close()));
  }
});

Deno.test("nothing found: one line, immediately outside Kubernetes", async () => {
  const { code, stderr } = await run(["sh", "-c", "exit 3"]);
  assertEquals(code, 3);
  assertEquals(stderr.split("\n").filter((line) => line.includes("auto")), [
    "wrapper: auto: no sidecar found",
  ]);
});

Deno.test("a sidecar that is found is stopped at once, and a later one when it starts", async () => {
  await using first = startStandIns(LINKERD);
  const wrapper = startWrapper("binary", {
    args: ["--hook=auto", "--startup-window=1h", "sh", "-c", "exit 3"],
  });
  await wrapper.waitFor("linkerd: told to quit");
  await using second = startStandIns(VAULT_AGENT);
  await wrapper.waitFor("vault-agent: told to quit");
  // Nothing else is expected after that.
  wrapper.kill("SIGTERM");
  const { code, stderr } = await wrapper.ended;
  assertEquals(code, 3);
  assertEquals(stopping(first.requests), [LINKERD.stop]);
  assertEquals(stopping(second.requests), [VAULT_AGENT.stop]);
  assertStringIncludes(stderr, "auto: found so far: ");
  assertStringIncludes(stderr, "expecting others for another ");
  assert(!stderr.includes("NOT stopped"), stderr);
});

Deno.test("SIGTERM while COMMAND runs: one look, and the end", async () => {
  const wrapper = startWrapper("binary", {
    args: ["--hook=auto", "--startup-window=1h", "sh", "-c", "echo running; exec sleep 600"],
  });
  await wrapper.waitFor("running");
  wrapper.kill("SIGTERM");
  const { code, stderr } = await wrapper.ended;
  assertEquals(code, 143);
  assertStringIncludes(stderr, "auto: no sidecar found");
  assert(!stderr.includes("expecting"), stderr);
});

Deno.test("--injected: no further sidecar is waited for once one was found", async () => {
  await using started = startStandIns(LINKERD);
  const { code, stderr } = await run(["--injected=true", "--startup-window=1h", "true"]);
  assertEquals(code, 0);
  assertEquals(stopping(started.requests), [LINKERD.stop]);
  assert(!stderr.includes("expecting"), stderr);
});

Deno.test("--injected: the one sidecar may come late", async () => {
  const wrapper = startWrapper("binary", {
    args: ["--hook=auto", "--injected=true", "sh", "-c", "exit 3"],
  });
  await wrapper.waitFor("auto: found so far: none; expecting others for another ");
  await using started = startStandIns(VAULT_AGENT);
  assertEquals((await wrapper.ended).code, 3);
  assertEquals(stopping(started.requests), [VAULT_AGENT.stop]);
});

Deno.test("--wait ends when the sidecars that were found are ready", async () => {
  const slow = withReply(LINKERD, 4191, "GET /ready", { status: 503, body: "not ready\n" });
  await using vault = startStandIns(VAULT_AGENT);
  const starting = startStandIns(slow);
  const wrapper = startWrapper("binary", {
    args: ["--hook=auto", "--wait=60s", "--log-level=debug", "sh", "-c", "exit 3"],
  });
  await wrapper.waitFor("linkerd: seen");
  await starting[Symbol.asyncDispose]();
  await using ready = startStandIns(LINKERD);
  const { code, stderr } = await wrapper.ended;
  assertEquals(code, 3, stderr);
  assertEquals(stopping(starting.requests), []);
  assertEquals(stopping(ready.requests), [LINKERD.stop]);
  assertEquals(stopping(vault.requests), [VAULT_AGENT.stop]);
});

Deno.test("a Cloud SQL proxy without --quitquitquit does not count as stopped", async () => {
  await using _proxy = startStandIns(withReply(CLOUD_SQL_PROXY, 9091, "", undefined));
  for (const hook of ["auto", "cloud-sql-proxy"]) {
    const args = [`--hook=${hook}`, "--retries=1", "--wait=60s", "sh", "-c", "exit 3"];
    const { code, stderr } = await runWrapper("binary", { args });
    assertEquals(code, 3);
    assertStringIncludes(stderr, "cloud-sql-proxy: NOT stopped, the pod may not end");
    assertStringIncludes(stderr, "connection refused, but it is there and ready");
    assertStringIncludes(stderr, "Start the proxy with --quitquitquit");
  }
});

Deno.test("Istio with a different status port does not count as stopped", async () => {
  await using _istio = startStandIns(withReply(ISTIO, 15020, "", undefined));
  for (const hook of ["auto", "istio"]) {
    const args = [`--hook=${hook}`, "--retries=1", "--wait=60s", "sh", "-c", "exit 3"];
    const { code, stderr } = await runWrapper("binary", { args });
    assertEquals(code, 3);
    assertStringIncludes(stderr, "istio: NOT stopped, the pod may not end");
    assertStringIncludes(stderr, "status.sidecar.istio.io/port");
  }
});

Deno.test("a sidecar that is found but refuses gets its preset's hint", async () => {
  const off = withReply(LINKERD, 4191, "POST /shutdown", {
    status: 404,
    body: "shutdown endpoint is not enabled\n",
  });
  await using _linkerd = startStandIns(off);
  const { code, stderr } = await run(["--strict", "true"]);
  assertEquals(code, 125);
  assertStringIncludes(stderr, "linkerd: NOT stopped");
  assertStringIncludes(stderr, "config.linkerd.io/proxy-admin-shutdown: enabled");
});

Deno.test("Kuma with Envoy's admin interface on a socket is found and gets no stop request", async () => {
  const relayed = withReply(KUMA, 9902, "GET /ready", {
    headers: { server: "envoy" },
    body: "LIVE\n",
  });
  const hidden = { ...relayed, ports: relayed.ports.filter(({ port }) => port === 9902) };
  await using started = startStandIns(hidden);
  const { code, stderr } = await run(["sh", "-c", "exit 3"]);
  assertEquals(code, 3);
  assertEquals(stopping(started.requests), []);
  assertStringIncludes(stderr, "kuma: not told to quit");
  await using other = startStandIns(withReply(ENVOY, 9901, "GET /ready", { body: "hello" }));
  assertStringIncludes((await run(["true"])).stderr, "auto: no sidecar found");
  assertEquals(stopping(other.requests), []);
});

Deno.test("--wait-for auto: one is found, and all that are found are ready", async () => {
  const never = ["--hook=none", "--wait-for=auto", "--wait=300ms", "true"];
  const { code, stderr } = await runWrapper("binary", { args: never });
  assertEquals(code, 125);
  assertStringIncludes(stderr, "not ready after 300ms (--wait): auto (no sidecar found)");

  await using wrapper = startWrapper("binary", {
    args: ["--hook=none", "--wait-for=auto", "sh", "-c", "exit 3"],
  });
  await wrapper.waitFor("waiting up to 5m for auto to be ready");
  await using started = startStandIns(LINKERD);
  assertEquals((await wrapper.ended).code, 3, wrapper.output.stderr);
  assertEquals(stopping(started.requests), []);
});
