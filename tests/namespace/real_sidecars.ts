/** Real sidecars on their own ports, with the compiled binary: each exits by itself after the job. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "../support/assert.ts";
import {
  ALLOYDB_AUTH_PROXY_PROGRAM,
  CLOUD_SQL_PROXY_PROGRAM,
  ENVOY,
  type Need,
  OPENBAO_PROGRAM,
  testWith,
  VAULT_PROGRAM,
} from "../support/needs.ts";
import {
  adminAt,
  agentConfig,
  envoyArgs,
  type Program,
  startProgram,
} from "../support/programs.ts";
import { startSidecar, untilStatus } from "../support/sidecar.ts";
import { ISTIO, startStandIns } from "../support/stand_ins.ts";
import { BINARY, runWrapper, startWrapper } from "../support/wrapper.ts";

const FOLDER = Deno.makeTempDirSync();
Deno.test.afterAll(() => Deno.removeSync(FOLDER, { recursive: true }));

const PROXY = ["--token=none", "--quitquitquit", "--health-check", "--address=127.0.0.1"];
const CLOUD_SQL = [...PROXY, "--port=5432", "project:region:instance"];
const ALLOYDB = [...PROXY, "--port=5433", "projects/p/locations/l/clusters/c/instances/i"];

/** Vault's agent, and OpenBao's, which is a fork of it. */
const AGENTS = [
  [OPENBAO_PROGRAM, "agent"],
  [VAULT_PROGRAM, "agent of Vault's own"],
] as const;

/** An agent takes its configuration from a file. */
function agentArgs(
  listener = "agent_api { enable_quit = true }",
  port = 8200,
  serverPort = 1,
): readonly string[] {
  const file = `${FOLDER}/agent.hcl`;
  const config = agentConfig(listener).replace(":8200", `:${port}`)
    .replace('127.0.0.1:1"', `127.0.0.1:${serverPort}"`);
  Deno.writeTextFileSync(file, config);
  return ["agent", "-config", file];
}

const KUMA_NODE = { metadata: { "dataplane.admin.port": "9901" } };

/** The log line of a hook that succeeded; on a busy machine some sidecars end before they answer. */
const told = (hook: string) => new RegExp(`${hook}: (told to quit|has already stopped) \\(`);

/** A sidecar: its program, its hook, what `auto` calls it, its arguments, and its name if that is not the hook's. */
const SIDECARS: readonly (readonly [
  need: Need<string>,
  hook: string,
  found: string,
  args: () => readonly string[],
  name?: string,
])[] = [
  [ENVOY, "envoy", "envoy", () => envoyArgs({ admin: adminAt(9901) })],
  [ENVOY, "kuma", "kuma", () => envoyArgs({ admin: adminAt(9901), node: KUMA_NODE })],
  [CLOUD_SQL_PROXY_PROGRAM, "cloud-sql-proxy", "cloud-sql-proxy", () => CLOUD_SQL],
  [ALLOYDB_AUTH_PROXY_PROGRAM, "alloydb-auth-proxy", "cloud-sql-proxy", () => ALLOYDB],
  [OPENBAO_PROGRAM, "vault-agent", "vault-agent", agentArgs],
  [VAULT_PROGRAM, "vault-agent", "vault-agent", agentArgs, "vault-agent of Vault's own"],
];

const wait = ["--wait=60s", "--startup-window=60s"];
/** Without a window, because the search for other sidecars lasts to its end. */
const short = ["--wait=60s", "--startup-window=0"];

for (const [need, hook, found, args, name = hook] of SIDECARS) {
  testWith(need, `a real ${name} exits after the job`, async (program) => {
    await using sidecar = startProgram(program, args());
    const { code, stderr } = await runWrapper("binary", {
      args: [`--hook=${hook}`, ...wait, "sh", "-c", "exit 6"],
    });
    assertEquals(code, 6, stderr);
    assertMatch(stderr, told(hook));
    assertEquals(await sidecar.endsByItself(), 0, await sidecar.output());
  });

  testWith(need, `a real ${name} is found by auto and exits after the job`, async (program) => {
    await using sidecar = startProgram(program, args());
    const { code, stderr } = await runWrapper("binary", {
      args: ["--hook=auto", ...short, "sh", "-c", "exit 6"],
    });
    assertEquals(code, 6, stderr);
    assertMatch(stderr, told(found));
    assertEquals(await sidecar.endsByItself(), 0, await sidecar.output());
  });

  testWith(need, `a real ${name} that starts after a short job is stopped`, async (program) => {
    const wrapper = startWrapper("binary", {
      args: [`--hook=${hook}`, "--startup-window=60s", "sh", "-c", "exit 6"],
    });
    await wrapper.waitFor("not there yet; expecting it");
    await using sidecar = startProgram(program, args());
    const { code, stderr } = await wrapper.ended;
    assertEquals(code, 6, stderr);
    assertEquals(await sidecar.endsByItself(), 0, await sidecar.output());
  });
}

