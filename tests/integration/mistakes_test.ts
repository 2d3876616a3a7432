/** What people really type: each mistake names the way out, and the sidecar is stopped all the same. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { freePort, startSidecar } from "../support/sidecar.ts";
import { runWrapper } from "../support/wrapper.ts";

const run = (args: readonly string[], env: Record<string, string> = {}) =>
  runWrapper("binary", { args, env });

/** The TARGET that is typed, and what the line says about it. */
const TARGETS: readonly (readonly [target: string, line: string])[] = [
  ["linkrd", "did you mean linkerd?"],
  ["Istio", "did you mean istio?"],
  ["istio-proxy", "did you mean istio?"],
  ["cloud-sql", "did you mean cloud-sql-proxy?"],
  ["cloudsql", "did you mean cloud-sql-proxy?"],
  ["vault", "did you mean vault-agent?"],
  ["consul", "did you mean consul-dataplane?"],
  ["envoy-proxy", "did you mean envoy?"],
  [
    "istio,envoy",
    "--hook takes one TARGET: repeat it, --hook A --hook B, or set WRAPPER_HOOKS=A,B",
  ],
  ["localhost:15020/quit", "did you mean http://localhost:15020/quit?"],
  ['"istio"', "remove the quotes"],
  ["http://a/quit,http://b/quit", "expected one URL: repeat --hook for another one"],
  ["signal:proxy:15", "did you mean SIGTERM?"],
  ["signal:proxy:sigterm", "did you mean SIGTERM?"],
  ["signal:proxy:SIGTERN", "did you mean SIGTERM?"],
  ["signal:proxy:TERMM", "did you mean SIGTERM?"],
  ["http://a/quit istio", "expected one URL: repeat --hook for another one"],
];

for (const [target, line] of TARGETS) {
  Deno.test(`--hook '${target}': ${line}`, async () => {
    const { code, stdout, stderr } = await run(["--hook", target, "echo", "started"]);
    assertEquals([code, stdout], [125, ""]);
    const [first = ""] = stderr.split("\n");
    assert(first.startsWith(`wrapper: error: --hook ${JSON.stringify(target)}: `), stderr);
    assertStringIncludes(first, line);
    // In its place: nothing was found, and nothing was waited for.
    assertStringIncludes(stderr, "wrapper: auto: no sidecar found");
  });
}

Deno.test("WRAPPER_HOOKS with quotes says so, and shows no part of a secret", async () => {
  const quoted = await run(["true"], { WRAPPER_HOOKS: '"istio"' });
  assertEquals(quoted.code, 125);
  assertMatch(quoted.stderr, /error: WRAPPER_HOOKS "\\"istio\\"": .*; remove the quotes\n/);
  const secret = await run(["true"], {
    WRAPPER_HOOKS: "http://me:a,sesame@127.0.0.1:1/quit,linkrd",
  });
  assertEquals(secret.code, 125);
  assertMatch(secret.stderr, /WRAPPER_HOOKS, TARGET 3 of 3: .*; did you mean linkerd\?/);
  assert(!secret.stderr.includes("sesame"), secret.stderr);
});

Deno.test("a boolean as other programs take it", async () => {
  for (const [text, meant] of [["True", "true"], ["yes", "true"], ["no", "false"]] as const) {
    const { code, stderr } = await run(["--hook=none", "echo"], { WRAPPER_STRICT: text });
    assertEquals(code, 125);
    const line = `WRAPPER_STRICT "${text}": expected true, false, 1 or 0; did you mean ${meant}?`;
    assertStringIncludes(stderr, line);
  }
});

Deno.test("an unknown variable: an error if it is a mistyped one, else a warning", async () => {
  const mistyped = await run(["echo", "started"], { WRAPPER_HOOK: "linkerd" });
  assertEquals([mistyped.code, mistyped.stdout], [125, ""]);
  assertStringIncludes(
    mistyped.stderr,
    "wrapper: error: unknown variable WRAPPER_HOOK: did you mean WRAPPER_HOOKS?\n",
  );
  assertStringIncludes(mistyped.stderr, "wrapper: auto: no sidecar found");
  const other = await run(["--hook=none", "echo", "started"], { WRAPPER_OS: "linux" });
  assertEquals([other.code, other.stdout], [0, "started\n"]);
  assertStringIncludes(
    other.stderr,
    "wrapper: warn: WRAPPER_OS is ignored: no option has this variable; the nearest is WRAPPER_ON\n",
  );
  const start = await run(["--hook=none", "true"], { WRAPPER_LOG: "debug" });
  assertStringIncludes(
    start.stderr,
    "WRAPPER_LOG is ignored: no option has this variable; the nearest is WRAPPER_LOG_LEVEL",
  );
  // It is for --wrap.
  const image = await run(["--hook=none", "true"], {
    WRAPPER_IMAGE: "registry.example.com/wrapper",
  });
  assert(!image.stderr.includes("WRAPPER_"), image.stderr);
  const links = await run(["--hook=none", "true"], {
    WRAPPER_WAIT_PORT: "tcp://10.0.0.7:80",
    WRAPPER_WAIT_PORT_80_TCP_ADDR: "10.0.0.7",
    WRAPPER_SERVICE_HOST: "10.0.0.7",
  });
  assertEquals(links.code, 0);
  assert(!links.stderr.includes("WRAPPER_"), links.stderr);
});

