/** The library runs on Deno and on Node: both files of platform calls have the same shape. */

import * as deno from "./deno.ts";
import * as node from "./node.ts";
import { assertEquals } from "../../tests/support/assert.ts";

// The type checker fails here when one of the two lacks an export, or has it with another type.
const forNode: typeof deno = node;
const forDeno: typeof node = deno;

Deno.test("platform.ts and platform.node.ts export the same", () => {
  assertEquals(Object.keys(forNode).sort(), Object.keys(forDeno).sort());
});