/** Three of them in one pod; AlloyDB's proxy has the ports of Cloud SQL's. */
const TOGETHER: Need<readonly (readonly [program: string, args: () => readonly string[]])[]> = {
  what: [ENVOY, CLOUD_SQL_PROXY_PROGRAM, OPENBAO_PROGRAM].map(({ what }) => what).join("; "),
  find() {
    const programs = SIDECARS.filter(([need, hook]) =>
      need !== VAULT_PROGRAM && !["kuma", "alloydb-auth-proxy"].includes(hook)
    )
      .flatMap(([need, , , args]) => {
        const program = need.find();
        return program === undefined ? [] : [[program, args] as const];
      });
    return programs.length === 3 ? programs : undefined;
  },
};

testWith(
  TOGETHER,
  "auto stops a real Envoy, Cloud SQL proxy and agent at once, and nothing else",
  async (programs) => {
    const unrelated = [3500, 4191, 15021].map((port) => startSidecar([200], { port }));
    const sidecars: Program[] = programs.map(([program, args]) => startProgram(program, args()));
    try {
      // COMMAND runs until all three have been seen.
      const wrapper = startWrapper("binary", {
        args: ["--hook=auto", "--log-level=debug", "--startup-window=0", "cat"],
        stdin: "piped",
      });
      await Promise.all(
        ["envoy", "cloud-sql-proxy", "vault-agent"].map((name) => wrapper.waitFor(`${name}: seen`)),
      );
      await wrapper.child.stdin.close();
      const { code, stderr } = await wrapper.ended;
      assertEquals(code, 0, stderr);
      for (const sidecar of sidecars) assertEquals(await sidecar.endsByItself(), 0);
      assertEquals(stderr.match(/: (told to quit|has already stopped) \(/g)?.length, 3, stderr);
      for (const { posts, requests } of unrelated) {
        assertEquals(posts(), []);
        assert(requests.length > 0);
      }
    } finally {
      await Promise.all(unrelated.map((server) => server.close()));
      await Promise.all(sidecars.map((sidecar) => sidecar[Symbol.asyncDispose]()));
    }
  },
);

testWith(
  ENVOY,
  "Istio is found by a real Envoy's listener and admin interface",
  async (program) => {
    await using agent = startStandIns({
      ...ISTIO,
      ports: ISTIO.ports.filter(({ port }) => port === 15020),
    });
    await using _envoy = startProgram(program, istioEnvoyArgs());
    const { code, stderr } = await runWrapper("binary", {
      args: ["--hook=auto", ...short, "sh", "-c", "exit 6"],
    });
    assertEquals(code, 6, stderr);
    assertEquals(agent.requests.filter((request) => !request.startsWith("GET")), [ISTIO.stop]);
    assertMatch(stderr, told("istio"));
  },
);

/** Envoy with a bootstrap like Istio's: 15021 is forwarded to pilot-agent, the admin is on 15000. */
function istioEnvoyArgs(): readonly string[] {
  const at = (port: number) => ({ address: "127.0.0.1", port_value: port });
  const filter = {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type":
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      stat_prefix: "agent",
      route_config: {
        virtual_hosts: [{
          name: "backend",
          domains: ["*"],
          routes: [{ match: { prefix: "/healthz/ready" }, route: { cluster: "agent" } }],
        }],
      },
      http_filters: [{
        name: "envoy.filters.http.router",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        },
      }],
    },
  };
  const endpoint = { address: { socket_address: at(15020) } };
  const bootstrap = {
    admin: adminAt(15000),
    node: { id: "sidecar~10.0.0.7~job~ns", cluster: "job", metadata: { ISTIO_VERSION: "1.27.1" } },
    static_resources: {
      listeners: [{
        address: { socket_address: at(15021) },
        filter_chains: [{ filters: [filter] }],
      }],
      clusters: [{
        name: "agent",
        type: "STATIC",
        load_assignment: {
          cluster_name: "agent",
          endpoints: [{ lb_endpoints: [{ endpoint }] }],
        },
      }],
    },
  };
  return envoyArgs(bootstrap);
}