Deno.test("an environment that is not UTF-8 is no obstacle", async () => {
  const { BINARY } = await import("../support/wrapper.ts");
  const script = `export BAD="$(printf '\\377\\376')" WRAPPER_BAD="$(printf 'x\\377')"
    exec "$0" --hook=none sh -c 'printf %s "$BAD" | od -An -tx1'`;
  const { code, stdout, stderr } = await new Deno.Command("sh", { args: ["-c", script, BINARY] })
    .output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assertEquals([code, text(stdout).trim()], [0, "ff fe"], text(stderr));
});

Deno.test("TARGETs that do not fit together are said, and the job runs", async () => {
  await using sidecar = startSidecar();
  const url = `${sidecar.origin}/quitquitquit`;
  const none = await run(["true"], { WRAPPER_HOOKS: `none,${url}` });
  assertEquals([none.code, sidecar.posts().length], [0, 1], none.stderr);
  assertStringIncludes(
    none.stderr,
    "warn: WRAPPER_HOOKS: none has no effect beside another TARGET, which is told to quit all the same",
  );
  const twice = await run([`--hook=${url}`, `--hook=envoy=${sidecar.origin}`, "true"]);
  assertEquals(twice.code, 0);
  const { host } = new URL(url);
  assertStringIncludes(
    twice.stderr,
    `warn: --hook: ${host} and envoy have the same address, ${url}: name one of them`,
  );
});

Deno.test("the same TARGET twice is said once, and told to quit once", async () => {
  await using sidecar = startSidecar();
  const url = `${sidecar.origin}/quitquitquit`;
  const target = `envoy=${sidecar.origin}`;
  const rows: readonly (readonly [args: string[], env: Record<string, string>, name: string])[] = [
    [["--hook", target, "--hook", target], {}, "--hook: envoy"],
    [["--hook", target, "--hook", target, "--hook", target], {}, "--hook: envoy"],
    [[], { WRAPPER_HOOKS: `${target}, ${target}` }, "WRAPPER_HOOKS: envoy"],
    [["--hook", url, "--hook", url], {}, `--hook: ${new URL(url).host}`],
  ];
  for (const [index, [args, env, name]] of rows.entries()) {
    const { code, stderr } = await run([...args, "true"], env);
    assertEquals([code, sidecar.posts().length], [0, index + 1], stderr);
    const warnings = stderr.split("\n").filter((line) => line.includes("warn: "));
    assertEquals(warnings, [`wrapper: warn: ${name} is there twice, for ${url}: name it once`]);
  }
  const args = ["--hook=istio", "--hook=istio=http://localhost:15020", "--print-config"];
  assertEquals(
    (await run(args)).stderr,
    "wrapper: warn: --hook: istio is there twice, for http://localhost:15020/quitquitquit: name it once\n",
  );
});

Deno.test("a URL without a path: the hint says so, and which preset has its port", async () => {
  await using sidecar = startSidecar([404]);
  const { stderr } = await run([`--hook=${sidecar.origin}`, "true"]);
  assertMatch(stderr, /NOT stopped.* 404 Not Found .*\. The URL has no path\n/);
});

