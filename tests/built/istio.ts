/** Istio's own pilot-agent with a real Envoy, and a control plane that has nothing to say. */

import { BUILT_ISTIO } from "../../scripts/kubernetes/programs.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { compareWithDouble } from "../support/compare.ts";
import { both, ENVOY, testWith } from "../support/needs.ts";
import { type Program, startProgram } from "../support/programs.ts";
import { ISTIO_LIFE } from "../support/recordings.ts";
import { runWrapper, startWrapper } from "../support/wrapper.ts";
import { COMMAND, jobBeside, jobWithKilled, SHORT, untilAnswered, WAIT } from "./support.ts";

/** It quits within milliseconds, so that its answer may be lost: the request was sent all the same. */
const TOLD = /istio: (told to quit \(200 OK\)|has already stopped)/;

const ISTIO = both(BUILT_ISTIO, ENVOY);
type Programs = readonly [folder: string, envoy: string];

const FOLDER = Deno.makeTempDirSync();
Deno.test.afterAll(() => Deno.removeSync(FOLDER, { recursive: true }));

const READY = "http://127.0.0.1:15021/healthz/ready";
const AGENT = "http://127.0.0.1:15020/healthz/ready";
const ADMIN = "http://127.0.0.1:15000/server_info";

const startControlPlane = ([folder]: Programs) => startProgram(`${folder}/control-plane`, []);

