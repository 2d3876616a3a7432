/** Runs files of tests in network namespaces of their own, where all ports are free. */

import { assert } from "./assert.ts";
import { both, type Need, OWN_LOOPBACK, testWith } from "./needs.ts";

/** How the name of a step begins that shows what a test saw and does not judge. */
export const SEEN = "seen: ";

/** Many times longer than the tests of a file take. One that hangs is ended, and what it printed is shown. */
const LONGEST_RUN_MS = 300_000;

/** Registers a test that runs all tests of a file. */
export function testInNamespace(path: string, needs: Need<unknown> = NOTHING): void {
  testWith(
    both(OWN_LOOPBACK, needs),
    `${path.slice(path.lastIndexOf("/") + 1)}, in its own network namespace`,
    async ([[file = "", ...words]], context) => {
      const { success, stdout, stderr } = await new Deno.Command(file, {
        env: { NO_COLOR: "1" },
        signal: AbortSignal.timeout(LONGEST_RUN_MS),
        args: [...words, Deno.execPath(), "test", "--quiet", "--allow-all", path],
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assert(success, `\n${text(stdout)}${text(stderr)}`);
      for (const [, name = ""] of text(stdout).matchAll(/^ +(seen: .*) \.\.\. ok/gm)) {
        await context.step(name, () => {});
      }
      for (const [, name = ""] of text(stdout).matchAll(/^(.* \(SKIPPED: .*\)) \.\.\. ignored/gm)) {
        await context.step({ name, ignore: true, fn: () => {} });
      }
    },
  );
}

const NOTHING: Need<true> = { what: "nothing", find: () => true };
