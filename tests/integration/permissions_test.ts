/** The command line from source, without one of the permissions: it says so, and never asks. */

import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { startSidecar } from "../support/sidecar.ts";

const CLI = new URL("../../cli.ts", import.meta.url).pathname;
const ALL = ["run", "env", "net", "read", "write", "ffi"] as const;

const ROWS: readonly (readonly [lacking: string, code: number, posts: number, text: string])[] = [
  ["run", 126, 1, 'cannot start sh: Requires run access to "sh"'],
  ["env", 125, 0, "WRAPPER_HOOKS cannot be read: the permission --allow-env is missing"],
  ["net", 5, 0, "NOT stopped, the pod may not end: cannot be reached: Requires net access"],
  ["read", 5, 1, "told to quit (200 OK)"],
  ["write", 5, 1, "told to quit (200 OK)"],
  ["ffi", 5, 1, "told to quit (200 OK)"],
];

for (const [lacking, code, posts, text] of ROWS) {
  Deno.test(`without --allow-${lacking} the command line fails clearly, or needs it not`, async () => {
    await using sidecar = startSidecar();
    const permissions = ALL.filter((name) => name !== lacking).map((name) => `--allow-${name}`);
    const hook = ["--retries=1", `--hook=${sidecar.origin}/quit`];
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", ...permissions, CLI, ...hook, "sh", "-c", "exit 5"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    });
    const ended = await child.output();
    const stderr = new TextDecoder().decode(ended.stderr);
    assertEquals([ended.code, sidecar.posts().length], [code, posts], stderr);
    assertStringIncludes(stderr, text);
  });
}
