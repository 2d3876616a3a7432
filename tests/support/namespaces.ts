/** Runs files of tests in network namespaces of their own, where all ports are free. */

// deno-lint-ignore-file no-console

import { assert } from "./assert.ts";
import { both, type Need, OWN_LOOPBACK, testWith } from "./needs.ts";

/** Before what a test saw and does not judge; such lines are shown. */
export const SEEN = "seen: ";

/** Registers a test that runs all tests of a file. */
export function testInNamespace(path: string, needs: Need<unknown> = NOTHING): void {
  testWith(
    both(OWN_LOOPBACK, needs),
    `${path.slice(path.lastIndexOf("/") + 1)}, in its own network namespace`,
    async ([[file = "", ...words]], context) => {
      const { success, stdout, stderr } = await new Deno.Command(file, {
        env: { NO_COLOR: "1" },
        args: [...words, Deno.execPath(), "test", "--quiet", "--allow-all", path],
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assert(success, `\n${text(stdout)}${text(stderr)}`);
      const lines = text(stdout).split("\n");
      for (const line of lines.filter((line) => line.startsWith(SEEN))) console.log(line);
      for (const [, name = ""] of text(stdout).matchAll(/^(.* \(SKIPPED: .*\)) \.\.\. ignored/gm)) {
        await context.step({ name, ignore: true, fn: () => {} });
      }
    },
  );
}

const NOTHING: Need<true> = { what: "nothing", find: () => true };
