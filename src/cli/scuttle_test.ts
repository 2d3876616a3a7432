import { readInvocation } from "./settings.ts";
import { nearMisses, parseGoDuration, readScuttle } from "./scuttle.ts";
import { assert, assertEquals, assertStringIncludes } from "../../tests/support/assert.ts";

const scuttle = { nearMisses, readScuttle };
const from = (environment: Record<string, string>) => (name: string) => environment[name];
const read = (environment: Record<string, string>) => readScuttle(from(environment));
const invoke = (environment: Record<string, string>, ...args: string[]) =>
  readInvocation([...args, "c"], from(environment), { scuttle });

const ADMIN = { ENVOY_ADMIN_API: "http://127.0.0.1:15000" };
const QUIT = "http://127.0.0.1:15020/quitquitquit";

Deno.test("without scuttle's variables nothing changes", () => {
  assertEquals(read({}), undefined);
  assertEquals(read({ ENVOY_ADMIN_API: "", GENERIC_QUIT_ONLY: "" }), undefined);
  assertEquals(read({ QUIT_REQUEST_TIMEOUT: "3s" }), undefined, "another program's, perhaps");
  assertEquals(invoke({ QUIT_REQUEST_TIMEOUT: "3s" }).settings, invoke({}).settings);
});

Deno.test("ENVOY_ADMIN_API alone: wait for Envoy, then start all the same, and stop Istio", () => {
  const { settings, origins, scuttle } = invoke(ADMIN);
  assertEquals([settings.waitMs, settings.onWaitTimeout], [15 * 60_000, "start"]);
  assertEquals(settings.hook, [`POST ${QUIT}`]);
  assertEquals([origins.get("waitMs"), origins.get("hook")], [
    "ENVOY_ADMIN_API",
    "ENVOY_ADMIN_API",
  ]);
  assertEquals(scuttle?.hooks.map(({ address }) => address), [QUIT]);
  const waitedFor = scuttle?.waitFor.map(({ readyAddress }) => readyAddress);
  assertEquals(waitedFor, ["http://127.0.0.1:15000/server_info"]);
});

Deno.test("which sidecars are told to quit, in the order of scuttle's own rules", () => {
  const generic = { GENERIC_QUIT_ENDPOINTS: "http://a/q, http://b/q" };
  const rows: readonly (readonly [Record<string, string>, readonly string[]])[] = [
    [{ ...ADMIN, ...generic }, ["http://a/q", "http://b/q", QUIT]],
    [{ ...ADMIN, ...generic, GENERIC_QUIT_ONLY: "true" }, ["http://a/q", "http://b/q"]],
    [{ ...generic, GENERIC_QUIT_ONLY: "true", NEVER_KILL_ISTIO: "true" }, [
      "http://a/q",
      "http://b/q",
    ]],
    [{ ...ADMIN, ...generic, NEVER_KILL_ISTIO: "true" }, []],
    [{ ...generic }, []],
    [{ ...generic, ENVOY_ADMIN_API: "http://10.0.0.1:15000" }, []],
    [{ START_WITHOUT_ENVOY: "true" }, []],
    [{ ...ADMIN, ISTIO_QUIT_API: "http://127.0.0.1:1/" }, ["http://127.0.0.1:1/quitquitquit"]],
    // A path is a mistake: nothing is there below it.
    [{ ENVOY_ADMIN_API: "http://localhost:15000/base/" }, ["http://localhost:15020/quitquitquit"]],
    [{ ENVOY_ADMIN_API: "http://localhost:15020/healthz/ready" }, [
      "http://localhost:15020/quitquitquit",
    ]],
    [{ ENVOY_ADMIN_API: "http://localhost:15021/healthz/ready" }, [
      "http://localhost:15020/quitquitquit",
    ]],
    [{ ...ADMIN, ISTIO_QUIT_API: "http://127.0.0.1:15020/quitquitquit" }, [QUIT]],
    [{ ...ADMIN, GENERIC_QUIT_ENDPOINT: "http://a/q" }, ["http://a/q", QUIT]],
    [{ ...ADMIN, GENERIC_QUIT_ENDPOINT: "http://a/q", GENERIC_QUIT_ENDPOINTS: "http://b/q" }, [
      "http://b/q",
      QUIT,
    ]],
    // What envoy-preflight's own variables did.
    [{ ...ADMIN, ENVOY_KILL_API: "http://127.0.0.1:15020/bye" }, ["http://127.0.0.1:15020/bye"]],
    [{ ...ADMIN, ENVOY_KILL_API: "http://127.0.0.1:15020" }, [QUIT]],
    [{ ENVOY_KILL_API: QUIT }, [QUIT]],
    [{ ...ADMIN, ENVOY_KILL_API: "http://127.0.0.1:1/bye", ISTIO_QUIT_API: "http://127.0.0.1:2" }, [
      "http://127.0.0.1:2/quitquitquit",
    ]],
    [{ ...ADMIN, NEVER_KILL_ENVOY: "true" }, []],
    [{ NEVER_KILL_ENVOY: "true" }, []],
    [{ ...ADMIN, ALWAYS_KILL_ENVOY: "true" }, [QUIT]],
    [{ ...ADMIN, ALWAYS_KILL_ENVOY: "false" }, [QUIT]],
    // scuttle itself has no address for these, and the pod would hang.
    [{ ENVOY_ADMIN_API: "http://localhost:9901" }, ["http://localhost:9901/quitquitquit"]],
    [{ ENVOY_ADMIN_API: "localhost:15000" }, ["http://localhost:15020/quitquitquit"]],
    [{ ...ADMIN, ISTIO_QUIT_API: "127.0.0.1:15020" }, [QUIT]],
  ];
  for (const [environment, urls] of rows) {
    const found = read(environment)?.hooks.map(({ address }) => address);
    assertEquals(found, [...urls], JSON.stringify(environment));
    const expected = urls.length === 0 ? ["none"] : urls.map((url) => `POST ${url}`);
    assertEquals(invoke(environment).settings.hook, expected);
  }
});

