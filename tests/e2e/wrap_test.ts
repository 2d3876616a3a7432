/** `--wrap` on the compiled binary: what it prints, how it exits, and that it tells nobody anything. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { withFolder } from "../support/folder.ts";
import { FULL_STDOUT, testWith } from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";
import { BINARY, runWithInput, runWrapper, startProgram, wrapStdin } from "../support/wrapper.ts";

const JOB = `apiVersion: batch/v1
kind: Job
metadata:
  name: nightly
spec:
  template:
    metadata:
      labels:
        sidecar.istio.io/inject: "true"
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: registry.example.com/my-job:1
          command: ["/my-job"]
`;

const wrap = (args: readonly string[], cwd: string, env: Record<string, string> = {}) =>
  runWrapper("binary", { args, cwd, env });

Deno.test("--wrap prints the manifest with the wrapper, one line for each change, and the same when run again", () =>
  withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/job.yaml`, JOB);
    const first = await wrap(["--wrap", "job.yaml"], folder);
    assertEquals(first.code, 0, first.stderr);
    assertStringIncludes(first.stdout, 'command: ["/shared/wrapper", "/my-job"]\n');
    assertMatch(first.stdout, /image: ghcr\.io\/k8s-job\/wrapper:\d+\.\d+\.\d+-portable\n/);
    const lines = first.stderr.trimEnd().split("\n");
    assertEquals(lines.length, 4, first.stderr);
    for (const line of lines) assertMatch(line, /^wrapper: job\.yaml:1: Job nightly: /);
    const again = await wrapStdin(first.stdout);
    assertEquals([again.code, again.stdout], [0, first.stdout]);
    assertEquals(again.stderr.split("\n").length, 2, again.stderr);
  }));

Deno.test("--wrap takes files and folders, in order, as one stream", () =>
  withFolder(async (folder) => {
    Deno.mkdirSync(`${folder}/all`);
    const named = (name: string) => JOB.replace("nightly", name);
    Deno.writeTextFileSync(`${folder}/all/b.yml`, named("b"));
    Deno.writeTextFileSync(`${folder}/all/a.yaml`, named("a").trimEnd());
    Deno.writeTextFileSync(`${folder}/all/notes.txt`, "a: [");
    Deno.writeTextFileSync(`${folder}/c.yaml`, `---\n${named("c")}`);
    const { code, stdout } = await wrap(["--wrap", "all", "--wrap=c.yaml"], folder);
    assertEquals(code, 0);
    const names = stdout.split("---\n").map((one) => /^ {2}name: (.*)$/m.exec(one)?.[1]);
    assertEquals(names, ["a", "b", "c"]);
  }));

Deno.test("--image, or WRAPPER_IMAGE, which is the only variable that counts", () =>
  withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/job.yaml`, JOB);
    const env = { WRAPPER_IMAGE: "a/b:1", WRAPPER_HOOKS: "linkerd", WRAPPER_WAIT: "nonsense" };
    const byVariable = await wrap(["--wrap", "job.yaml"], folder, env);
    assertEquals(byVariable.code, 0, byVariable.stderr);
    assertStringIncludes(byVariable.stdout, "image: a/b:1\n");
    assertStringIncludes(byVariable.stdout, "value: istio\n");
    assert(!byVariable.stdout.includes("WRAPPER_WAIT"));
    const byOption = await wrap(
      ["--image", "c/d:2", "--wrap", "job.yaml", "--wait", "60s"],
      folder,
      env,
    );
    assertStringIncludes(byOption.stdout, "image: c/d:2\n");
    assertStringIncludes(byOption.stdout, '- name: WRAPPER_WAIT\n              value: "60s"\n');
  }));

Deno.test("exit code 1: what is left is printed unchanged, and named", async () => {
  const text = JOB.replace('          command: ["/my-job"]\n', "");
  const { code, stdout, stderr } = await wrapStdin(`${text}---\n${JOB}`);
  assertEquals(code, 1);
  assert(stdout.startsWith(`${text}---\n`));
  assertStringIncludes(stdout, "/shared/wrapper");
  assertMatch(
    stderr,
    /^wrapper: warn: stdin:13: Job nightly: NOT wrapped: container main has no command/,
  );
});

Deno.test("exit code 125: nothing on stdout, and one line with the file, its line and what was expected", () =>
  withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/tab.yaml`, `${JOB}---\na:\n\tb: c\n`);
    Deno.writeTextFileSync(`${folder}/job.yaml`, JOB);
    Deno.writeTextFileSync(
      `${folder}/template.yaml`,
      JOB.replace("nightly", "{{ .Release.Name }}"),
    );
    Deno.writeFileSync(`${folder}/latin1.yaml`, new Uint8Array([0x61, 0x3a, 0x20, 0xe9]));
    Deno.mkdirSync(`${folder}/empty`);
    Deno.mkdirSync(`${folder}/nested/inner.yaml`, { recursive: true });
    Deno.mkdirSync(`${folder}/broken`);
    Deno.symlinkSync("nowhere", `${folder}/broken/a.yaml`);
    for (
      const [args, line] of [
        [
          ["--wrap", "job.yaml", "--wrap", "tab.yaml"],
          /^wrapper: error: cannot wrap tab\.yaml, line 18: a tab /,
        ],
        [
          ["--wrap", "template.yaml"],
          /template\.yaml, line 4: a template that is not rendered yet/,
        ],
        [["--wrap", "latin1.yaml"], /latin1\.yaml, line 1: expected text in UTF-8/],
        [["--wrap", "empty"], /empty: expected files that end in/],
        [["--wrap", "nested/"], /cannot wrap nested\/inner\.yaml: is a folder/],
        [["--wrap", "broken"], /cannot wrap broken\/a\.yaml: no such file/],
        [["--wrap", "/dev/zero"], /cannot wrap \/dev\/zero: expected at most 10 MB/],
        [["--wrap", "none.yaml"], /none\.yaml: no such file/],
        [["--wrap", ""], /--wrap: expected a FILE/],
        [["--wrap", "job.yaml", "--image", "no image"], /--image "no image": expected an image/],
        [
          ["--wrap", "job.yaml", "--image", ""],
          /^wrapper: error: --image "": expected an image\n$/,
        ],
        [
          ["--wrap", "job.yaml", "--container", "No"],
          /--container "No": expected a container's name/,
        ],
        [["--wrap", "job.yaml", "--entrypoint", "main=/app"], /--entrypoint .*expected NAME=JSON/],
        [["--wrap", "job.yaml", "--on", "sometimes"], /--on "sometimes"/],
      ] as const
    ) {
      const { code, stdout, stderr } = await wrap(args, folder);
      assertEquals([code, stdout, stderr.trimEnd().split("\n").length], [125, "", 1], stderr);
      assertMatch(stderr, line);
    }
  }));

Deno.test("100 MB of input, and anchors that explode, end in one line", async () => {
  const big = await wrapStdin("# 0123456789012345678901234567890123456789\n".repeat(2_400_000));
  assertEquals([big.code, big.stdout], [125, ""]);
  assertMatch(
    big.stderr,
    /^wrapper: error: cannot wrap stdin: expected at most \d+ MB of manifests.*\n$/,
  );
  const levels = Array.from(
    { length: 30 },
    (_, n) => `l${n + 1}: &l${n + 1} [*l${n}, *l${n}, *l${n}]\n`,
  );
  const bomb = await wrapStdin(`l0: &l0 [x]\n${levels.join("")}`);
  assertEquals([bomb.code, bomb.stdout], [125, ""]);
  assertMatch(bomb.stderr, /^wrapper: error: cannot wrap stdin, line 1: its anchors .*\n$/);
});

Deno.test("no hook runs with --wrap and its kin, whatever is wrong", () =>
  withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/job.yaml`, JOB);
    await using sidecar = startSidecar();
    const hook = `--hook=envoy=${sidecar.origin}`;
    const env = { WRAPPER_HOOKS: `envoy=${sidecar.origin}` };
    for (
      const args of [
        ["--wrap", "job.yaml", "true"],
        ["--wrap", "job.yaml", "--check"],
        ["--wrap", "job.yaml", "--bogus"],
        ["--wrap", "job.yaml", "--wait", "soon"],
        ["--wrap", "none.yaml"],
        ["--wrap"],
        ["--wrap="],
        ["--wrapp", "job.yaml"],
        ["--wra", "job.yaml", "--image", "x"],
        ["--warp", "job.yaml"],
        ["--bogus", "x", "--wrap", "job.yaml"],
        ["--instal", "/tmp"],
        ["--check", "--print-config"],
        ["--check", "--bogus"],
        ["--print-config", "--retries", "x"],
        ["--install", "/tmp/x", "--bogus"],
        ["--install", "/tmp/x", "true"],
        ["--help", "--version"],
        ["--version", "--bogus"],
        ["--help", "--bogus"],
        ["--hep"],
        ["--versoin"],
      ]
    ) {
      for (const all of [[hook, ...args], args]) {
        const { code, stderr } = await wrap(all, folder, env);
        assert(
          code === 125 || /--(help|version)/.test(args.join(" ")),
          `${args}: ${code} ${stderr}`,
        );
        assert(!/told to quit|stopped|no such sidecar/.test(stderr), stderr);
      }
    }
    assertEquals(sidecar.posts(), []);
  }));

Deno.test("--image, --container and --entrypoint without --wrap are an error, and the hooks run", async () => {
  await using sidecar = startSidecar();
  for (const [option, value] of [["image", "x"], ["container", "x"], ["entrypoint", 'x=["y"]']]) {
    const args = [`--hook=envoy=${sidecar.origin}`, `--${option}`, `${value}`, "true"];
    const { code, stderr } = await runWrapper("binary", { args });
    assertEquals(code, 125);
    assertMatch(stderr, new RegExp(`--${option}: .* goes with --wrap only`));
  }
  assertEquals(sidecar.posts().length, 3);
});

Deno.test("WRAPPER_IMAGE that is no image is named as such", () =>
  withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/job.yaml`, JOB);
    const { code, stdout, stderr } = await wrap(["--wrap", "job.yaml"], folder, {
      WRAPPER_IMAGE: "no image",
    });
    assertEquals([code, stdout], [125, ""]);
    assertEquals(stderr, 'wrapper: error: WRAPPER_IMAGE "no image": expected an image\n');
  }));

const withVariables = (command: string, ...variables: readonly [string, string][]) =>
  JOB.replace('["/my-job"]\n', `${command}\n          env:\n`) +
  variables.map(([name, value]) => `            - { name: ${name}, value: "${value}" }\n`).join("");

Deno.test("WRAPPER_ variables that the wrapper would refuse are all named, and the Job is left", async () => {
  const text = withVariables(
    '["/my-job"]',
    ["WRAPPER_HOOKS", "istoi"],
    ["WRAPPER_WAIT", "soon"],
    ["WRAPPER_RETRYS", "3"],
  );
  const { code, stdout, stderr } = await wrapStdin(text);
  assertEquals([code, stdout], [1, text]);
  assertMatch(
    stderr,
    /^wrapper: warn: stdin:16: Job nightly: NOT wrapped: container main: the wrapper would not start its command: /,
  );
  for (
    const problem of [
      /WRAPPER_HOOKS "istoi": expected .* did you mean istio\?/,
      /WRAPPER_WAIT "soon": expected a duration/,
      /unknown variable WRAPPER_RETRYS: did you mean WRAPPER_RETRIES\?/,
    ]
  ) assertMatch(stderr, problem);
  assertEquals(stderr.split("\n").length, 2, stderr);
});

Deno.test("variables that are right, that Kubernetes fills in, or that an option replaces, pass", async () => {
  const right = withVariables(
    '["/my-job"]',
    ["WRAPPER_HOOKS", "istio,$(MORE)"],
    ["WRAPPER_WAIT", "60s"],
    ["WRAPPER_TIMEOUT", "$(LIMIT)"],
  );
  const passed = await wrapStdin(right);
  assertEquals(passed.code, 0, passed.stderr);
  const wrong = withVariables('["/my-job"]', ["WRAPPER_WAIT", "soon"]);
  const replaced = await runWithInput(["--wrap", "-", "--wait", "60s"], wrong);
  assertEquals(replaced.code, 0, replaced.stderr);
  assertStringIncludes(replaced.stdout, '{ name: WRAPPER_WAIT, value: "60s" }\n');
});

Deno.test("a wrapper that is there already is checked with its words, and stays", async () => {
  const text = withVariables('["/wrapper", "--retrise", "3", "/my-job"]', ["WRAPPER_ON", "never"]);
  const { code, stdout, stderr } = await wrapStdin(text);
  assertEquals([code, stdout], [0, text]);
  assertMatch(
    stderr,
    /^wrapper: stdin:1: .* unchanged: container main starts the wrapper already\n/,
  );
  assertMatch(stderr, /warn: stdin:1: .*container main: unknown option "--retrise"/);
  assertMatch(stderr, /warn: stdin:1: .*container main: WRAPPER_ON "never": expected always/);
  const good = await wrapStdin(withVariables('["/wrapper", "/my-job"]', ["WRAPPER_ON", "success"]));
  assertEquals(good.stderr.split("\n").length, 2, good.stderr);
});

const MANY_JOBS = Array.from({ length: 400 }, (_, n) => JOB.replace("nightly", `j${n}`))
  .join("---\n");

/** Runs a script in which "$1" is the wrapper. */
async function runShell(script: string, cwd: string) {
  const words = ["bash", "-c", script, "bash", BINARY];
  const { code, stdout, stderr } = await startProgram(words, { cwd }).ended;
  return { code, stdout, stderr };
}