const SOCKET = `${FOLDER}/admin.sock`;
const SOCKET_URL = `http+unix://${encodeURIComponent(SOCKET)}`;

for (const target of [`${SOCKET_URL}/quitquitquit`, `envoy=${SOCKET_URL}`]) {
  const form = target.startsWith("envoy=") ? "envoy=BASE_URL" : "URL";
  testWith(
    ENVOY,
    `a real Envoy on a Unix socket exits after the job, with its ${form}`,
    async (program) => {
      await using envoy = startProgram(program, envoyArgs({ admin: adminAt(SOCKET) }));
      const { code, stderr } = await runWrapper("binary", {
        args: ["--hook", target, ...wait, "sh", "-c", "exit 6"],
      });
      assertEquals(code, 6, stderr);
      assertMatch(stderr, told(""));
      assertEquals(await envoy.endsByItself(), 0, await envoy.output());
    },
  );
}

testWith(ENVOY, "auto ignores a real Envoy that hides server_info", async (program) => {
  const admin = { ...adminAt(9901), allow_paths: [{ exact: "/ready" }] };
  await using _envoy = startProgram(program, envoyArgs({ admin }));
  const args = ["--hook=envoy", ...wait, "true"];
  const named = await runWrapper("binary", { args });
  assertStringIncludes(named.stderr, "envoy: NOT stopped, the pod may not end: answered 403");
  assertStringIncludes(named.stderr, "admin.allow_paths");
  const { stderr } = await runWrapper("binary", { args: ["--hook=auto", "true"] });
  assertStringIncludes(stderr, "auto: no sidecar found");
});

testWith(
  CLOUD_SQL_PROXY_PROGRAM,
  "a real proxy without --quitquitquit gets a hint",
  async (program) => {
    const args = CLOUD_SQL.filter((word) => word !== "--quitquitquit");
    for (const more of [[], ["--debug"]]) {
      await using _proxy = startProgram(program, [...more, ...args]);
      for (const hook of ["auto", "cloud-sql-proxy"]) {
        const { code, stderr } = await runWrapper("binary", {
          args: [`--hook=${hook}`, "--retries=1", ...short, "sh", "-c", "exit 6"],
        });
        assertEquals(code, 6);
        assertStringIncludes(stderr, "cloud-sql-proxy: NOT stopped, the pod may not end");
        assertStringIncludes(stderr, "--quitquitquit");
      }
    }
  },
);

for (
  const [need, name, args] of [
    [CLOUD_SQL_PROXY_PROGRAM, "Cloud SQL", CLOUD_SQL],
    [ALLOYDB_AUTH_PROXY_PROGRAM, "AlloyDB", ALLOYDB],
  ] as const
) {
  testWith(
    need,
    `a real ${name} proxy without --health-check is found by auto`,
    async (program) => {
      await using proxy = startProgram(program, args.filter((word) => word !== "--health-check"));
      const { code, stderr } = await runWrapper("binary", {
        args: ["--hook=auto", "--startup-window=60s", "--injected=yes", "sh", "-c", "exit 6"],
      });
      assertEquals(code, 6, stderr);
      assertMatch(stderr, told("cloud-sql-proxy"));
      assertEquals(await proxy.endsByItself(), 0, await proxy.output());
    },
  );
}

