/** What the tests of each real sidecar have in common. */

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { SEEN } from "../support/namespaces.ts";
import type { Program } from "../support/programs.ts";
import { type Ended, startWrapper } from "../support/wrapper.ts";

/** COMMAND of most tests. */
export const COMMAND: readonly string[] = ["sh", "-c", "exit 6"];

/** For a sidecar that may take its time on a busy machine. */
export const WAIT: readonly string[] = ["--wait=60s", "--startup-window=60s"];

/** For `auto`, which otherwise looks for further sidecars to the end of the window. */
export const SHORT: readonly string[] = ["--wait=60s", "--startup-window=0"];

/** Waits until a sidecar gives this page; one that ends before is an error. */
export async function untilAnswered(sidecar: Program, url: string, status: number): Promise<void> {
  while (sidecar.endedAtMs === undefined) {
    const response = await fetch(url).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.status === status) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`it ended: ${await sidecar.output()}`);
}

/** Runs a job whose sidecar is killed before it ends: a warning says when it went. */
export async function jobWithKilled(sidecar: Program, hook: string, name: string): Promise<void> {
  await using wrapper = startWrapper("binary", {
    args: [`--hook=${hook}`, ...SHORT, "sh", "-c", "echo it runs; cat; exit 6"],
    stdin: "piped",
  });
  await wrapper.waitFor("it runs");
  Deno.kill(sidecar.pid, "SIGKILL");
  assert(await sidecar.endsByItself() !== 0);
  await wrapper.child.stdin.close();
  const { code, stderr } = await wrapper.ended;
  assertEquals(code, 6, stderr);
  const warning = `warn: ${name}: has already stopped .*before the command ended.*OnFailure`;
  assertMatch(stderr, new RegExp(warning));
}

/** Runs a job; shows the sidecar's exit code, and how long after COMMAND it ended. */
export async function jobBeside(
  test: Deno.TestContext,
  sidecar: Program,
  what: string,
  args: readonly string[],
  command: readonly string[] = COMMAND,
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  await using wrapper = startWrapper("binary", { args: [...args, ...command], env });
  await wrapper.waitFor("command ");
  const endMs = performance.now();
  const ended = await wrapper.ended;
  const code = await sidecar.endsByItself();
  const laterMs = Math.max(0, (sidecar.endedAtMs ?? endMs) - endMs);
  const seen = `${what}: exit code ${code}, ${laterMs.toFixed()} ms after the command's end`;
  await test.step(`${SEEN}${seen}`, () => {});
  assertEquals(code, 0, await sidecar.output());
  return ended;
}