Deno.test("how long the wrapper waits for Envoy", () => {
  const rows = [
    [{}, 15 * 60_000, "start"],
    [{ WAIT_FOR_ENVOY_TIMEOUT: "7s" }, 7000, "start"],
    [{ WAIT_FOR_ENVOY_TIMEOUT: "-7s" }, 15 * 60_000, "start"],
    [{ QUIT_WITHOUT_ENVOY_TIMEOUT: "8s", WAIT_FOR_ENVOY_TIMEOUT: "7s" }, 8000, "fail"],
    [{ QUIT_WITHOUT_ENVOY_TIMEOUT: "0", WAIT_FOR_ENVOY_TIMEOUT: "7s" }, 7000, "start"],
    [{ START_WITHOUT_ENVOY: "true", QUIT_WITHOUT_ENVOY_TIMEOUT: "8s" }, 0, "fail"],
    [{ WAIT_FOR_ENVOY_TIMEOUT: "5" }, 15 * 60_000, "start"],
  ] as const;
  for (const [environment, waitMs, onWaitTimeout] of rows) {
    const { settings } = invoke({ ...ADMIN, ...environment });
    assertEquals([settings.waitMs, settings.onWaitTimeout], [waitMs, onWaitTimeout]);
  }
  assertEquals(invoke({ WAIT_FOR_ENVOY_TIMEOUT: "7s" }).settings.waitMs, 0, "no Envoy to wait for");
});

Deno.test("the other variables become settings", () => {
  const { settings, origins } = invoke({
    ...ADMIN,
    QUIT_REQUEST_TIMEOUT: "1.5s",
    NEVER_KILL_ISTIO_ON_FAILURE: "true",
    SCUTTLE_LOGGING: "false",
  });
  assertEquals([settings.requestTimeoutMs, settings.shutdownTimeoutMs], [1500, 1500]);
  assertEquals([settings.on, settings.logLevel], ["success", "error"]);
  assertEquals(origins.get("shutdownTimeoutMs"), "QUIT_REQUEST_TIMEOUT");
  assertEquals(invoke({ ...ADMIN, SCUTTLE_LOGGING: "true" }).settings.logLevel, "info");
  const only = { ...ADMIN, NEVER_KILL_ISTIO_ON_FAILURE: "true", GENERIC_QUIT_ONLY: "true" };
  assertEquals(invoke(only).settings.on, "always", "scuttle looks at GENERIC_QUIT_ONLY first");
});

Deno.test("an option or a WRAPPER_ variable takes precedence over scuttle's, for each setting separately", () => {
  const { settings, origins, scuttle } = invoke(
    { ...ADMIN, WRAPPER_HOOKS: "envoy", SCUTTLE_LOGGING: "false" },
    "--wait=3s",
  );
  assertEquals([settings.hook, settings.waitMs, settings.logLevel], [["envoy"], 3000, "error"]);
  assertEquals(origins.get("hook"), "WRAPPER_HOOKS");
  assertEquals(scuttle, undefined);
});

