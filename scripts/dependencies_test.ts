import { assert, assertEquals } from "../tests/support/assert.ts";

const read = (path: string) => Deno.readTextFileSync(new URL(`../${path}`, import.meta.url));

/** `name@version` from each row of the table in docs/security.md. */
function listed(): readonly string[] {
  const table = read("docs/security.md").split(/<!-- \/?dependencies -->/)[1] ?? "";
  return [...table.matchAll(/^\| `([^`]+)` +\| (\S+) +\|/gm)].map(([, name, version]) =>
    `${name}@${version}`
  ).sort();
}

Deno.test("the packages in docs/security.md, deno.json and deno.lock are the same", () => {
  const lock = JSON.parse(read("deno.lock"));
  assertEquals(Object.keys(lock.npm).sort(), listed());
  const imports = Object.values(JSON.parse(read("deno.json")).imports).map(String);
  for (const specifier of imports) {
    const [, name] = /^npm:([^/]+@\d+\.\d+\.\d+)(\/|$)/.exec(specifier) ?? [];
    assert(name !== undefined && listed().includes(name), `${specifier} is pinned and listed`);
  }
});

Deno.test("every package in deno.lock has its integrity", () => {
  const { npm } = JSON.parse(read("deno.lock"));
  for (const [name, entry] of Object.entries(npm)) {
    assert(/"integrity":"sha512-/.test(JSON.stringify(entry)), name);
  }
});