interface AgentOptions {
  readonly statusPort?: number;
  readonly adminPort?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Starts pilot-agent with what Istio's injector sets, without certificates and Kubernetes' API. In a pod
 * it is PID 1. One that is told to quit just when it starts Envoy leaves that behind.
 */
function startAgent(
  [folder, envoy]: Programs,
  { statusPort = 15020, adminPort = 15000, env = {} }: AgentOptions = {},
): Program {
  // It keeps files and sockets in its working directory.
  const cwd = Deno.makeTempDirSync({ dir: FOLDER });
  const config = {
    binaryPath: envoy,
    configPath: `${cwd}/envoy`,
    statusPort,
    proxyAdminPort: adminPort,
    discoveryAddress: "127.0.0.1:15010",
    controlPlaneAuthPolicy: "NONE",
  };
  const template = `${folder}/envoy_bootstrap.json`;
  const args = ["--domain", "namespace.svc.cluster.local", "--templateFile", template];
  return startProgram(`${folder}/pilot-agent`, ["proxy", "sidecar", ...args], {
    cwd,
    detached: true,
    env: {
      POD_NAME: "pod",
      POD_NAMESPACE: "namespace",
      INSTANCE_IP: "127.0.0.1",
      SERVICE_ACCOUNT: "default",
      TRUST_DOMAIN: "cluster.local",
      ISTIO_META_CLUSTER_ID: "Kubernetes",
      PROXY_CONFIG: JSON.stringify(config),
      ...env,
    },
  });
}

for (const hook of ["istio", "auto"]) {
  testWith(
    ISTIO,
    `${hook}: ready: pilot-agent and Envoy exit after the job`,
    async (programs, test) => {
      await using _plane = startControlPlane(programs);
      await using agent = startAgent(programs);
      const args = [`--hook=${hook}`, "--confirm=30s", ...SHORT];
      const { code, stderr } = await jobBeside(
        test,
        agent,
        `pilot-agent, ready, --hook ${hook}`,
        args,
      );
      assertEquals(code, 6, stderr);
      assertStringIncludes(stderr, " ready after ");
      assertMatch(stderr, TOLD);
      // It may end before its answer is out.
      assertMatch(stderr, /istio: (gone after |has already stopped \(it quit without an answer\))/);
    },
  );

  testWith(ISTIO, `${hook}: --check before and after pilot-agent is ready`, async (programs) => {
    await using agent = startAgent(programs);
    await untilAnswered(agent, ADMIN, 200);
    const check = () => runWrapper("binary", { args: ["--check", `--hook=${hook}`] });
    const before = await check();
    assertEquals(before.code, 1, before.stdout);
    assertMatch(before.stdout, /not ready .*503 Service Unavailable/);
    await using _plane = startControlPlane(programs);
    await untilAnswered(agent, READY, 200);
    const after = await check();
    assertEquals(after.code, 0, after.stdout);
    assertEquals(agent.endedAtMs, undefined);
  });

  testWith(
    ISTIO,
    `${hook}: without its control plane it is told to quit`,
    async (programs, test) => {
      await using agent = startAgent(programs);
      await untilAnswered(agent, ADMIN, 200);
      const args = [`--hook=${hook}`, "--startup-window=0"];
      const { code, stderr } = await jobBeside(
        test,
        agent,
        `pilot-agent, not ready, --hook ${hook}`,
        args,
      );
      assertEquals(code, 6, stderr);
      assertMatch(stderr, TOLD);
    },
  );

  testWith(ISTIO, `${hook}: it is told to quit where --wait ran out`, async (programs, test) => {
    await using agent = startAgent(programs);
    await untilAnswered(agent, ADMIN, 200);
    const args = [`--hook=${hook}`, "--wait=1s"];
    const what = `pilot-agent, never ready, --hook ${hook}`;
    const { code, stdout, stderr } = await jobBeside(test, agent, what, args, ["echo", "started"]);
    assertEquals([code, stdout], [125, ""], stderr);
    assertMatch(stderr, TOLD);
  });

  testWith(ISTIO, `${hook}: its control plane may go away while the job runs`, async (programs) => {
    await using plane = startControlPlane(programs);
    await using agent = startAgent(programs);
    await using wrapper = startWrapper("binary", {
      args: [`--hook=${hook}`, ...SHORT, "sh", "-c", "echo it runs; cat; exit 6"],
      stdin: "piped",
    });
    await wrapper.waitFor("it runs");
    await plane[Symbol.asyncDispose]();
    await wrapper.child.stdin.close();
    const { code, stderr } = await wrapper.ended;
    assertEquals(code, 6, stderr);
    assertEquals(await agent.endsByItself(), 0);
  });

  testWith(ISTIO, `${hook}: SIGTERM ends the job, then pilot-agent`, async (programs) => {
    await using _plane = startControlPlane(programs);
    await using agent = startAgent(programs);
    await using wrapper = startWrapper("binary", {
      args: [`--hook=${hook}`, ...SHORT, "sh", "-c", "trap 'exit 9' TERM; echo it runs; read -r _"],
      stdin: "piped",
    });
    await wrapper.waitFor("it runs");
    wrapper.kill("SIGTERM");
    const { code, stderr } = await wrapper.ended;
    await wrapper.child.stdin.close();
    assertEquals(code, 9, stderr);
    assertEquals(await agent.endsByItself(), 0);
  });

  testWith(ISTIO, `${hook}: its status port was moved: the hint`, async (programs, test) => {
    await using _plane = startControlPlane(programs);
    await using agent = startAgent(programs, { statusPort: 15120 });
    await untilAnswered(agent, READY, 200);
    const args = [`--hook=${hook}`, ...SHORT, "--shutdown-timeout=1s", ...COMMAND];
    const { code, stderr } = await runWrapper("binary", { args });
    assertEquals(code, 6, stderr);
    assertMatch(
      stderr,
      /istio: NOT stopped.*status\.sidecar\.istio\.io\/port.*--hook istio=http:\/\/localhost:PORT/,
    );
    const moved = ["--hook=istio=http://localhost:15120", ...SHORT];
    const named = await jobBeside(test, agent, "pilot-agent, moved port", moved);
    assertEquals(named.code, 6, named.stderr);
    assertMatch(named.stderr, TOLD);
  });

  testWith(
    ISTIO,
    `${hook}: without Envoy (gRPC without a proxy): the hint`,
    async (programs, test) => {
      await using _plane = startControlPlane(programs);
      await using agent = startAgent(programs, { env: { DISABLE_ENVOY: "true" } });
      await untilAnswered(agent, AGENT, 200);
      const args = [`--hook=${hook}`, ...SHORT, "--retries=1", ...COMMAND];
      const { code, stderr } = await runWrapper("binary", { args });
      assertEquals(code, 6, stderr);
      assertMatch(stderr, /istio: NOT stopped.*connection broke.*--hook signal:pilot-agent/);
      assertEquals(agent.endedAtMs, undefined);
      const signal = ["--hook=signal:pilot-agent", "--startup-window=60s"];
      const what = "pilot-agent without Envoy, --hook signal:pilot-agent";
      const named = await jobBeside(test, agent, what, signal);
      assertEquals(named.code, 6, named.stderr);
    },
  );

  testWith(ISTIO, `${hook}: a pilot-agent that was killed is a warning`, async (programs) => {
    await using _plane = startControlPlane(programs);
    await using agent = startAgent(programs);
    await jobWithKilled(agent, hook, "istio");
  });
}

testWith(ISTIO, "a pilot-agent that starts after a short job is told to quit", async (programs) => {
  await using _plane = startControlPlane(programs);
  await using wrapper = startWrapper("binary", {
    args: ["--hook=istio", "--startup-window=60s", ...COMMAND],
  });
  await wrapper.waitFor("not there yet; expecting it");
  await using agent = startAgent(programs);
  const { code, stderr } = await wrapper.ended;
  assertEquals(code, 6, stderr);
  assertEquals(await agent.endsByItself(), 0, await agent.output());
});

testWith(
  ISTIO,
  "a request that is not from the loopback gets the hint for 403",
  async (programs) => {
    const address = "10.91.92.93";
    const added = await new Deno.Command("ip", { args: ["address", "add", address, "dev", "lo"] })
      .output();
    assert(added.success, new TextDecoder().decode(added.stderr));
    await using _plane = startControlPlane(programs);
    await using agent = startAgent(programs);
    await untilAnswered(agent, READY, 200);
    const args = [`--hook=istio=http://${address}:15020`, ...SHORT, ...COMMAND];
    const { code, stderr } = await runWrapper("binary", { args });
    assertEquals(code, 6, stderr);
    assertMatch(
      stderr,
      /istio: NOT stopped.*403.*pilot-agent accepts this from the pod's own loopback/,
    );
    assertEquals(agent.endedAtMs, undefined);
  },
);

testWith(ISTIO, "Envoy's own port instead of pilot-agent's gets a hint", async (programs) => {
  await using _plane = startControlPlane(programs);
  await using agent = startAgent(programs);
  await untilAnswered(agent, READY, 200);
  const args = ["--hook=istio=http://localhost:15021", ...SHORT, ...COMMAND];
  const { code, stderr } = await runWrapper("binary", { args });
  assertEquals(code, 6, stderr);
  assertMatch(stderr, /istio: NOT stopped.*404.*This is Envoy, not pilot-agent.*port 15020/);
  assertEquals(agent.endedAtMs, undefined);
});

testWith(ISTIO, "pilot-agent's Envoy is not taken for a bare one", async (programs) => {
  await using _plane = startControlPlane(programs);
  await using agent = startAgent(programs);
  await untilAnswered(agent, READY, 200);
  const { stdout } = await runWrapper("binary", { args: ["--check", "--hook=auto"] });
  assertMatch(stdout, /istio: 200 OK/);
  assert(!stdout.includes("envoy"), stdout);
  assertEquals(agent.endedAtMs, undefined);
});

testWith(
  ISTIO,
  "--strict: a pilot-agent that was stopped leaves the code alone",
  async (programs, test) => {
    await using _plane = startControlPlane(programs);
    await using agent = startAgent(programs);
    const args = ["--hook=istio", "--strict", "--confirm=30s", ...WAIT];
    const { code, stderr } = await jobBeside(test, agent, "pilot-agent, --strict", args, ["true"]);
    assertEquals(code, 0, stderr);
  },
);

type Enter = (programs: Programs) => Promise<Program>;

const PHASES: readonly (readonly [phase: string, hasControlPlane: boolean, enter: Enter])[] = [
  ["no configuration", false, async (programs) => {
    const agent = startAgent(programs);
    await untilAnswered(agent, ADMIN, 200);
    return agent;
  }],
  ["ready", true, async (programs) => {
    const agent = startAgent(programs);
    await untilAnswered(agent, READY, 200);
    return agent;
  }],
  ["gRPC without a proxy", true, async (programs) => {
    const agent = startAgent(programs, { env: { DISABLE_ENVOY: "true" } });
    await untilAnswered(agent, AGENT, 200);
    return agent;
  }],
  // This control plane sends no names.
  ["without its DNS names, admin moved", true, async (programs) => {
    const env = { ISTIO_META_DNS_CAPTURE: "true" };
    const agent = startAgent(programs, { adminPort: 15099, env });
    await untilAnswered(agent, READY, 503);
    await untilAnswered(agent, ADMIN.replace("15000", "15099"), 200);
    return agent;
  }],
];

for (const [phase, hasControlPlane, enter] of PHASES) {
  testWith(ISTIO, `pilot-agent, ${phase}: the double answers as it does`, async (programs) => {
    await using _plane = hasControlPlane ? startControlPlane(programs) : undefined;
    await compareWithDouble(ISTIO_LIFE, phase, () => enter(programs));
  });
}
