/** Every test file is run, and none is published. */

import { assert, assertEquals } from "../tests/support/assert.ts";
import { TESTS as KUBERNETES_TESTS } from "./kubernetes/programs.ts";
import { LATER_PATH, TEST_PATHS } from "./test.ts";
import { TESTS as ORCHESTRATOR_TESTS } from "./test_orchestrators.ts";

const ROOT = new URL("../", import.meta.url);
const CONFIG = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));

/** Folders with what was made or downloaded. */
const IGNORED: readonly string[] = ["node_modules/", ...CONFIG.exclude];

/** Every test file in a folder and below, as a path from the root. */
function testFiles(folder = ""): readonly string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ name, isDirectory }) => {
    if (!isDirectory) return name.endsWith("_test.ts") ? [folder + name] : [];
    const path = `${folder}${name}/`;
    return IGNORED.includes(path) || name === ".git" ? [] : testFiles(path);
  });
}

Deno.test("every test file is run once, by one of the tasks whose name starts with test", () => {
  const files = testFiles();
  assert(files.includes("scripts/test_test.ts"));
  const pathOf = (task: string) => CONFIG.tasks[task].command.split(" ").at(-1);
  assertEquals(pathOf("test:built"), LATER_PATH);
  const clusters = [KUBERNETES_TESTS, ORCHESTRATOR_TESTS];
  const paths = [...TEST_PATHS, LATER_PATH, pathOf("test:containers"), ...clusters];
  const runs = (file: string) =>
    paths.filter((path) => file === path || file.startsWith(`${path}/`)).length;
  assertEquals(files.filter((file) => runs(file) !== 1), []);
  assertEquals(
    paths.filter((path) => !files.some((file) => `${file}/`.startsWith(`${path}/`))),
    [],
  );
});

Deno.test("no test file is published", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals(code, 0, text);
  const published = [...text.matchAll(/file:\/\/(\S+)/g)].map(([, path = ""]) => path);
  assert(published.includes(new URL("mod.ts", ROOT).pathname), text);
  assertEquals(published.filter((path) => path.endsWith("_test.ts")), []);
});
