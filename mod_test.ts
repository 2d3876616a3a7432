/** What `mod.ts` promises: it is documented, free of side effects, and has all that the command line uses. */

import * as library from "@k8s-job/wrapper";
import { assert, assertEquals } from "./tests/support/assert.ts";
import { clauses, read, sources } from "./scripts/sources.ts";

const ROOT = new URL("./", import.meta.url);

const PUBLIC = new Set(clauses(read("mod.ts"), "export").map(([name]) => name));

interface DocSymbol {
  readonly name: string;
  readonly declarations: readonly {
    readonly jsDoc?: { readonly doc?: string; readonly tags?: readonly { kind: string }[] };
  }[];
}

/** What `deno doc` knows of a module's exports. */
async function documentation(path: string): Promise<readonly DocSymbol[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", path],
  }).output();
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout));
  return Object.values<{ symbols: DocSymbol[] }>(nodes).flatMap(({ symbols }) => symbols);
}

/**
 * The exports that lack their documentation: each needs a description, and whatever can be called
 * (a function, a class, a preset) an example.
 */
function undocumented(symbols: readonly DocSymbol[], module: object): readonly string[] {
  const values = new Map<string, unknown>(Object.entries(module));
  return symbols.filter(({ name, declarations }) => {
    const isCallable = typeof values.get(name) === "function";
    return !declarations.some(({ jsDoc }) =>
      jsDoc?.doc && (!isCallable || jsDoc.tags?.some(({ kind }) => kind === "example"))
    );
  }).map(({ name }) => name);
}

Deno.test("every export of mod.ts has a description, every function and class an example", async () => {
  const symbols = await documentation(new URL("mod.ts", ROOT).pathname);
  assertEquals(new Set(symbols.map(({ name }) => name)), PUBLIC);
  assertEquals(undocumented(symbols, library), []);
});

Deno.test("a missing description or example would be found", async () => {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(path, MODULE_WITH_GAPS);
    const found = undocumented(await documentation(path), await import(`file://${path}`));
    assertEquals(
      found.toSorted(),
      ["bare", "Bare", "bareConstant", "BareType", "bareValue", "Class", "constant", "plain"]
        .toSorted(),
    );
  } finally {
    await Deno.remove(path);
  }
});

/** A module in which everything whose name does not begin with `good` lacks something. */
const MODULE_WITH_GAPS = `
export function bare(): void {}
export class Bare {}
export const bareConstant = (): void => {};
export const bareValue = 1;
export interface BareType {}
/** Has no example. */
export function plain(): void {}
/** Has no example. */
export class Class {}
/** A function that is a constant, without an example. */
export const constant = (): void => {};
/** Needs no example. */
export const goodValue = 1;
/** Needs no example. */
export interface GoodType {}
/**
 * Has one.
 *
 * @example
 * \`\`\`ts
 * goodFunction();
 * \`\`\`
 */
export const goodFunction = (): void => {};
`;

Deno.test("an example imports public names as its reader will: from @k8s-job/wrapper", () => {
  const wrong = ["mod.ts", ...sources("src"), ...sources("hooks")].flatMap((path) => {
    const comments = read(path).match(/\/\*\*[^]*?\*\//g) ?? [];
    return comments.flatMap((comment) => clauses(comment, "import"))
      .filter(([name, from]) => from.startsWith(".") && PUBLIC.has(name))
      .map(([name]) => `${path}: ${name}`);
  });
  assertEquals(wrong, []);
});

Deno.test("the command line uses nothing that mod.ts does not export", () => {
  // Reading argv and printing is the command line's own work; everything else a caller can do too.
  const doing = clauses(read("src/cli/main.ts"), "import").filter(([, from]) =>
    /\/(job|hooks)\//.test(from) || from.endsWith("/hook.ts")
  );
  assert(doing.length > 4);
  // readNamed() does what parseHook() does, for names alone.
  const others = doing.map(([name]) => name).filter((name) => !PUBLIC.has(name));
  assertEquals(others, ["readNamed"]);
});

Deno.test("importing mod.ts needs no permission, prints nothing and leaves nothing running", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--quiet", new URL("mod.ts", ROOT).pathname],
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assertEquals([code, text(stdout), text(stderr)], [0, "", ""]);
});

Deno.test("mod.ts exports a function for every preset", () => {
  for (const preset of library.PRESETS) {
    assert(Object.values<unknown>(library).includes(preset), preset.hookName);
    assertEquals(preset().name, preset.hookName);
  }
});
