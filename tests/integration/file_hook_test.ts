/** `file:` with real file systems. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { runWrapper } from "../support/wrapper.ts";

const run = (...args: readonly string[]) => runWrapper("binary", { args });

function names(folder: string): readonly string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name);
}

Deno.test("file: creates a tombstone that says how the job ended, and leaves nothing else behind", async () => {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/my job.json`;
  const beforeMs = Date.now();
  const { code, stderr } = await run(`--hook=file:${path}`, "sh", "-c", "kill -TERM $$", "secret");
  assertEquals(code, 143);
  assertStringIncludes(stderr, `my job.json: told to quit (created)`);
  const text = Deno.readTextFileSync(path);
  assertMatch(text, /^\{.*\}\n$/);
  const { command, exitCode, signal, durationMs, born, died } = JSON.parse(text);
  assertEquals([command, exitCode, signal], ["sh", 143, "SIGTERM"]);
  assert(Number.isInteger(durationMs) && durationMs >= 0);
  assertMatch(died, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert(Date.parse(born) >= beforeMs - 1 && Date.parse(born) <= Date.parse(died));
  assert(Date.parse(died) <= Date.now());
  assertEquals(names(folder), ["my job.json"]);
  assert(!text.includes("secret"), text);
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("file: replaces the tombstone of an earlier attempt", async () => {
  const folder = Deno.makeTempDirSync();
  Deno.writeTextFileSync(`${folder}/done`, "old".repeat(1000));
  await run(`--hook=file:${folder}/done`, "sh", "-c", "exit 3");
  assertEquals(JSON.parse(Deno.readTextFileSync(`${folder}/done`)).exitCode, 3);
  assertEquals(names(folder), ["done"]);
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("file: a folder that COMMAND makes is a warning before, and no failure after", async () => {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/later/done`;
  const { code, stderr } = await run(`--hook=file:${path}`, "mkdir", `${folder}/later`);
  assertEquals(code, 0);
  assertStringIncludes(
    stderr,
    "will NOT be stopped as things are: cannot be created: no such file",
  );
  assertStringIncludes(stderr, "told to quit (created)");
  assertEquals(names(`${folder}/later`), ["done"]);
  Deno.removeSync(folder, { recursive: true });
});

const MOUNT = "Mount a volume there that both containers share and this user can write to";

Deno.test("file: reports why it cannot create the file, and leaves nothing behind", async () => {
  const folder = Deno.makeTempDirSync();
  Deno.mkdirSync(`${folder}/is-a-folder/full`, { recursive: true });
  Deno.writeTextFileSync(`${folder}/is-a-file`, "");
  const rows = [
    [`${folder}/none/done`, "no such file or folder", MOUNT],
    [`${folder}/is-a-folder`, "is a folder", "Name a file in it"],
    [`${folder}/is-a-file/done`, "a part of its path is not a folder", MOUNT],
    ["/proc/done", "no such file or folder", MOUNT],
  ] as const;
  for (const [path, reason, advice] of rows) {
    const { code, stderr } = await run("--strict", `--hook=file:${path}`, "true");
    assertEquals(code, 125);
    assertStringIncludes(stderr, `NOT stopped`);
    // Before COMMAND starts, when the manifest can still be mended without losing the job.
    assertStringIncludes(
      stderr.slice(0, stderr.indexOf("command ended")),
      `will NOT be stopped as things are: cannot be created: ${reason} at ${path}. ${advice}`,
    );
    assertStringIncludes(
      stderr,
      `NOT stopped, the pod may not end: cannot be created: ${reason} at ${path}. ${advice}`,
    );
  }
  assertEquals(names(folder).toSorted(), ["is-a-file", "is-a-folder"]);
  Deno.removeSync(folder, { recursive: true });
  assertStringIncludes((await run("--hook=file:", "true")).stderr, "expected the path of a file");
});
