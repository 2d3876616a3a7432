/**
 * Tests that need a sidecar's own port run in a network namespace, where it is free: those in
 * `tests/namespace/`, each file in one of its own.
 */

// deno-lint-ignore-file no-console

import { assert } from "../support/assert.ts";
import { OWN_LOOPBACK, testWith } from "../support/needs.ts";

const FOLDER = new URL("../namespace/", import.meta.url).pathname;

for (const { name } of Deno.readDirSync(FOLDER)) {
  testWith(OWN_LOOPBACK, `${name}, on a loopback of its own`, async ([file = "", ...words]) => {
    const { success, stdout, stderr } = await new Deno.Command(file, {
      args: [...words, Deno.execPath(), "test", "--quiet", "--allow-all", `${FOLDER}${name}`],
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const lines = text(stdout).split("\n");
    for (const line of lines.filter((line) => line.startsWith("skipped: "))) console.log(line);
    assert(success, `\n${text(stdout)}${text(stderr)}`);
  });
}
