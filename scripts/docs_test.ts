import { PARTS, withPart } from "./docs.ts";
import { assertEquals } from "../tests/support/assert.ts";

for (const { page, marker, text } of PARTS) {
  Deno.test(`${page}: the part "${marker}" is up to date (deno task docs writes it)`, () => {
    const now = Deno.readTextFileSync(new URL(`../${page}`, import.meta.url));
    assertEquals(now, withPart(now, marker, text()));
  });
}