Deno.test("what scuttle ignores is ignored, with a warning", () => {
  const warned = (environment: Record<string, string>, text: string) => {
    const { warnings, problems } = invoke({ ...ADMIN, ...environment });
    assertEquals(problems, []);
    assertEquals(warnings.length, 1, warnings.join("\n"));
    assertStringIncludes(warnings[0] ?? "", text);
  };
  for (const name of ["START_WITHOUT_ENVOY", "NEVER_KILL_ISTIO", "GENERIC_QUIT_ONLY"]) {
    for (const value of ["True", "1", "yes", " true "]) {
      warned({ [name]: value }, `${name} ${JSON.stringify(value)} is ignored, as scuttle does`);
    }
  }
  warned({ WAIT_FOR_ENVOY_TIMEOUT: "5" }, 'WAIT_FOR_ENVOY_TIMEOUT "5" is ignored');
  warned({ QUIT_REQUEST_TIMEOUT: "0" }, "a limit of 0 would never let a request finish");
  warned({ GENERIC_QUIT_ENDPOINTS: "http://a/q,,http://b/q" }, '""');
  warned({ GENERIC_QUIT_ENDPOINTS: "http://$(HOST):1/q" }, "is ignored: expected http://HOST:PORT");
  warned({ ISTIO_QUIT_API: "me:secret@x" }, "ISTIO_QUIT_API");
  warned({ ISTIO_QUIT_API: "http://${HOST}:15020" }, "ISTIO_QUIT_API");
  const withPath = "http://localhost:15000/x?token=sesame";
  warned({ ENVOY_ADMIN_API: withPath }, 'ENVOY_ADMIN_API "http://localhost:15000/x": its path is');
  warned({ ISTIO_QUIT_API: "http://localhost:15020/quitquitquit" }, "its path is dropped");
  warned({ ENVOY_ADMIN_API: "http://localhost:15020" }, "port 15020, which is pilot-agent's");
  warned({ GENERIC_QUIT_ENDPOINT: "http://a/q" }, "GENERIC_QUIT_ENDPOINT is read as GENERIC_QUIT_");
  warned({ ALWAYS_KILL_ENVOY: "false" }, "ALWAYS_KILL_ENVOY=false has no effect");
  warned({ WRAPPER_PLUGIN_PATH: "/plugin.so" }, "WRAPPER_PLUGIN_PATH");
  const { warnings } = invoke({ SCUTTLE_LOGGING: "true" });
  assertStringIncludes(warnings[0] ?? "", "ENVOY_ADMIN_API is not set: no sidecar will be told");
});

Deno.test("a value that nobody can read is a warning even if no other variable is set", () => {
  for (const name of ["NEVER_KILL_ENVOY", "NEVER_KILL_ISTIO", "START_WITHOUT_ENVOY"]) {
    const { warnings, settings, origins, scuttle } = invoke({ [name]: "True" });
    assertEquals(warnings, [
      `${name} "True" is ignored, as scuttle does: expected true or false`,
    ]);
    assertEquals([settings.hook, origins.get("hook"), scuttle], [["istio"], "default", undefined]);
  }
});

Deno.test("pilot-agent's port in ENVOY_ADMIN_API: its own readiness is asked", () => {
  for (const port of [15020, 15021]) {
    const address = `http://127.0.0.1:${port}`;
    const { waitFor = [] } = read({ ENVOY_ADMIN_API: `${address}/healthz/ready` }) ?? {};
    assertEquals(waitFor.map(({ readyAddress }) => readyAddress), [`${address}/healthz/ready`]);
  }
});

Deno.test("GENERIC_QUIT_ENDPOINT alone says nothing about scuttle", () => {
  assertEquals(read({ GENERIC_QUIT_ENDPOINT: "http://a/q" }), undefined);
});

Deno.test("a name that is almost scuttle's is a warning", () => {
  const warningsOf = (environment: Record<string, string>) =>
    readInvocation(["c"], from(environment), { variables: Object.keys(environment), scuttle })
      .warnings;
  const rows = [
    ["GENERIC_QUIT_ENDPOINT", "GENERIC_QUIT_ENDPOINTS"],
    ["ENVOY_ADMIN_APIS", "ENVOY_ADMIN_API"],
    ["NEVER_KIL_ISTIO", "NEVER_KILL_ISTIO"],
    ["START_WITHOUT_ENVOYS", "START_WITHOUT_ENVOY"],
  ] as const;
  for (const [name, meant] of rows) {
    assertEquals(warningsOf({ [name]: "x" }), [`${name} is ignored: did you mean ${meant}?`]);
  }
  for (const name of ["ENVOY_ADMIN_PORT", "ENVOY_VERSION", "ISTIO_META_OWNER", "STARTED"]) {
    assertEquals(warningsOf({ [name]: "x" }), [], name);
  }
});

Deno.test("durations have Go's format", () => {
  const forms: Record<string, number | undefined> = {
    "500ms": 500,
    "1.5s": 1500,
    "2m30s": 150_000,
    "1h": 3_600_000,
    "0": 0,
    "-0": -0,
    "-1s": -1000,
    "+1s": 1000,
    ".5s": 500,
    "1.s": 1000,
    "1us": 1,
    "1ns": 1,
    "5": undefined,
    "": undefined,
    "1d": undefined,
    "1 s": undefined,
    ".s": undefined,
    "s": undefined,
    "1s2": undefined,
  };
  for (const [text, ms] of Object.entries(forms)) assertEquals(parseGoDuration(text), ms, text);
  assert((parseGoDuration("99999h") ?? 0) > 2_000_000_000, "clamped to the longest timer");
});
