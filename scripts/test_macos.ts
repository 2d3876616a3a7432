/**
 * Runs end-to-end tests on the wrapper in the simulation of macOS, on a Linux machine: from source,
 * with macOS' signals and without `/proc`.
 *
 *     deno task test:macos
 *
 * @module
 */

const ROOT = new URL("../", import.meta.url).pathname;

/** Files whose tests need nothing that only Linux has. */
const WHOLE_FILES = ["codes_test.ts", "job_test.ts"];

/** Files of which some tests do: they let orphans be adopted, or look for the binary in `/proc`. */
const FILES_IN_PART = ["leftovers_test.ts", "terminal_test.ts"];

/** The tests in these files that do not, by the start of their names. */
const NAMES = [
  "Ctrl-C and",
  "Ctrl-C ends",
  "Ctrl-Z stops the wrapper and COMMAND",
  "a job in the background",
  "a log line from the background",
  "a shell under the wrapper",
  "a terminal that hangs up",
  "end of file",
  "less shows",
  "top runs",
  "vi edits",
  "--process-group",
  "without --process-group",
  "no such warning",
];

/** A script in place of the binary; it becomes the wrapper. */
function simulatedWrapper(): string {
  const folder = `${ROOT}.cache/macos`;
  Deno.mkdirSync(folder, { recursive: true });
  const words = [Deno.execPath(), "run", "--quiet", "--no-prompt", "--allow-all"];
  const preload = ["--preload", `${ROOT}tests/macos/preload.ts`, `${ROOT}cli.ts`];
  const quoted = [...words, ...preload].map((word) => `'${word}'`).join(" ");
  Deno.writeTextFileSync(`${folder}/wrapper`, `#!/bin/sh\nexec ${quoted} "$@"\n`, { mode: 0o755 });
  return `${folder}/wrapper`;
}

async function test(...args: readonly string[]): Promise<boolean> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--quiet", "--parallel", "--allow-all", ...args],
    cwd: ROOT,
    env: { WRAPPER_TEST_BINARY: simulatedWrapper() },
  }).spawn().status;
  return success;
}

const paths = (files: readonly string[]) => files.map((file) => `tests/e2e/${file}`);
const results = [
  await test(...paths(WHOLE_FILES)),
  await test("--filter", `/^(${NAMES.join("|")})/`, ...paths(FILES_IN_PART)),
];
Deno.exit(results.every((success) => success) ? 0 : 1);