Deno.test("a full stdout is one line and exit code 125, and a reader that has read enough is neither", () =>
  withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/job.yaml`, JOB);
    Deno.writeTextFileSync(`${folder}/jobs.yaml`, MANY_JOBS);
    const shell = (script: string) => runShell(script, folder);
    for (const words of ["--wrap job.yaml", "--help", "--version", "--print-config"]) {
      const { code, stdout, stderr } = await shell(`"$1" ${words} >/dev/full`);
      assertEquals([code, stdout], [125, ""], words);
      assertEquals(
        stderr.trimEnd().split("\n").at(-1),
        "wrapper: error: cannot write to stdout: no space left on the disk (exit code 125)",
      );
    }
    const script = `"$1" --log-level warn --wrap jobs.yaml | head -c 10; exit "\${PIPESTATUS[0]}"`;
    assertEquals(await shell(script), { code: 0, stdout: MANY_JOBS.slice(0, 10), stderr: "" });
  }));

testWith(
  FULL_STDOUT,
  "stdout that is a full non-blocking pipe gets all of it, once",
  () =>
    withFolder(async (folder) => {
      const shell = (script: string) => runShell(script, folder);
      Deno.writeTextFileSync(`${folder}/jobs.yaml`, MANY_JOBS);
      // A pipe that another process has made non-blocking, as a parent on Node does.
      const nonblock = "dd if=/dev/null oflag=nonblock count=0 2>/dev/null";
      const piped = await shell(
        `(${nonblock}; "$1" --log-level warn --wrap jobs.yaml) | { sleep 0.2; cat; }; exit "\${PIPESTATUS[0]}"`,
      );
      const ends = piped.stdout.match(/^ {2}name: j\d+$/gm)?.length;
      assertEquals([piped.code, piped.stderr, ends], [0, "", 400]);
      // Lines that are longer than what the runtime keeps for itself.
      const container = { name: "main", image: "a:1", command: ["/job", "x".repeat(3000)] };
      const template = { spec: { restartPolicy: "Never", containers: [container] } };
      const items = Array.from({ length: 100 }, (_, n) => (
        { apiVersion: "batch/v1", kind: "Job", metadata: { name: `j${n}` }, spec: { template } }
      ));
      Deno.writeTextFileSync(`${folder}/list.json`, JSON.stringify({ kind: "List", items }));
      const run = `"$1" --log-level error --wrap list.json`;
      const whole = await shell(run);
      assertEquals(JSON.parse(whole.stdout).items.length, 100);
      const slow = await shell(
        `(${nonblock}; ${run}) | { sleep 0.2; cat; }; exit "\${PIPESTATUS[0]}"`,
      );
      assertEquals([slow.code, slow.stdout === whole.stdout], [whole.code, true]);
    }),
);