for (const [need, name] of AGENTS) {
  testWith(need, `a real ${name} that requires a header gets it`, async (program) => {
    const listener = "agent_api { enable_quit = true }\n  require_request_header = true";
    await using agent = startProgram(program, agentArgs(listener));
    const { stderr } = await runWrapper("binary", {
      args: ["--hook=vault-agent", ...wait, "true"],
    });
    assertMatch(stderr, told("vault-agent"));
    assertEquals(await agent.endsByItself(), 0, await agent.output());
  });

  testWith(need, `a real ${name} on another port is told, and seen to be gone`, async (program) => {
    await using agent = startProgram(program, agentArgs(undefined, 8100));
    const { code, stderr } = await runWrapper("binary", {
      args: [
        "--hook=vault-agent=http://localhost:8100",
        "--confirm=30s",
        ...wait,
        "sh",
        "-c",
        "exit 6",
      ],
    });
    assertEquals(code, 6, stderr);
    assertMatch(stderr, told("vault-agent"));
    assertMatch(stderr, /vault-agent: (gone after|has already stopped)/);
    assertEquals(await agent.endsByItself(), 0, await agent.output());
  });

  const CANNOT_QUIT = [
    ["without enable_quit", "", "enable_quit = true"],
    [
      "whose listener is for metrics",
      'role = "metrics_only"\n  agent_api { enable_quit = true }',
      "metrics_only",
    ],
  ] as const;
  for (const [what, listener, hint] of CANNOT_QUIT) {
    testWith(need, `a real ${name} ${what} gets a hint, and --check says so`, async (program) => {
      await using agent = startProgram(program, agentArgs(listener));
      for (const hook of ["auto", "vault-agent"]) {
        const args = [`--hook=${hook}`, ...short, "sh", "-c", "exit 6"];
        const { code, stderr } = await runWrapper("binary", { args });
        assertEquals(code, 6);
        assertMatch(stderr, /warn: .*will NOT be stopped.*does not let it quit/);
        assertMatch(stderr, new RegExp(`vault-agent: NOT stopped.*404.*${hint}`));
        const check = await runWrapper("binary", { args: ["--check", `--hook=${hook}`] });
        assertEquals(check.code, 1);
        assertMatch(check.stdout, /not ready +.*does not let it quit/);
      }
      assertEquals(agent.endedAtMs, undefined);
    });
  }

  testWith(
    need,
    `a real ${name} whose server is silent listens late, and is stopped`,
    async (program) => {
      const server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      await using wrapper = startWrapper("binary", {
        args: ["--hook=vault-agent", "--startup-window=60s", "sh", "-c", "exit 6"],
      });
      await wrapper.waitFor("not there yet; expecting it");
      await using agent = startProgram(program, agentArgs(undefined, 8200, server.addr.port));
      // The first that it does: it asks for its server's health, and waits for the answer.
      const question = await server.accept();
      await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port: 8200 }));
      server.close();
      question.close();
      const { code, stderr } = await wrapper.ended;
      assertEquals(code, 6, stderr);
      assertEquals(await agent.endsByItself(), 0, await agent.output());
    },
  );
}

/** The template of the README's recipe, for a file of variables. */
function recipeTemplate(): string {
  const page = Deno.readTextFileSync(new URL("../../README.md", import.meta.url));
  const [, block = ""] = /agent-inject-template-config: \|\n((?: {6}.*\n)+)/.exec(page) ?? [];
  assertStringIncludes(block, "export {{ $name }}=");
  return block.replaceAll(/^ {6}/gm, "");
}