Deno.test("a named sidecar that never came is a warning, the default one is not", async () => {
  const rows: readonly (readonly [args: string[], env: Record<string, string>, line: RegExp])[] = [
    [["--hook=istio=http://127.0.0.1:PORT"], {}, /warn: istio: no such sidecar \(.*; if the pod /],
    [[], { WRAPPER_HOOKS: "istio=http://127.0.0.1:PORT" }, /warn: istio: no such sidecar/],
    [["--hook=istio=http://127.0.0.1:PORT", "--injected="], {}, /wrapper: istio: no such sidecar/],
    [[], {}, /wrapper: istio: no such sidecar \(connection refused at/],
    [["--injected=yes", "--startup-window=0"], {}, /warn: istio: no such sidecar/],
    [
      [],
      { ENVOY_ADMIN_API: "http://127.0.0.1:PORT", START_WITHOUT_ENVOY: "true" },
      /warn: istio: no such sidecar \(.*; if the pod has one, it will not end\. wrapper --check /,
    ],
    [
      ["--hook=auto", "--injected=yes", "--startup-window=0"],
      {},
      /warn: auto: no such sidecar \(none found/,
    ],
  ];
  const port = `${freePort()}`;
  for (const [args, env, line] of rows) {
    const withPort = Object.entries(env).map((
      [name, value],
    ) => [name, value.replace("PORT", port)]);
    const { code, stderr } = await run(
      [...args.map((word) => word.replace("PORT", port)), "true"],
      Object.fromEntries(withPort),
    );
    assertEquals(code, 0);
    assertMatch(stderr, line);
  }
});

Deno.test("a boolean's value after a blank is COMMAND, and a warning says so", async () => {
  const rows: readonly (readonly [args: readonly string[], code: number, warning?: string])[] = [
    [["--strict", "false", "true"], 1, 'so "false" is COMMAND; if it was meant'],
    [["--strict", "true", "my-job"], 0, "write --strict=true"],
    [["--process-group", "no", "my-job"], 127, "write --process-group=false"],
    // These are legal.
    [["--strict", "false"], 1],
    [["--strict", "--", "false", "true"], 1],
    [["--strict=false", "true", "x"], 0],
    [["--strict", "--on", "always", "false", "x"], 1],
  ];
  for (const [args, code, warning] of rows) {
    const ended = await runWrapper("binary", { args: ["--hook=none", ...args] });
    assertEquals(ended.code, code, ended.stderr);
    if (warning === undefined) assert(!ended.stderr.includes("="), ended.stderr);
    else assertStringIncludes(ended.stderr, warning);
  }
});

Deno.test("after a settings error, no line and no summary names a word that was meant as a value", async () => {
  const log = await Deno.makeTempFile();
  for (const args of [["--tokn", "sesame", "my-job"], ["--retries=x", "--tokn", "sesame"]]) {
    const { code, stderr } = await runWrapper("binary", {
      args: ["--hook=none", `--termination-log=${log}`, ...args],
    });
    assertEquals(code, 125);
    assertStringIncludes(stderr, 'unknown option "--tokn"');
    const summary = await Deno.readTextFile(log);
    assert(!(stderr + summary).includes("sesame"), stderr + summary);
    assert(!stderr.includes("cannot start"), stderr);
  }
  const { stderr } = await runWrapper("binary", { args: ["--hook=none"] });
  assertEquals(
    stderr,
    "wrapper: error: COMMAND is missing: write it after the options, as in " +
      "wrapper --hook istio my-job --flag; wrapper --help has the rest\n",
  );
  await Deno.remove(log);
});

Deno.test("a mistyped or incomplete action tells no sidecar to quit: somebody looks at a pod that runs", async () => {
  await using sidecar = startSidecar();
  const hook = `--hook=${sidecar.origin}/quit`;
  const rows: readonly (readonly [word: string, line: string])[] = [
    ["--chek", 'unknown option "--chek": did you mean --check?'],
    ["--print-confg", 'unknown option "--print-confg": did you mean --print-config?'],
    ["-v", 'unknown option "-v": did you mean -V?'],
    ["--vesion", 'unknown option "--vesion": did you mean --version?'],
    ["-H", 'unknown option "-H": did you mean -h?'],
    ["--install", "--install: its value is missing: expected a PATH"],
  ];
  for (const [word, line] of rows) {
    const { code, stdout, stderr } = await run([hook, word]);
    assertEquals([code, stdout, stderr], [125, "", `wrapper: error: ${line}\n`]);
    assertEquals(sidecar.posts(), [], word);
  }
  // Where a COMMAND may follow, it is a job, and a job must not leave its pod hanging.
  const job = await run([hook, "--chek", "my-job"]);
  assertEquals(job.code, 125);
  assertEquals(sidecar.posts().length, 1);
});

Deno.test("several words in one are told from an option or a value, and nothing after a blank is shown", async () => {
  const oneWord = "all of it is one word, its blanks included; write";
  const rows: readonly (readonly [words: string[], line: string])[] = [
    [
      ["--hook istio --token sesame", "true"],
      `unknown option "--hook …": ${oneWord} --hook=VALUE or --hook VALUE`,
    ],
    [
      ["--hok\tsesame", "true"],
      `unknown option "--hok …": ${oneWord} --hook=VALUE or --hook VALUE`,
    ],
    [["--strict sesame", "true"], `unknown option "--strict …": ${oneWord} --strict, each`],
    [["--check sesame", "true"], `unknown option "--check …": ${oneWord} --check, each`],
    [["--token sesame", "true"], `unknown option "--token …": ${oneWord} --NAME=VALUE`],
    [["--retries", "my-job sesame"], '--retries "my-job …": expected a whole number'],
    [["--wait", "my-job --token sesame"], '--wait "my-job …": expected a duration'],
    [["--hook", "my-job --token sesame"], '--hook "my-job …": expected istio, '],
    [["--retries", "my-job\n--token=sesame"], '--retries "my-job …": expected a whole number'],
  ];
  const log = await Deno.makeTempFile();
  for (const [words, line] of rows) {
    for (const format of ["text", "json"]) {
      const args = ["--hook=none", `--log-format=${format}`, `--termination-log=${log}`, ...words];
      const { code, stdout, stderr } = await run(args);
      assertEquals([code, stdout], [125, ""]);
      const lines = stderr.trimEnd().split("\n");
      const text = format === "json" ? lines.map((one) => JSON.parse(one).msg).join("\n") : stderr;
      assertStringIncludes(text, line);
      const summary = await Deno.readTextFile(log);
      assert(!(stderr + summary).includes("sesame"), stderr + summary);
    }
  }
  await Deno.remove(log);
  // A hook may be lost in it.
  const { stderr } = await run(["--hook istio", "true"]);
  assertStringIncludes(stderr, "wrapper: auto: no sidecar found");
});

Deno.test("a reference that Kubernetes has not replaced in WRAPPER_INJECTED is a warning", async () => {
  const { code, stderr } = await run(["--hook=none", "true"], { WRAPPER_INJECTED: "$(ISTIO)" });
  assertEquals(code, 0);
  assertStringIncludes(
    stderr,
    "wrapper: warn: WRAPPER_INJECTED counts as set, and a sidecar is expected: ",
  );
});

Deno.test("an option in the place of another one's value is an option", async () => {
  await using sidecar = startSidecar();
  const hook = `envoy=${sidecar.origin}`;
  const { code, stderr } = await run(["--env-file", "--hook", hook, "true"]);
  assertEquals([code, sidecar.posts().length], [125, 1], stderr);
  assertStringIncludes(
    stderr,
    "wrapper: error: --env-file: its value is missing: expected a path",
  );
  const lost = await run(["--hook", "--wait=1s", "true"]);
  assertEquals(lost.code, 125);
  assertStringIncludes(
    lost.stderr,
    "wrapper: error: --hook: its value is missing: expected a TARGET",
  );
  assertStringIncludes(lost.stderr, "wrapper: auto: no sidecar found");
  // It can be a value all the same.
  const path = await Deno.makeTempDir();
  const given = await runWrapper("binary", {
    args: ["--hook=none", "--termination-log=--hook", "true"],
    cwd: path,
  });
  assertEquals(given.code, 0);
  assertStringIncludes(await Deno.readTextFile(`${path}/--hook`), '"exitCode":0');
  await Deno.remove(path, { recursive: true });
});

Deno.test("an empty COMMAND is shown as such", async () => {
  const { code, stderr } = await run(["--hook=none", ""]);
  assertEquals(code, 127);
  assertStringIncludes(stderr, 'wrapper: error: cannot start "": not found: its name is empty');
});

Deno.test("a Unix socket that is not there is told from one where nobody listens", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/a.sock`, "");
  const url = (name: string) => `http+unix://${encodeURIComponent(`${folder}/${name}`)}/quit`;
  for (
    const [name, answer] of [["none.sock", "there is no such socket"], [
      "a.sock",
      "connection refused",
    ]]
  ) {
    for (const target of [`unix:${folder}/${name}`, url(name ?? "")]) {
      const args = ["--hook=none", `--wait-for=${target}`, "--wait=100ms", "true"];
      const { code, stderr } = await run(args);
      assertEquals(code, 125);
      assertStringIncludes(stderr, `(${answer})`);
    }
    const { stderr } = await run([`--hook=${url(name ?? "")}`, "--startup-window=0", "true"]);
    assertStringIncludes(stderr, `no such sidecar (${answer} at `);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("--process-group with --reap=false says nothing of orphans", async () => {
  const { stderr } = await run(["--hook=none", "--process-group", "--reap=false", "true"]);
  assertMatch(stderr, /^wrapper: command ended with exit code 0 after \S+\n$/);
});
