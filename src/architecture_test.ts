/** The architecture: which room may import which, without circles. */

import { assert, assertEquals } from "../tests/support/assert.ts";
import { importsOf, read, sources } from "../scripts/sources.ts";

/**
 * The rooms, from the ground up: a room imports only from the floors below. Rooms on the same floor do
 * not import each other.
 */
const FLOORS: readonly (readonly string[])[] = [
  ["src/exit_code.ts", "src/hook.ts", "src/nearest.ts", "src/time.ts"],
  ["src/platform"],
  ["src/log"],
  ["src/options.ts"],
  ["src/http", "src/process"],
  ["src/job", "hooks"],
  ["src/wrap"],
  ["src/cli"],
  ["mod.ts"],
  ["cli.ts", "cli.node.ts"],
];

const FILES = ["cli.ts", "cli.node.ts", "mod.ts", ...sources("hooks"), ...sources("src")];

/** The room that a file belongs to. */
function roomOf(file: string): string {
  const room = FLOORS.flat().find((name) => file === name || file.startsWith(`${name}/`));
  assert(room !== undefined, `${file} is in no room`);
  return room;
}

function floorOf(file: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(roomOf(file)));
}

Deno.test("imports only go down, and rooms on the same floor do not import each other", () => {
  const arrows = FILES.flatMap((file) => importsOf(file).map((target) => ({ file, target })));
  assert(arrows.length > FILES.length);
  const wrong = arrows.filter(({ file, target }) =>
    !FILES.includes(target) ||
    (roomOf(file) !== roomOf(target) && floorOf(target) >= floorOf(file))
  );
  assertEquals(wrong.map(({ file, target }) => `${file} -> ${target}`), []);
});

Deno.test("there is no circle of imports", () => {
  const done = new Set<string>();
  function follow(file: string, trail: readonly string[]): void {
    assert(!trail.includes(file), [...trail, file].join(" -> "));
    if (done.has(file)) return;
    for (const target of importsOf(file)) follow(target, [...trail, file]);
    done.add(file);
  }
  for (const file of FILES) follow(file, []);
  assertEquals(done.size, FILES.length);
});

Deno.test("cli.ts imports what the library exports as main(), and nothing else", () => {
  // Not by way of the library's front door, behind which everything would be loaded.
  assertEquals(importsOf("cli.ts"), ["src/cli/main.ts"]);
  assert(read("mod.ts").includes('export { main, type MainOptions } from "./src/cli/main.ts";'));
});

Deno.test("a runtime's own calls are only in its file of the platform", () => {
  const code = (path: string) => read(path).replaceAll(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
  const callers = FILES.filter((path) => path !== "cli.ts" && /\bDeno\./.test(code(path)));
  assertEquals(callers, ["src/platform/deno.ts"]);
});

Deno.test("a job's start reads nothing of --wrap, what it knows about manifests, or the package yaml", () => {
  /** What is imported whenever the file is, and not by `import()` when it is needed. */
  const always = (file: string) => {
    const code = read(file).replaceAll(/\/\*\*[^]*?\*\//g, "");
    const clauses = code.matchAll(/^(?:import|export)\s(?!type\s)[^;]*?\bfrom "([^"]+)";/gm);
    return [...clauses].map(([, specifier = ""]) => specifier);
  };
  const loaded = new Set<string>();
  const packages = new Set<string>();
  const load = (file: string) => {
    if (loaded.has(file)) return;
    loaded.add(file);
    for (const specifier of always(file)) {
      if (!specifier.startsWith(".")) packages.add(specifier);
      else load(new URL(specifier, new URL(file, "file:///")).pathname.slice(1));
    }
  };
  load("cli.ts");
  assert(loaded.has("src/cli/main.ts") && loaded.has("src/job/run.ts"), [...loaded].join());
  const late = [...loaded].filter((file) =>
    /^(src\/wrap|hooks\/manifest)\/|\/wrap\.ts$/.test(file)
  );
  assertEquals([late, packages.has("yaml")], [[], false]);
  // It is there at all.
  assert(always("src/wrap/read.ts").includes("yaml"));
});
