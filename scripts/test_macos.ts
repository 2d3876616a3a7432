/**
 * Runs the integration and end-to-end tests in the simulation of macOS, on a Linux machine: the tests
 * themselves, and the wrapper from source, with macOS' signals and without `/proc`.
 *
 *     deno task test:macos [FILE...]
 *
 * @module
 */

import { runTests } from "./test.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const PRELOAD = `${ROOT}tests/macos/preload.ts`;

/** A script in place of the binary; it becomes the wrapper. */
function simulatedWrapper(): string {
  const folder = `${ROOT}.cache/macos`;
  Deno.mkdirSync(folder, { recursive: true });
  const words = [Deno.execPath(), "run", "--quiet", "--no-prompt", "--allow-all"];
  const quoted = [...words, "--preload", PRELOAD, `${ROOT}cli.ts`].map((word) => `'${word}'`);
  const script = `#!/bin/sh\nexec ${quoted.join(" ")} "$@"\n`;
  // Another run may be using it.
  Deno.writeTextFileSync(`${folder}/wrapper.new`, script, { mode: 0o755 });
  Deno.renameSync(`${folder}/wrapper.new`, `${folder}/wrapper`);
  return `${folder}/wrapper`;
}

// The random ends of containers take a minute, and have nothing to do with the system.
const ALL = ["--ignore=tests/integration/containers_test.ts", "tests/integration", "tests/e2e"];
const paths = Deno.args.length > 0 ? Deno.args : ALL;
const env = { WRAPPER_TEST_BINARY: simulatedWrapper() };
Deno.exit(await runTests(["--parallel", "--preload", PRELOAD, ...paths], env));
