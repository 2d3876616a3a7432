/** The table of options and the documented fields of `RunOptions` are about the same options. */

import { assert, assertEquals } from "../tests/support/assert.ts";
import type { RunOptions } from "./job/options.ts";
import { JOB_OPTIONS, type JobSettings, type Option } from "./options.ts";

/** The fields that only a program can set: they have no entry. */
type LibraryOnly = "hooks" | "waitFor" | "forwardSignals" | "signal" | "log";

type Same<A, B> = [A, B] extends [B, A] ? true : false;

// The type checker fails here if an entry lacks its field, a field its entry, or the types differ.
const isSame: Same<Required<Omit<RunOptions, LibraryOnly>>, JobSettings> = true;

interface Field {
  readonly name: string;
  readonly jsDoc?: {
    readonly doc?: string;
    readonly tags?: readonly { readonly value?: string }[];
  };
}

/** The fields of an interface, as `deno doc` reads them. */
async function fieldsOf(name: string): Promise<readonly Field[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", "--private", new URL("job/options.ts", import.meta.url).pathname],
  }).output();
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout));
  const symbols = Object.values<{ symbols: { name: string; declarations: Declaration[] }[] }>(nodes)
    .flatMap((one) => one.symbols);
  const declarations = symbols.find((symbol) => symbol.name === name)?.declarations ?? [];
  return declarations.flatMap(({ def }) => def.properties);
}

interface Declaration {
  readonly def: { readonly properties: readonly Field[] };
}

/** Whether a documented default is the table's: `5000`, `"always"`, or words that begin with it. */
function saysDefault(text: string, { libraryDefault, defaultValue }: Option<unknown>): boolean {
  const value = libraryDefault ?? defaultValue(() => undefined);
  const inPod = libraryDefault ?? defaultValue(() => "10.0.0.1");
  const isEmpty = typeof value === "object" && Object.keys(value ?? {}).length === 0;
  if ((value === "" || isEmpty) && text === "none") return true;
  if (value !== inPod) {
    return text.startsWith(`${inPod} in a Kubernetes pod`) && text.endsWith(`else ${value}`);
  }
  return text === JSON.stringify(value) || text.startsWith(`${JSON.stringify(value)}, which is`);
}

Deno.test("each option's field in RunOptions is documented, with the default of the table", async () => {
  assert(isSame);
  const fields = [...await fieldsOf("HookOptions"), ...await fieldsOf("RunOptions")];
  const entries = Object.entries<Option<unknown>>(JOB_OPTIONS);
  assert(entries.length > 10);
  for (const [key, option] of entries) {
    const { doc = "", tags = [] } = fields.find(({ name }) => name === key)?.jsDoc ?? {};
    assert(doc.length > 10, `${key} has no description`);
    const tag = tags.find(({ value }) => value?.startsWith("@default "))?.value ?? "";
    const documented = tag.slice("@default ".length).trim();
    assert(saysDefault(documented, option), `${key}: @default ${documented}`);
  }
});

Deno.test("each option has a name, a variable and a line of help of its own", () => {
  const entries = Object.values<Option<unknown>>(JOB_OPTIONS);
  for (const key of ["name", "variable", "help"] as const) {
    assertEquals(new Set(entries.map((entry) => entry[key])).size, entries.length, key);
  }
});
