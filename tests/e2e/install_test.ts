/** `--install` on the compiled binary. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { withFolder } from "../support/folder.ts";
import { COMPILED, testWith } from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";
import { BINARY, runWrapper, startWrapper } from "../support/wrapper.ts";

const install = (path: string, cwd?: string) =>
  runWrapper("binary", { args: ["--install", path], ...(cwd === undefined ? {} : { cwd }) });

const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name);

async function exitCodeOf(program: string): Promise<number> {
  const args = ["--hook=none", "sh", "-c", "exit 9"];
  return (await new Deno.Command(program, { args, stderr: "null" }).output()).code;
}

testWith(
  COMPILED,
  "--install copies the program into a folder, or to a file, and the copy runs",
  () =>
    withFolder(async (folder) => {
      const into = await install(folder);
      assertEquals([into.code, into.stderr], [0, ""]);
      assertEquals(into.stdout, `installed ${folder}/wrapper\n`);
      const file = await install("./copy", folder);
      assertEquals([file.code, file.stdout], [0, "installed ./copy\n"]);
      assertEquals(namesIn(folder).toSorted(), ["copy", "wrapper"]);
      for (const name of ["wrapper", "copy"]) {
        assertEquals((Deno.statSync(`${folder}/${name}`).mode ?? 0) & 0o777, 0o755);
        assertEquals(await exitCodeOf(`${folder}/${name}`), 9);
      }
    }),
);

testWith(
  COMPILED,
  "--install replaces a running copy, which keeps running",
  () =>
    withFolder(async (folder) => {
      await install(folder);
      const old = Deno.statSync(`${folder}/wrapper`).ino;
      const running = new Deno.Command(`${folder}/wrapper`, {
        args: ["--hook=none", "cat"],
        stdin: "piped",
        stdout: "null",
        stderr: "null",
      }).spawn();
      assertEquals((await install(folder)).code, 0);
      assert(Deno.statSync(`${folder}/wrapper`).ino !== old, "another file");
      await running.stdin.close();
      assertEquals((await running.status).code, 0);
    }),
);

testWith(
  COMPILED,
  "--install explains why it fails, leaves nothing behind, and runs no hooks",
  () =>
    withFolder(async (folder) => {
      await using sidecar = startSidecar();
      Deno.mkdirSync(`${folder}/taken/wrapper`, { recursive: true });
      Deno.writeTextFileSync(`${folder}/file`, "mine");
      const rows: readonly (readonly [args: string[], message: string])[] = [
        [[`--install=${folder}/no/such`], `no such folder: ${folder}/no`],
        [[`--install=${folder}/no/`], "no such folder"],
        [[`--install=${folder}/taken`], "taken/wrapper is a folder"],
        [[`--install=${folder}/file/wrapper`], `no such folder: ${folder}/file`],
        [["--install=/proc/wrapper"], "no such file or folder"],
        [["--install="], "--install: expected a PATH"],
        [[`--install=${folder}`, "true"], "runs no COMMAND"],
        [["--retries=x", `--install=${folder}`], '--retries "x"'],
      ];
      for (const [args, message] of rows) {
        const env = { WRAPPER_HOOKS: `${sidecar.origin}/quit` };
        const { code, stdout, stderr } = await runWrapper("binary", { args, env });
        assertEquals([code, stdout], [125, ""], stderr);
        assertStringIncludes(stderr, message);
      }
      assertEquals(sidecar.requests.length, 0);
      assertEquals(namesIn(folder).toSorted(), ["file", "taken"]);
      assertEquals(Deno.readTextFileSync(`${folder}/file`), "mine");
    }),
);

testWith(
  COMPILED,
  "--install without a PATH runs no hooks: it is no job, whatever is wrong",
  async () => {
    await using sidecar = startSidecar();
    const env = { WRAPPER_HOOKS: `${sidecar.origin}/quit` };
    const { code, stderr } = await runWrapper("binary", { args: ["--install"], env });
    assertEquals(code, 125);
    assertStringIncludes(stderr, "--install: its value is missing: expected a PATH");
    assertEquals(sidecar.requests.length, 0);
  },
);

testWith(
  COMPILED,
  "--install from source reports that only a compiled wrapper can be copied",
  () =>
    withFolder(async (folder) => {
      const { code, stderr } = await startWrapper("source", { args: ["--install", folder] }).ended;
      assertEquals(code, 125);
      assertStringIncludes(stderr, "only a compiled one can be copied");
      assertEquals(namesIn(folder), []);
    }),
);

testWith(
  COMPILED,
  "the installed copy is identical, byte for byte",
  () =>
    withFolder(async (folder) => {
      await install(folder);
      const { code } = await new Deno.Command("cmp", { args: [BINARY, `${folder}/wrapper`] })
        .output();
      assertEquals(code, 0);
    }),
);