/** Vault's or OpenBao's server in memory, with these values of `secret/my-job`. */
async function startServer(
  program: string,
  data: Readonly<Record<string, string>>,
): Promise<Program> {
  const options = ["-dev", "-dev-no-store-token", "-dev-root-token-id=root"];
  const server = startProgram(program, [
    "server",
    ...options,
    "-dev-listen-address=127.0.0.1:8300",
  ]);
  for (;;) {
    const response = await fetch("http://127.0.0.1:8300/v1/secret/data/my-job", {
      method: "POST",
      headers: { "x-vault-token": "root" },
      body: JSON.stringify({ data }),
    }).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return server;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

for (const [need, name] of AGENTS) {
  testWith(
    need,
    `a real ${name} writes the file of variables that COMMAND gets, from the README's template`,
    async (program) => {
      const data = { USER: "job", PASSWORD: "open $sesame #1\nand a second line" };
      await using _server = await startServer(program, data);
      const config = `${FOLDER}/config`;
      Deno.writeTextFileSync(`${FOLDER}/token`, "root");
      const agent = `${FOLDER}/agent-with-template.hcl`;
      Deno.writeTextFileSync(
        agent,
        `${agentConfig("agent_api { enable_quit = true }").replace("127.0.0.1:1", "127.0.0.1:8300")}
auto_auth {
  method "token_file" { config = { token_file_path = "${FOLDER}/token" } }
}
template {
  destination = "${config}"
  contents    = <<EOT
${recipeTemplate()}EOT
}
`,
      );
      await using wrapper = startWrapper("binary", {
        args: ["sh", "-c", 'printf "%s|%s" "$USER" "$PASSWORD"; exit 3'],
        env: {
          WRAPPER_HOOKS: "vault-agent",
          WRAPPER_WAIT_FOR: `file:${config}`,
          WRAPPER_ENV_FILE: config,
          WRAPPER_STARTUP_WINDOW: "60s",
        },
      });
      await wrapper.waitFor(`waiting up to 5m for file:${config}`);
      await using started = startProgram(program, ["agent", "-config", agent]);
      const { code, stdout, stderr } = await wrapper.ended;
      assertEquals([code, stdout], [3, `${data.USER}|${data.PASSWORD}`], stderr);
      assert(!stderr.includes("sesame"), stderr);
      assertEquals(await started.endsByItself(), 0, await started.output());
    },
  );
}

for (const [need, name] of AGENTS) {
  testWith(
    need,
    `a real ${name} as Proxy: a hint names its own path, which ends it`,
    async (program) => {
      await using _server = await startServer(program, { USER: "job" });
      const config = `${FOLDER}/proxy.hcl`;
      const listener = agentConfig("proxy_api { enable_quit = true }");
      Deno.writeTextFileSync(config, listener.replace('127.0.0.1:1"', '127.0.0.1:8300"'));
      await using proxy = startProgram(program, ["proxy", "-config", config]);
      await untilStatus("http://127.0.0.1:8200/proxy/v1/metrics", 200);
      const asAgent = await runWrapper("binary", {
        args: ["--hook=vault-agent", "--startup-window=0", "true"],
      });
      assertMatch(asAgent.stderr, /vault-agent: NOT stopped.*\(1 attempt .*proxy\/v1\/quit/);
      assertEquals(proxy.endedAtMs, undefined);
      const url = "http://localhost:8200/proxy/v1/quit";
      const { code, stderr } = await runWrapper("binary", {
        args: [`--hook=${url}`, "--startup-window=0", "sh", "-c", "exit 6"],
      });
      assertEquals(code, 6, stderr);
      assertEquals(await proxy.endsByItself(), 0, await proxy.output());
    },
  );
}

/** The configuration of an agent that starts a job under the wrapper, with this hook. */
function agentWithJob(hook: string): string {
  const command = [BINARY, `--hook=${hook}`, "sh", "-c", "exit $JOB_CODE"];
  const listener = agentConfig("agent_api { enable_quit = true }")
    // Together with `exec` it is an error.
    .replace("api_proxy {}", "");
  return `${listener.replace('127.0.0.1:1"', '127.0.0.1:8300"')}
auto_auth {
  method "token_file" { config = { token_file_path = "${FOLDER}/token" } }
}
env_template "JOB_CODE" {
  contents = "{{ with secret \\"secret/data/my-job\\" }}{{ .Data.data.CODE }}{{ end }}"
}
exec {
  command                   = ${JSON.stringify(command)}
  restart_on_secret_changes = "never"
}
`;
}

for (const [need, name] of AGENTS) {
  testWith(
    need,
    `a real ${name} that starts the job ends with its code, unless the job tells it to quit`,
    async (program) => {
      await using _server = await startServer(program, { CODE: "6" });
      Deno.writeTextFileSync(`${FOLDER}/token`, "root");
      const config = `${FOLDER}/exec.hcl`;
      for (const [hook, code] of [["none", 6], ["vault-agent", 0]] as const) {
        Deno.writeTextFileSync(config, agentWithJob(hook));
        await using agent = startProgram(program, ["agent", "-config", config]);
        assertEquals(await agent.endsByItself(), code, await agent.output());
        assertMatch(await agent.output(), /command ended with exit code 6/);
      }
    },
  );
}
