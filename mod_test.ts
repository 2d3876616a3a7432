/** What `mod.ts` promises: documented, free of side effects, and enough to write the command line. */

import * as library from "@k8s-job/wrapper";
import { assert, assertEquals } from "./tests/support/assert.ts";
import { clauses, read, sources } from "./scripts/sources.ts";

const ROOT = new URL("./", import.meta.url);

const PUBLIC = new Set(clauses(read("mod.ts"), "export").map(([name]) => name));

Deno.test("every export of mod.ts has a description and an example", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", new URL("mod.ts", ROOT).pathname],
  }).output();
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout));
  const symbols = Object.values<{ symbols: DocSymbol[] }>(nodes).flatMap((one) => one.symbols);
  assert(symbols.length >= PUBLIC.size);
  const wanting = symbols.filter(({ declarations }) =>
    !declarations.some(({ jsDoc }) =>
      jsDoc?.doc && jsDoc.tags?.some(({ kind }) => kind === "example")
    )
  );
  assertEquals(wanting.map(({ name }) => name), []);
});

interface DocSymbol {
  readonly name: string;
  readonly declarations: readonly {
    readonly jsDoc?: { readonly doc?: string; readonly tags?: readonly { kind: string }[] };
  }[];
}

Deno.test("an example imports what is public as its reader will: from @k8s-job/wrapper", () => {
  const wrong = ["mod.ts", ...sources("src"), ...sources("hooks")].flatMap((path) => {
    const comments = read(path).match(/\/\*\*[^]*?\*\//g) ?? [];
    return comments.flatMap((comment) => clauses(comment, "import"))
      .filter(([name, from]) => from.startsWith(".") && PUBLIC.has(name))
      .map(([name]) => `${path}: ${name}`);
  });
  assertEquals(wrong, []);
});

Deno.test("the command line is made of nothing that mod.ts does not export", () => {
  // What reads argv and prints is the command line itself; what it does, a caller can do too.
  const doing = clauses(read("src/cli/main.ts"), "import").filter(([, from]) =>
    /\/(job|hooks)\//.test(from) || from.endsWith("/hook.ts")
  );
  assert(doing.length > 4);
  assertEquals(doing.map(([name]) => name).filter((name) => !PUBLIC.has(name)), []);
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
