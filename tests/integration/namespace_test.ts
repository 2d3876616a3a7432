/**
 * The tests in `tests/namespace/` need the sidecars' own ports. Each file runs in its own network
 * namespace, where all ports are free.
 */

import { assert } from "../support/assert.ts";
import { OWN_LOOPBACK, testWith } from "../support/needs.ts";

const FOLDER = new URL("../namespace/", import.meta.url).pathname;

for (const { name } of Deno.readDirSync(FOLDER)) {
  testWith(
    OWN_LOOPBACK,
    `${name}, in its own network namespace`,
    async ([file = "", ...words], context) => {
      const { success, stdout, stderr } = await new Deno.Command(file, {
        env: { NO_COLOR: "1" },
        args: [...words, Deno.execPath(), "test", "--quiet", "--allow-all", `${FOLDER}${name}`],
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assert(success, `\n${text(stdout)}${text(stderr)}`);
      for (const [, name = ""] of text(stdout).matchAll(/^(.* \(SKIPPED: .*\)) \.\.\. ignored/gm)) {
        await context.step({ name, ignore: true, fn: () => {} });
      }
    },
  );
}
