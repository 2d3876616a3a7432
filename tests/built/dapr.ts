/** Dapr's own daprd. */

import { BUILT_DAPR } from "../../scripts/kubernetes/programs.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { makeAuthority, OPENSSL } from "../support/certificates.ts";
import { compareWithDouble } from "../support/compare.ts";
import { both, testWith } from "../support/needs.ts";
import { type Program, startProgram } from "../support/programs.ts";
import { DAPR_LIFE } from "../support/recordings.ts";
import { runWrapper, startWrapper } from "../support/wrapper.ts";
import { COMMAND, jobBeside, jobWithKilled, SHORT, untilAnswered, WAIT } from "./support.ts";

const FOLDER = Deno.makeTempDirSync();
Deno.test.afterAll(() => Deno.removeSync(FOLDER, { recursive: true }));

const OUTBOUND = "http://127.0.0.1:3500/v1.0/healthz/outbound";

function startDapr(
  folder: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Program {
  return startProgram(`${folder}/daprd`, ["--mode", "standalone", "--app-id", "my-job", ...args], {
    cwd: FOLDER,
    env: { DAPR_HOST_IP: "127.0.0.1", ...env },
  });
}

/** The arguments for a Configuration that allows these APIs alone. */
function allowing(...names: readonly string[]): readonly string[] {
  const path = `${FOLDER}/allowed-${names.join("-")}.yaml`;
  const allowed = names.map((name) => ({ name, version: "v1.0", protocol: "http" }));
  const metadata = { name: "configuration" };
  const spec = { api: { allowed } };
  // JSON is YAML, too.
  const kind = { apiVersion: "dapr.io/v1alpha1", kind: "Configuration" };
  Deno.writeTextFileSync(path, JSON.stringify({ ...kind, metadata, spec }));
  return ["--config", path];
}

/** A component whose server accepts connections and never answers; daprd waits for it. */
function startSlowComponent(): { readonly args: readonly string[]; close(): void } {
  const server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const resources = Deno.makeTempDirSync({ dir: FOLDER });
  const host = `127.0.0.1:${server.addr.port}`;
  Deno.writeTextFileSync(
    `${resources}/store.yaml`,
    JSON.stringify({
      apiVersion: "dapr.io/v1alpha1",
      kind: "Component",
      metadata: { name: "store" },
      spec: {
        type: "state.redis",
        version: "v1",
        ignoreErrors: true,
        metadata: [{ name: "redisHost", value: host }, { name: "redisPassword", value: "" }],
      },
    }),
  );
  return { args: ["--resources-path", resources], close: () => server.close() };
}

for (const hook of ["dapr", "auto"]) {
  testWith(BUILT_DAPR, `${hook}: ready: daprd exits after the job`, async (folder, test) => {
    await using dapr = startDapr(folder);
    const args = [`--hook=${hook}`, "--confirm=30s", ...SHORT];
    const { code, stderr } = await jobBeside(test, dapr, `daprd, ready, --hook ${hook}`, args);
    assertEquals(code, 6, stderr);
    assertStringIncludes(stderr, " ready after ");
    assertStringIncludes(stderr, "dapr: told to quit (204 No Content)");
    assertStringIncludes(stderr, "dapr: gone after ");
  });

  testWith(BUILT_DAPR, `${hook}: --check before and after daprd is there`, async (folder) => {
    const component = startSlowComponent();
    await using dapr = startDapr(folder, component.args);
    const check = () => runWrapper("binary", { args: ["--check", `--hook=${hook}`] });
    const before = await check();
    assertEquals(before.code, 1, before.stdout);
    assertMatch(before.stdout, /absent /);
    component.close();
    await untilAnswered(dapr, OUTBOUND, 204);
    const after = await check();
    assertEquals(after.code, 0, after.stdout);
    assertMatch(after.stdout, /204 No Content/);
    assertEquals(dapr.endedAtMs, undefined);
  });

  testWith(BUILT_DAPR, `${hook}: daprd that waits for its application`, async (folder, test) => {
    // Nobody listens there: COMMAND would, once it is started.
    await using dapr = startDapr(folder, ["--app-port", "8080"]);
    const what = `daprd, waiting for the application, --hook ${hook}`;
    const { code, stderr } = await jobBeside(test, dapr, what, [`--hook=${hook}`, ...SHORT]);
    assertEquals(code, 6, stderr);
    assertStringIncludes(stderr, "dapr: told to quit (204 No Content)");
  });

  testWith(BUILT_DAPR, `${hook}: daprd without its placement service`, async (folder, test) => {
    await using dapr = startDapr(folder, ["--placement-host-address", "127.0.0.1:50005"]);
    const what = `daprd, without placement, --hook ${hook}`;
    const { code, stderr } = await jobBeside(test, dapr, what, [`--hook=${hook}`, ...SHORT]);
    assertEquals(code, 6, stderr);
  });

  testWith(BUILT_DAPR, `${hook}: daprd that allows shutdown alone`, async (folder, test) => {
    await using dapr = startDapr(folder, allowing("shutdown"));
    const what = `daprd, shutdown allowed alone, --hook ${hook}`;
    const { code, stderr } = await jobBeside(test, dapr, what, [`--hook=${hook}`, ...SHORT]);
    assertEquals(code, 6, stderr);
  });

  testWith(BUILT_DAPR, `${hook}: daprd that does not allow shutdown: the hint`, async (folder) => {
    await using dapr = startDapr(folder, allowing("metadata"));
    await untilAnswered(dapr, OUTBOUND, 204);
    const args = [`--hook=${hook}`, ...SHORT, ...COMMAND];
    const { code, stderr } = await runWrapper("binary", { args });
    assertEquals(code, 6, stderr);
    assertMatch(stderr, /dapr: NOT stopped.*404.*spec\.api\.allowed/);
    assertEquals(dapr.endedAtMs, undefined);
  });

  testWith(
    BUILT_DAPR,
    `${hook}: daprd's API token, missing, wrong, right`,
    async (folder, test) => {
      await using dapr = startDapr(folder, [], { DAPR_API_TOKEN: "sesame" });
      await untilAnswered(dapr, OUTBOUND, 204);
      const args = [`--hook=${hook}`, ...SHORT, ...COMMAND];
      const missing = await runWrapper("binary", { args });
      assertMatch(
        missing.stderr,
        /dapr: NOT stopped.*401.*dapr\.io\/api-token-secret names into this container's DAPR_API_TOKEN/,
      );
      const wrong = await runWrapper("binary", { args, env: { DAPR_API_TOKEN: "open" } });
      assertMatch(wrong.stderr, /dapr: NOT stopped.*401.*DAPR_API_TOKEN is not the one/);
      assertEquals([missing.code, wrong.code, dapr.endedAtMs], [6, 6, undefined]);
      const env = { DAPR_API_TOKEN: "sesame\n" };
      const what = `daprd, with a token, --hook ${hook}`;
      const right = await jobBeside(test, dapr, what, [`--hook=${hook}`, ...SHORT], COMMAND, env);
      assertEquals(right.code, 6, right.stderr);
    },
  );

  testWith(BUILT_DAPR, `${hook}: daprd on another port`, async (folder, test) => {
    await using dapr = startDapr(folder, ["--dapr-http-port", "3600"]);
    await untilAnswered(dapr, OUTBOUND.replace("3500", "3600"), 204);
    const args = [`--hook=${hook}`, "--startup-window=0"];
    const { code, stderr } = await runWrapper("binary", { args: [...args, ...COMMAND] });
    assertEquals(code, 6, stderr);
    assertMatch(stderr, /no (such )?sidecar/);
    // Dapr's injector sets it in each container.
    const env = { DAPR_HTTP_PORT: "3600" };
    const what = `daprd, moved port, --hook ${hook}`;
    const told = await jobBeside(test, dapr, what, args, COMMAND, env);
    assertEquals(told.code, 6, told.stderr);
    assertStringIncludes(told.stderr, "dapr: told to quit (204 No Content)");
  });

  testWith(BUILT_DAPR, `${hook}: SIGTERM ends the job, then daprd`, async (folder) => {
    await using dapr = startDapr(folder);
    await using wrapper = startWrapper("binary", {
      args: [`--hook=${hook}`, ...SHORT, "sh", "-c", "trap 'exit 9' TERM; echo it runs; read -r _"],
      stdin: "piped",
    });
    await wrapper.waitFor("it runs");
    wrapper.kill("SIGTERM");
    const { code, stderr } = await wrapper.ended;
    await wrapper.child.stdin.close();
    assertEquals(code, 9, stderr);
    assertEquals(await dapr.endsByItself(), 0, await dapr.output());
  });

  testWith(BUILT_DAPR, `${hook}: a daprd that was killed is a warning`, async (folder) => {
    await using dapr = startDapr(folder);
    await jobWithKilled(dapr, hook, "dapr");
  });
}

testWith(BUILT_DAPR, "daprd at another address that is named", async (folder, test) => {
  await using dapr = startDapr(folder, ["--dapr-http-port", "3600"]);
  const args = ["--hook=dapr=http://127.0.0.1:3600", ...WAIT];
  const { code, stderr } = await jobBeside(test, dapr, "daprd, moved port, named", args);
  assertEquals(code, 6, stderr);
});

testWith(
  BUILT_DAPR,
  "daprd whose components take long is told to quit after a short job",
  async (folder, test) => {
    const component = startSlowComponent();
    await using dapr = startDapr(folder, component.args);
    await using wrapper = startWrapper("binary", {
      args: ["--hook=dapr", "--startup-window=60s", ...COMMAND],
    });
    await wrapper.waitFor("not there yet; expecting it");
    component.close();
    const { code, stderr } = await wrapper.ended;
    assertEquals(code, 6, stderr);
    assertEquals(await dapr.endsByItself(), 0, await dapr.output());
    await test.step("seen: daprd, components slow: exit code 0", () => {});
  },
);

testWith(
  both(BUILT_DAPR, OPENSSL),
  "daprd opens no port as long as its control plane is away: the hint says so",
  async ([folder, openssl]) => {
    using authority = makeAuthority(openssl);
    const anchors = Deno.readTextFileSync(authority.path);
    const sentry = ["--enable-mtls", "--sentry-address", "127.0.0.1:50006"];
    await using dapr = startDapr(folder, sentry, { DAPR_TRUST_ANCHORS: anchors });
    const args = ["--hook=dapr", "--startup-window=1s", ...COMMAND];
    const { code, stderr } = await runWrapper("binary", { args });
    assertEquals(code, 6, stderr);
    assertMatch(stderr, /warn: dapr: no such sidecar.*opens no port before .*control plane/);
    assertEquals(dapr.endedAtMs, undefined);
  },
);

testWith(BUILT_DAPR, "the hook of pilot-agent, at daprd's port, gets its hint", async (folder) => {
  await using dapr = startDapr(folder);
  await untilAnswered(dapr, OUTBOUND, 204);
  const args = ["--hook=istio=http://localhost:3500", "--startup-window=0", ...COMMAND];
  const { code, stderr } = await runWrapper("binary", { args });
  assertEquals(code, 6, stderr);
  assertMatch(stderr, /istio: NOT stopped.*404.*This is not pilot-agent/);
  assertEquals(dapr.endedAtMs, undefined);
});

const PHASES: readonly (readonly [phase: string, args: () => readonly string[]])[] = [
  ["ready", () => []],
  ["waiting for the app", () => ["--app-port", "8080"]],
  ["without metadata", () => allowing("shutdown")],
  [
    "without metadata, waiting for the app",
    () => [...allowing("shutdown"), "--app-port", "8080"],
  ],
  ["with invoke, without metadata", () => allowing("shutdown", "invoke")],
  ["without shutdown", () => allowing("metadata")],
];

for (const [phase, args] of PHASES) {
  testWith(BUILT_DAPR, `daprd, ${phase}: the double answers as it does`, async (folder) => {
    await compareWithDouble(DAPR_LIFE, phase, async () => {
      const dapr = startDapr(folder, args());
      await untilAnswered(dapr, OUTBOUND, 204);
      return dapr;
    });
  });
}
