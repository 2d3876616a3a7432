/** The library runs on Deno and on Node: both files of platform calls have the same shape. */

import * as deno from "./deno.ts";
import * as node from "./node.ts";
import type { Platform } from "./types.ts";
import { read } from "../../scripts/sources.ts";
import { assert, assertEquals } from "../../tests/support/assert.ts";

// The type checker fails here if one of the two lacks a call, has one with another type, or has one
// that the contract does not mention.
const forDeno: Platform & typeof node = deno;
const forNode: Platform & typeof deno = node;
const isComplete: keyof typeof deno extends keyof Platform ? true : never = true;

/** The names that a file exports, in their order. */
function exportsOf(path: string): readonly string[] {
  const declarations = read(path).matchAll(/^export (?:async )?(?:function|const) (\w+)/gm);
  return [...declarations].map(([, name = ""]) => name);
}

Deno.test("deno.ts and node.ts export the same, in the contract's order", () => {
  assert(isComplete);
  const names = exportsOf("src/platform/deno.ts");
  assertEquals([...names].sort(), Object.keys(forDeno).sort());
  assertEquals(Object.keys(forDeno).sort(), Object.keys(forNode).sort());
  assertEquals(exportsOf("src/platform/node.ts"), names);
  const [, contract = ""] = /^export interface Platform \{$([^]*?)^\}$/m
    .exec(read("src/platform/types.ts")) ?? [];
  const inContract = [...contract.matchAll(/^ {2}(?:readonly )?(\w+)[(:]/gm)];
  assertEquals(inContract.map(([, name = ""]) => name), names);
});

for (const [name, platform] of Object.entries<Platform>({ deno, node })) {
  Deno.test(`${name}.ts: what a program that a signal ended has written does not count`, () => {
    const run = (script: string) => platform.runProgram(["sh", "-c", script]);
    assertEquals(run("echo whole; exit 3"), "whole\n");
    assertEquals(run("echo half; kill -HUP $$"), undefined);
  });
}
