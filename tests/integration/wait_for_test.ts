/** `--wait-for` with the real command line, for each kind of target. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { makeAuthority, OPENSSL } from "../support/certificates.ts";
import { IPV6_LOOPBACK, NAMED_PROCESSES, type Need, NOTHING, testWith } from "../support/needs.ts";
import { freePort, startSidecar } from "../support/sidecar.ts";
import { runWrapper, startProgram, startWrapper, wrapperWords } from "../support/wrapper.ts";

const run = (...args: readonly string[]) => runWrapper("binary", { args });
const COMMAND = ["sh", "-c", "echo started; exit 3"];

/** A folder that is removed at the end of a test. */
function makeFolder(): { readonly path: string; [Symbol.dispose](): void } {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** A server that accepts connections and says nothing. */
function listen(options: { path: string } | { port: number; hostname?: string }): AsyncDisposable {
  const listener = "path" in options
    ? Deno.listen({ transport: "unix", path: options.path })
    : Deno.listen({ hostname: "127.0.0.1", ...options });
  const accepting = (async () => {
    for await (const connection of listener) connection.close();
  })();
  return {
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
    },
  };
}

/** An HTTP server that answers with these statuses, the last one again and again. */
function serve(
  statuses: readonly number[],
  options: { path: string } | { port?: number; hostname?: string },
): AsyncDisposable & { readonly paths: readonly string[]; readonly port: number } {
  const paths: string[] = [];
  const handle = (request: Request) => {
    paths.push(`${request.method} ${new URL(request.url).pathname}`);
    const status = statuses[Math.min(paths.length, statuses.length) - 1] ?? 200;
    return new Response(null, { status, headers: { location: "/elsewhere" } });
  };
  const onListen = () => {};
  if ("path" in options) {
    const server = Deno.serve({ path: options.path, onListen }, handle);
    return { paths, port: 0, [Symbol.asyncDispose]: () => server.shutdown() };
  }
  const where = { port: 0, hostname: "127.0.0.1", ...options, onListen };
  const server = Deno.serve(where, handle);
  return { paths, port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** Creates a file with a content, in one step. */
function write(path: string, text: string): AsyncDisposable {
  Deno.writeTextFileSync(path, text);
  return { [Symbol.asyncDispose]: () => Promise.resolve() };
}

/** Starts a copy of `sleep` with this path. */
function sleepAs(path: string): AsyncDisposable {
  Deno.copyFileSync("/bin/sleep", path);
  Deno.chmodSync(path, 0o755);
  const child = new Deno.Command(path, { args: ["1000"] }).spawn();
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

interface Kind {
  readonly target: string;
  /** Makes it ready. */
  readonly start: () => AsyncDisposable;
  /** What the log says while it is not there. */
  readonly missing: string;
}

/** One target of each kind, in a folder and on a port of its own. */
const KINDS: Readonly<Record<string, (folder: string, port: number) => Kind>> = {
  "http://": (_, port) => ({
    target: `http://localhost:${port}/ready?token=sesame`,
    start: () => serve([503, 301, 204], { port }),
    missing: `http://localhost:${port}/ready (connection refused)`,
  }),
  "http+unix://": (folder) => ({
    target: `http+unix://${encodeURIComponent(`${folder}/http.sock`)}/ready`,
    start: () => serve([200], { path: `${folder}/http.sock` }),
    missing: "(there is no such socket)",
  }),
  "tcp://": (_, port) => ({
    target: `tcp://localhost:${port}`,
    start: () => listen({ port }),
    missing: `tcp://localhost:${port} (connection refused)`,
  }),
  "unix:": (folder) => ({
    target: `unix:${folder}/raw.sock`,
    start: () => listen({ path: `${folder}/raw.sock` }),
    missing: `unix:${folder}/raw.sock (there is no such socket)`,
  }),
  "unix://": (folder) => ({
    target: `unix://${folder}/raw.sock`,
    start: () => listen({ path: `${folder}/raw.sock` }),
    missing: `unix:${folder}/raw.sock (there is no such socket)`,
  }),
  "file:": (folder) => ({
    target: `file:${folder}/secrets`,
    start: () => write(`${folder}/secrets`, "TOKEN=sesame\n"),
    missing: `file:${folder}/secrets (no such file)`,
  }),
  "file: that is empty": (folder) => {
    Deno.writeTextFileSync(`${folder}/secrets`, "");
    return {
      target: `file:${folder}/secrets`,
      start: () => write(`${folder}/secrets`, "TOKEN=sesame\n"),
      missing: `file:${folder}/secrets (empty)`,
    };
  },
  "process:": (folder) => {
    const name = `late-${crypto.randomUUID()}`;
    return {
      target: `process:${name}`,
      start: () => sleepAs(`${folder}/${name}`),
      missing: `process:${name} (no such process)`,
    };
  },
};

for (const [name, makeKind] of Object.entries(KINDS)) {
  const need = name === "process:" ? NAMED_PROCESSES : NOTHING;
  testWith(need, `--wait-for ${name}: early, late and never`, async (_, context) => {
    await context.step("never: the hooks run, and the exit code is 125", async () => {
      using folder = makeFolder();
      await using sidecar = startSidecar();
      const { target, missing } = makeKind(folder.path, freePort());
      const { code, stdout, stderr } = await run(
        `--hook=${sidecar.origin}/quit`,
        `--wait-for=${target}`,
        "--wait=300ms",
        ...COMMAND,
      );
      assertEquals([code, stdout], [125, ""], stderr);
      assertStringIncludes(stderr, "not ready after 300ms (--wait): ");
      assertStringIncludes(stderr, `${missing}; command not started (exit code 125)`);
      assertEquals(sidecar.posts().map(({ path }) => path), ["/quit"]);
      assert(!stderr.includes("sesame"), stderr);
    });
    await context.step("late: COMMAND starts when it is there", async () => {
      using folder = makeFolder();
      const { target, start } = makeKind(folder.path, freePort());
      await using wrapper = startWrapper("binary", {
        args: ["--hook=none", `--wait-for=${target}`, ...COMMAND],
      });
      await wrapper.waitFor("waiting up to 5m for ");
      assertEquals(wrapper.output.stdout, "");
      await using _ = start();
      const { code, stdout, stderr } = await wrapper.ended;
      assertEquals([code, stdout], [3, "started\n"], stderr);
      assertMatch(stderr, / ready after [\d.]+m?s\n/);
    });
    await context.step("early: COMMAND starts at once", async () => {
      using folder = makeFolder();
      const { target, start } = makeKind(folder.path, freePort());
      await using _ = start();
      const { code, stdout, stderr } = await runWrapper("binary", {
        args: COMMAND,
        env: { WRAPPER_HOOKS: "none", WRAPPER_WAIT_FOR: `${target}, ${target}` },
      });
      assertEquals([code, stdout], [3, "started\n"], stderr);
    });
  });
}

Deno.test("--wait-for a page: only 2xx is ready, and each attempt connects anew", async () => {
  const connections = new Set<string>();
  const statuses = [503, 404, 301, 302, 304, 401, 206];
  let asked = 0;
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (_, { remoteAddr }) => {
      connections.add(`${remoteAddr.port}`);
      const status = statuses[asked++] ?? 500;
      return new Response(null, { status, headers: { location: "/elsewhere" } });
    },
  );
  const target = `http://127.0.0.1:${server.addr.port}/`;
  const { code, stderr } = await run("--hook=none", `--wait-for=${target}`, ...COMMAND);
  assertEquals([code, asked, connections.size], [3, statuses.length, statuses.length], stderr);
});

testWith(OPENSSL, "--wait-for https://: a certificate that is trusted", async (openssl) => {
  using authority = makeAuthority(openssl);
  const { key, cert } = authority.issue("DNS:localhost,IP:127.0.0.1");
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", key, cert, onListen: () => {} },
    () => new Response("ready"),
  );
  const args = [
    ...["--hook=none", `--wait-for=https://localhost:${server.addr.port}/`, "--wait=1s"],
    ...COMMAND,
  ];
  const trusted = await runWrapper("binary", { args, env: { DENO_CERT: authority.path } });
  assertEquals(trusted.code, 3, trusted.stderr);
  const { code, stderr } = await runWrapper("binary", { args });
  assertEquals(code, 125);
  assertMatch(stderr, /localhost:\d+\/ \(connection broke: invalid peer certificate/);
});

testWith(IPV6_LOOPBACK, "--wait-for on IPv6, by its address and as localhost", async () => {
  await using page = serve([200], { hostname: "::1" });
  const port = freePort();
  await using _ = listen({ hostname: "::1", port });
  for (
    const target of [
      `http://[::1]:${page.port}/`,
      `http://localhost:${page.port}/`,
      `tcp://[::1]:${port}`,
      `tcp://localhost:${port}`,
    ]
  ) {
    const args = ["--hook=none", `--wait-for=${target}`, "--wait=10s", ...COMMAND];
    const { code, stderr } = await run(...args);
    assertEquals(code, 3, `${target}: ${stderr}`);
  }
});

/** The words that run a command with a hosts file of its own, whose path is the next word. */
const OWN_HOSTS: Need<readonly string[]> = {
  what: "mount namespaces (unshare of util-linux, and the right to use them)",
  find: () => {
    const script = 'mount --bind "$0" /etc/hosts && exec "$@"';
    const words = ["unshare", "--map-root-user", "--mount", "sh", "-c", script];
    try {
      const [file = "", ...args] = words;
      const { success } = new Deno.Command(file, { args: [...args, "/etc/hosts", "true"] })
        .outputSync();
      return success ? words : undefined;
    } catch {
      return undefined;
    }
  },
  onlyOnLinux: true,
};

testWith(OWN_HOSTS, "--wait-for a name that resolves only later", async (words) => {
  using folder = makeFolder();
  const hosts = `${folder.path}/hosts`;
  Deno.writeTextFileSync(hosts, "127.0.0.1 localhost\n");
  await using page = serve([200], {});
  const port = freePort();
  await using _ = listen({ port });
  const targets = [`tcp://db.test:${port}`, `http://api.test:${page.port}/ready`];
  const options = ["--hook=none", "--wait=30s", ...targets.map((one) => `--wait-for=${one}`)];

  const never = [...words, hosts, ...wrapperWords("binary"), ...options, "--wait=500ms", "true"];
  const { code, stderr } = await startProgram(never).ended;
  assertEquals(code, 125);
  assertStringIncludes(stderr, `db.test:${port} (cannot be reached: its name does not resolve)`);

  const late = [...words, hosts, ...wrapperWords("binary"), ...options, "true"];
  await using wrapper = startProgram(late);
  await wrapper.waitFor("waiting up to 30s");
  Deno.writeTextFileSync(hosts, "127.0.0.1 db.test api.test\n", { append: true });
  assertEquals((await wrapper.ended).code, 0, wrapper.output.stderr);
  assertEquals(page.paths, ["GET /ready"]);
});

Deno.test("SIGTERM while waiting: COMMAND is not started, the hooks run, exit 143", async () => {
  await using sidecar = startSidecar();
  await using wrapper = startWrapper("binary", {
    args: [
      ...[`--hook=${sidecar.origin}/quit`, `--wait-for=tcp://127.0.0.1:${freePort()}`],
      ...COMMAND,
    ],
  });
  await wrapper.waitFor("waiting up to 5m");
  wrapper.kill("SIGTERM");
  const { code, stdout, stderr } = await wrapper.ended;
  assertEquals([code, stdout], [143, ""], stderr);
  assertEquals(sidecar.posts().length, 1);
});

Deno.test("--wait-for a preset: its readiness alone, unless it is a hook too", async (context) => {
  for (const [hook, posts] of [["none", ""], ["itself", "/quitquitquit"]] as const) {
    await context.step(`--hook ${hook}`, async () => {
      let isReady = false;
      await using sidecar = startSidecar([200], { get: () => isReady ? 200 : 503 });
      const target = `envoy=${sidecar.origin}`;
      await using wrapper = startWrapper("binary", {
        args: [`--hook=${hook === "none" ? hook : target}`, `--wait-for=${target}`, ...COMMAND],
      });
      await wrapper.waitFor("waiting up to 5m for envoy");
      isReady = true;
      assertEquals((await wrapper.ended).code, 3, wrapper.output.stderr);
      assertEquals(sidecar.posts().map(({ path }) => path).join(), posts);
    });
  }
});

Deno.test("--wait-for replaces what scuttle's variables wait for; what they stop stays", async () => {
  await using envoy = startSidecar([200], { get: 503 });
  const { code, stderr } = await runWrapper("binary", {
    args: COMMAND,
    env: {
      ENVOY_ADMIN_API: envoy.origin,
      ISTIO_QUIT_API: envoy.origin,
      WRAPPER_WAIT_FOR: "file:/etc/passwd",
    },
  });
  assertEquals(code, 3, stderr);
  assertStringIncludes(stderr, "waiting up to 15m for file:/etc/passwd to be ready");
  assertEquals(envoy.posts().map(({ path }) => path), ["/quitquitquit"]);
});

Deno.test("--wait-for replaces what the hooks are waited for, and none is nothing", async () => {
  await using never = startSidecar([200], { get: 503 });
  for (const [target, line] of [["file:/etc/passwd", "file:/etc/passwd ready"], ["none", ""]]) {
    const { code, stderr } = await run(
      ...[`--hook=envoy=${never.origin}`, "--wait=1h", `--wait-for=${target}`, ...COMMAND],
    );
    assertEquals(code, 3, stderr);
    assertStringIncludes(stderr, line ?? "");
    assert(!stderr.includes("warn: "), stderr);
  }
  assertEquals(never.posts().length, 2);
});

Deno.test("a --wait 0 that was set turns --wait-for off, with a warning", async () => {
  const { code, stderr } = await runWrapper("binary", {
    args: ["--hook=none", "--wait=0", ...COMMAND],
    env: { WRAPPER_WAIT_FOR: `tcp://127.0.0.1:${freePort()}` },
  });
  assertEquals(code, 3);
  assertStringIncludes(stderr, "--wait 0 turns WRAPPER_WAIT_FOR off: nothing is waited for");
});

Deno.test("--wait with nothing to wait for is a warning before COMMAND is started", async () => {
  using folder = makeFolder();
  const hooks = [
    [["--hook=none"], "none"],
    [[`--hook=file:${folder.path}/done`], "done"],
  ] as const;
  for (const [args, name] of hooks) {
    const { code, stderr } = await run(...args, "--wait=10m", ...COMMAND);
    assertEquals(code, 3);
    assertMatch(
      stderr,
      new RegExp(
        `^wrapper: warn: --wait waits for nothing \\(hooks: ${name}\\): name what COMMAND needs with --wait-for\n`,
      ),
    );
  }
});

Deno.test("a proxy's readiness is not at the address of its own: a settings error names --wait-for", async () => {
  for (const name of ["cloud-sql-proxy", "alloydb-auth-proxy"]) {
    await using sidecar = startSidecar();
    const target = `${name}=${sidecar.origin}`;
    const wrong = [[`--hook=${target}`, "--wait=1h"], ["--hook=none", `--wait-for=${target}`]];
    for (const args of wrong) {
      const { code, stdout, stderr } = await run(...args, ...COMMAND);
      assertEquals([code, stdout], [125, ""]);
      assertStringIncludes(
        stderr,
        `${target} cannot be waited for: its readiness is not at that address; ` +
          "expected --wait-for http://localhost:9090/readiness",
      );
    }
    // It is told to quit all the same, and can be waited for where its readiness is.
    assertEquals(sidecar.posts().length, 1);
    const ready = `--wait-for=${sidecar.origin}/readiness`;
    assertEquals((await run(`--hook=${target}`, ready, ...COMMAND)).code, 3);
    assertEquals(sidecar.posts().length, 2);
  }
});

const WRONG = [
  ["tcp://db", "expected tcp://HOST:PORT"],
  ["tcp://db:70000", "expected tcp://HOST:PORT"],
  ["tcp://user@db:5432", "expected tcp://HOST:PORT"],
  ["http://", "expected http://HOST[:PORT]/PATH"],
  ["unix:", "expected the path of a socket"],
  [`unix:/${"x".repeat(107)}`, "expected a path of at most 107 bytes"],
  ["file:", "expected the path of a file"],
  ["process:", "expected process:NAME, a name without blanks, / or :"],
  ["process:a:TERM", "expected process:NAME"],
  ["signal:x", "tcp://HOST:PORT, unix:PATH, file:PATH, process:NAME, auto or none; a process is"],
  ["POST http://localhost/x", "it is always a GET: leave out the method"],
  ["db:5432", "an address needs tcp:// or http:// before it"],
  ["/vault/secrets/config", "a path needs file: or unix: before it"],
  ["postgres://db:5432/x", "for a server of another protocol, name its port by tcp://"],
  ["itsio", "did you mean istio?"],
] as const;

Deno.test("a wrong --wait-for: COMMAND is not started, and the hooks run", async () => {
  await using sidecar = startSidecar();
  for (const [target, expected] of WRONG) {
    const args = [`--hook=${sidecar.origin}/quit`, `--wait-for=${target}`, ...COMMAND];
    const { code, stdout, stderr } = await run(...args);
    assertEquals([code, stdout], [125, ""]);
    assertStringIncludes(stderr, "error: --wait-for ");
    assertStringIncludes(stderr, expected);
  }
  assertEquals(sidecar.posts().length, WRONG.length);
});

Deno.test("--injected false skips names and auto; all else is waited for", async () => {
  const port = freePort();
  const args = ["--hook=none", "--wait-for=istio", "--wait-for=auto", "--wait=1h", "--injected="];
  assertEquals((await run(...args, ...COMMAND)).code, 3);
  await using wrapper = startWrapper("binary", {
    args: [...args, `--wait-for=tcp://127.0.0.1:${port}`, ...COMMAND],
  });
  await wrapper.waitFor(`waiting up to 1h for tcp://127.0.0.1:${port} to be ready`);
  await using _ = listen({ port });
  assertEquals((await wrapper.ended).code, 3, wrapper.output.stderr);
});

Deno.test("--check says which rows are waited for only, and --print-config has the targets", async () => {
  await using sidecar = startSidecar();
  const target = `envoy=${sidecar.origin}`;
  const options = [
    `--hook=${target}`,
    ...[`--wait-for=${target}`, "--wait-for=file:/nowhere/x", `--wait-for=${sidecar.origin}/?t=x`],
  ];
  const { code, stdout, stderr } = await run("--check", ...options);
  assertEquals([code, stderr], [1, ""]);
  const [, ...rows] = stdout.trimEnd().split("\n");
  assertEquals(rows.length, 3, stdout);
  assertMatch(rows[0] ?? "", /^envoy +http:\S+\/ready +ready +200 OK /);
  assertMatch(rows[1] ?? "", /^file:\/nowhere\/x \(--wait-for\) +\S+ +absent +no such file /);
  assertMatch(rows[2] ?? "", /^http:\S+\/ \(--wait-for\) +http:\S+\/ +ready +200 OK /);
  const json = await run("--check", "--log-format=json", ...options);
  const objects = json.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(objects.map(({ isOnlyAwaited }) => isOnlyAwaited), [undefined, true, true]);

  const config = JSON.parse((await run("--print-config", ...options)).stdout);
  assertEquals(config.wait, { value: "5m", from: "default" });
  assertEquals(config["wait-for"], {
    value: [target, "file:/nowhere/x", `${sidecar.origin}/`],
    from: "--wait-for",
  });
  assertEquals(sidecar.posts(), []);
});
