/** `--env-file` with the real command line. */

import fc from "fast-check";
import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { envFileText, variables } from "../support/env_file.ts";
import { C_COMPILER, compileFixture } from "../support/fixtures.ts";
import { testWith } from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";
import { runWrapper, startWrapper } from "../support/wrapper.ts";

/** A folder with these files, which is removed at the end of a test. */
function folderWith(files: Readonly<Record<string, string>>) {
  const path = Deno.makeTempDirSync();
  for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(`${path}/${name}`, text);
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

testWith(C_COMPILER, "COMMAND's getenv finds what is in the file, byte for byte", async () => {
  const program = compileFixture("print_variables");
  using folder = folderWith({});
  await fc.assert(
    fc.asyncProperty(variables, fc.boolean(), async (written, inGroup) => {
      const path = `${folder.path}/variables`;
      Deno.writeTextFileSync(path, envFileText(written));
      const names = written.map(({ name }) => name);
      const { code, stdout, stderr } = await runWrapper("binary", {
        args: [
          "--hook=none",
          `--env-file=${path}`,
          `--process-group=${inGroup}`,
          program,
          ...names,
        ],
      });
      assertEquals(code, 0, stderr);
      assertEquals(stdout, written.map(({ name, value }) => `${name}=${value}\0`).join(""));
    }),
    { numRuns: 15 },
  );
});

Deno.test("the file wins over what is inherited, the last file over the others; all else is inherited", async () => {
  using folder = folderWith({
    one: "A=one\nB=one\n",
    two: "export B='two'\nWRAPPER_HOOKS=itsio\n",
  });
  const script = 'echo "$A $B $C $D $WRAPPER_HOOKS"';
  const env = { A: "inherited", C: "kept", WRAPPER_HOOKS: "none", D: "\u00fc" };
  const [one, two] = [`${folder.path}/one`, `${folder.path}/two`];
  const byOption = await runWrapper("binary", {
    args: ["--env-file", one, `--env-file=${two}`, "sh", "-c", script],
    env,
  });
  assertEquals([byOption.code, byOption.stdout], [0, "one two kept \u00fc itsio\n"]);
  const byVariable = await runWrapper("binary", {
    args: ["sh", "-c", script],
    env: { ...env, WRAPPER_ENV_FILE: `${two}, ${one}` },
  });
  assertEquals([byVariable.code, byVariable.stdout], [0, "one one kept \u00fc itsio\n"]);
});

Deno.test("a variable that is inherited and not UTF-8 stays as it is", async () => {
  using folder = folderWith({ file: "A=1\n" });
  const { BINARY } = await import("../support/wrapper.ts");
  const script =
    'B=$(printf "\\377") exec "$0" --hook=none --env-file="$1" sh -c \'printf %s "$A$B" | od -An -tx1\'';
  const { stdout, success } = await new Deno.Command("sh", {
    args: ["-c", script, BINARY, `${folder.path}/file`],
  }).output();
  assert(success);
  assertEquals(new TextDecoder().decode(stdout).trim(), "31 ff");
});

for (const group of ["false", "true"]) {
  Deno.test(`COMMAND is looked up on the file's PATH, with --process-group=${group}`, async () => {
    using folder = folderWith({ "my-own-job": "#!/bin/sh\necho found\n" });
    Deno.chmodSync(`${folder.path}/my-own-job`, 0o755);
    Deno.writeTextFileSync(`${folder.path}/env`, `PATH=${folder.path}:/bin\n`);
    const args = ["--hook=none", `--process-group=${group}`, "my-own-job"];
    assertEquals((await runWrapper("binary", { args })).code, 127);
    const { code, stdout } = await runWrapper("binary", {
      args: [`--env-file=${folder.path}/env`, ...args],
    });
    assertEquals([code, stdout], [0, "found\n"]);
  });
}

const BAD: readonly (readonly [name: string, content: string | undefined, problem: string])[] = [
  [
    "missing",
    undefined,
    ": no such file, or not an ordinary one; if it is written after the start, --wait-for file:PATH",
  ],
  ["words", "A=sesame\njust sesame\n", ", line 2: expected NAME=VALUE"],
  ["name", "SES-SESAME=1", ", line 1: expected a name of letters, digits and _"],
  ["quote", 'A=1\n\nB="sesame\n', ", line 3: the quote is not closed"],
  ["large", `A=${"sesame".repeat(200_000)}`, ": larger than 1 MB"],
];

for (const [name, content, problem] of BAD) {
  Deno.test(`a file that cannot be used (${name}): COMMAND is not started, the hooks run, exit 125`, async () => {
    await using sidecar = startSidecar();
    using folder = folderWith(content === undefined ? {} : { [name]: content });
    const log = `${folder.path}/termination-log`;
    const { code, stdout, stderr } = await runWrapper("binary", {
      args: [
        ...[`--hook=${sidecar.origin}/quit`, `--env-file=${folder.path}/${name}`],
        ...[`--termination-log=${log}`, "--log-level=debug", "--on=success"],
        ...["echo", "started"],
      ],
    });
    assertEquals([code, stdout], [125, ""], stderr);
    const line = `--env-file ${folder.path}/${name}${problem}`;
    assertStringIncludes(stderr, `wrapper: error: ${line}`);
    assertStringIncludes(stderr, "cannot start echo: the settings are wrong (exit code 125)");
    assertEquals(sidecar.posts().map(({ path }) => path), ["/quit"]);
    const summary = Deno.readTextFileSync(log);
    assertStringIncludes(JSON.parse(summary).problems[0], line);
    assert(!/sesame/i.test(stderr + summary), stderr + summary);
  });
}

Deno.test("a folder, a device, a pipe and bytes that are not UTF-8 are errors too", async () => {
  using folder = folderWith({});
  const pipe = `${folder.path}/pipe`;
  assert(new Deno.Command("mkfifo", { args: [pipe] }).outputSync().success);
  const latin = `${folder.path}/latin`;
  Deno.writeFileSync(latin, Uint8Array.from([65, 61, 0xe9, 10]));
  for (
    const [path, problem] of [
      [folder.path, "no such file, or not an ordinary one"],
      ["/dev/zero", "no such file, or not an ordinary one"],
      [pipe, "no such file, or not an ordinary one"],
      [`${latin}/x`, "no such file, or not an ordinary one"],
      [latin, "not UTF-8"],
    ]
  ) {
    const { code, stderr } = await runWrapper("binary", {
      args: ["--hook=none", `--env-file=${path}`, "true"],
    });
    assertEquals(code, 125);
    assertStringIncludes(stderr, `--env-file ${path}: ${problem}`);
  }
});

Deno.test("with --wait-for file: the file is read when it is there", async () => {
  using folder = folderWith({});
  const path = `${folder.path}/config`;
  await using wrapper = startWrapper("binary", {
    args: [
      ...["--hook=none", `--wait-for=file:${path}`, `--env-file=${path}`],
      ...["sh", "-c", 'echo "$TOKEN"'],
    ],
  });
  await wrapper.waitFor("waiting up to 5m");
  Deno.writeTextFileSync(`${path}.draft`, "export TOKEN='sesame'\n");
  Deno.renameSync(`${path}.draft`, path);
  const { code, stdout, stderr } = await wrapper.ended;
  assertEquals([code, stdout], [0, "sesame\n"], stderr);
});

Deno.test("--check and --print-config do not read the file, and no value reaches a log", async () => {
  using folder = folderWith({ good: "TOKEN=sesame\n" });
  const missing = "--env-file=/no/such/file";
  assertEquals((await runWrapper("binary", { args: ["--check", "--hook=none", missing] })).code, 0);
  const { code, stdout } = await runWrapper("binary", { args: ["--print-config", missing] });
  assertEquals(code, 0);
  assertEquals(JSON.parse(stdout)["env-file"], { value: ["/no/such/file"], from: "--env-file" });

  const log = `${folder.path}/log`;
  const run = await runWrapper("binary", {
    args: [
      ...["--hook=none", `--env-file=${folder.path}/good`, "--log-level=debug"],
      ...[`--termination-log=${log}`, "sh", "-c", 'test "$TOKEN" = sesame && exit 3'],
    ],
  });
  assertEquals(run.code, 3);
  assert(!/sesame|TOKEN/.test(run.stderr + Deno.readTextFileSync(log)), run.stderr);
});
