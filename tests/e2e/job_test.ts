/** The main job of the compiled binary. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { PROC, testWith } from "../support/needs.ts";
import { freePort, startRawSidecar, startSidecar } from "../support/sidecar.ts";
import { BINARY, runWrapper } from "../support/wrapper.ts";

const run = (args: readonly string[], env: Record<string, string> = {}) =>
  runWrapper("binary", { args, env });

const ENDS: readonly (readonly [title: string, args: readonly string[], code: number])[] = [
  ["COMMAND's own exit code is kept", ["sh", "-c", "exit 7"], 7],
  ["the exit code is 128 + N if signal N ended COMMAND", ["sh", "-c", "kill -9 $$"], 137],
  ["the same for a real-time signal", ["sh", "-c", "kill -35 $$"], 163],
  ["127 if COMMAND is not found", ["/nope"], 127],
  ["126 if COMMAND is a folder", ["/tmp"], 126],
  ["125 for a wrong option", ["--retries", "x", "true"], 125],
  ["125 without COMMAND", [], 125],
  ["125 for an unknown option", ["--hok", "envoy", "true"], 125],
];

for (const [title, args, code] of ENDS) {
  Deno.test(`${title}, and the sidecar gets exactly one POST`, async () => {
    await using sidecar = startSidecar();
    const ended = await run(["--hook", `${sidecar.origin}/quit`, ...args]);
    assertEquals(ended.code, code, ended.stderr);
    assertEquals(sidecar.posts().map(({ path }) => path), ["/quit"]);
    assertStringIncludes(ended.stderr, "told to quit (200 OK)");
    assertEquals(ended.stdout, "");
  });
}

Deno.test("a wrong hook does not prevent the others from running", async () => {
  await using sidecar = startSidecar();
  const { code, stderr } = await run([
    "--hook",
    "nonsense",
    "--hook",
    `${sidecar.origin}/quit`,
    "true",
  ]);
  assertEquals(code, 125);
  assertStringIncludes(stderr, '--hook "nonsense": expected');
  assertEquals(sidecar.posts().length, 1);
});

Deno.test("a sidecar that answers 503, 503, 200 gets three POSTs", async () => {
  await using sidecar = startSidecar([503, 503, 200]);
  const { code, stderr } = await run(["--hook", `${sidecar.origin}/quit`, "sh", "-c", "exit 5"]);
  assertEquals(code, 5);
  assertEquals(sidecar.posts().length, 3);
  assertStringIncludes(stderr, "told to quit (200 OK)");
});

Deno.test("a sidecar that never answers costs no more than --shutdown-timeout", async () => {
  using sidecar = startRawSidecar(() => new Promise(() => {}));
  const hook = `http://127.0.0.1:${sidecar.port}/quit`;
  const args = [
    "--hook",
    hook,
    "--request-timeout=300ms",
    "--shutdown-timeout=1s",
    "sh",
    "-c",
    "exit 5",
  ];
  const { code, stderr, durationMs } = await run(args);
  assertEquals(code, 5);
  assertStringIncludes(stderr, "NOT stopped, the pod may not end: no answer within 300ms");
  assert(durationMs < 10 * 1000, `took ${durationMs} ms`);
});

Deno.test("a sidecar that quits without an answer counts as stopped", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  const gone = (async () => {
    for (;;) {
      using connection = await listener.accept();
      const buffer = new Uint8Array(4096);
      const length = await connection.read(buffer) ?? 0;
      const request = new TextDecoder().decode(buffer.subarray(0, length));
      if (!request.startsWith("POST")) continue;
      listener.close();
      return request;
    }
  })();
  const { code, stderr } = await run(["--hook", `http://127.0.0.1:${port}/quit`, "true"]);
  assertEquals(code, 0);
  assertMatch(await gone, /^POST \/quit HTTP\/1.1\r\n/);
  assertStringIncludes(stderr, "has already stopped");
});

Deno.test("in a pod, a sidecar that starts after a short job is stopped", async () => {
  const port = freePort();
  const args = ["--hook", `http://127.0.0.1:${port}/quit`, "true"];
  const ending = run(args, { KUBERNETES_SERVICE_HOST: "10.0.0.1" });
  await new Promise((resolve) => setTimeout(resolve, 3000));
  await using sidecar = startSidecar([200], { port });
  const { code, stderr } = await ending;
  assertEquals(code, 0);
  assertEquals(sidecar.posts().length, 1);
  assertStringIncludes(stderr, "not there yet; expecting it for another");
});

Deno.test("outside Kubernetes, the wrapper does not wait for a sidecar that is not there", async () => {
  const port = freePort();
  const { code, stderr } = await run(["--hook", `http://127.0.0.1:${port}/quit`, "true"]);
  assertEquals(code, 0);
  assertStringIncludes(stderr, "no such sidecar (connection refused at");
});

Deno.test("the wrapper ignores HTTP_PROXY, and COMMAND gets it unchanged", async () => {
  await using sidecar = startSidecar();
  const proxies = {
    HTTP_PROXY: "http://127.0.0.1:9",
    http_proxy: "http://127.0.0.1:9",
    ALL_PROXY: "http://127.0.0.1:9",
    NO_PROXY: "",
  };
  for (const wait of [[], ["--wait=5s"]]) {
    const { code, stdout } = await run([...wait, `--hook=envoy=${sidecar.origin}`, "env"], proxies);
    assertEquals(code, 0);
    for (const [name, value] of Object.entries(proxies)) {
      assertStringIncludes(`\n${stdout}`, `\n${name}=${value}\n`);
    }
  }
  assertEquals(sidecar.posts().map(({ path }) => path), ["/quitquitquit", "/quitquitquit"]);
});

Deno.test("credentials and queries of URLs are never printed", async () => {
  await using sidecar = startSidecar();
  const url = `http://me:hunter2@127.0.0.1:${sidecar.port}/quit?token=sesame`;
  const args = ["--log-level=debug", "--hook", url, "true"];
  const { stderr } = await run(args);
  const wrong = await run(["--hook", "ftp://me:hunter2@host/?token=sesame", "--hook=none", "true"]);
  const config = await run(["--hook", url, "--print-config"]);
  for (const text of [stderr, wrong.stderr, config.stdout, config.stderr]) {
    assert(!text.includes("hunter2") && !text.includes("sesame"), text);
  }
  const [post] = sidecar.posts();
  assertEquals(post?.path, "/quit?token=sesame");
  assertEquals(post?.headers.get("authorization"), `Basic ${btoa("me:hunter2")}`);
});

testWith(PROC, "stdin, stdout and stderr are COMMAND's own", async () => {
  const script = "readlink /proc/self/fd/0 /proc/self/fd/1; echo err >&2";
  const child = new Deno.Command("sh", {
    args: ["-c", `exec "$0" --hook none sh -c '${script}' </dev/null >"$1"`, BINARY, "/dev/stdout"],
    stdout: "piped",
    stderr: "piped",
  });
  const { stdout, stderr } = await child.output();
  const [first, second] = new TextDecoder().decode(stdout).split("\n");
  assertEquals(first, "/dev/null");
  assertMatch(second ?? "", /^pipe:/);
  assertStringIncludes(new TextDecoder().decode(stderr), "err\n");
});

Deno.test("--version reports that a binary is for tests only", async () => {
  const { code, stdout } = await run(["--version"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^wrapper \d+\.\d+\.\d+ \(deno \d+\.\d+\.\d+, \S+, .+\)\n$/);
});

Deno.test("--help and --print-config go to stdout and start nothing", async () => {
  await using sidecar = startSidecar();
  const hook = `--hook=${sidecar.origin}/quit`;
  const help = await run([hook, "--help"]);
  assertEquals([help.code, help.stderr], [0, ""]);
  const config = await run([hook, "--retries=3", "--print-config", "true"], {
    WRAPPER_ON: "failure",
  });
  assertEquals([config.code, config.stderr], [0, ""]);
  const settings = JSON.parse(config.stdout);
  assertEquals(settings["retries"], { value: 3, from: "--retries" });
  assertEquals(settings["on"], { value: "failure", from: "WRAPPER_ON" });
  assertEquals(settings["request-timeout"], { value: "5s", from: "default" });
  assertEquals(sidecar.requests.length, 0);
});

Deno.test("--on decides when hooks run", async () => {
  const rows = [
    ["success", "exit 0", 1],
    ["success", "exit 3", 0],
    ["failure", "exit 0", 0],
    ["failure", "exit 3", 1],
    ["always", "exit 3", 1],
  ] as const;
  for (const [on, script, posts] of rows) {
    await using sidecar = startSidecar();
    const { stderr } = await run([
      `--hook=${sidecar.origin}/quit`,
      `--on=${on}`,
      "sh",
      "-c",
      script,
    ]);
    assertEquals(sidecar.posts().length, posts, `${on}: ${script}`);
    if (posts === 0) assertStringIncludes(stderr, `--on ${on}`);
  }
});

Deno.test("--strict turns a success into 125 if a hook failed, and does not change a failure", async () => {
  await using sidecar = startSidecar([404]);
  const strict = ["--strict", `--hook=${sidecar.origin}/quit`, "sh", "-c"];
  assertEquals((await run([...strict, "exit 0"])).code, 125);
  assertEquals((await run([...strict, "exit 3"])).code, 3);
  assertEquals((await run([`--hook=${sidecar.origin}/quit`, "true"])).code, 0);
});

Deno.test("JSON log lines have time, level, event, msg and their fields", async () => {
  await using sidecar = startSidecar();
  const args = ["--log-format=json", "--log-level=debug", `--hook=${sidecar.origin}/quit`, "true"];
  const { stderr } = await run(args);
  const lines = stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert(lines.length >= 2);
  for (const line of lines) {
    assertMatch(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert(["error", "warn", "info", "debug"].includes(line.level));
    assert(typeof line.event === "string" && typeof line.msg === "string");
  }
  const stopped = lines.find(({ event }) => event === "hook-stopped");
  assertEquals([stopped?.level, stopped?.answer], ["info", "200 OK"]);
});
