/** `--confirm`: what is seen of a sidecar after it was told to quit. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { NAMED_PROCESSES, testWith } from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";
import { runWrapper, startWrapper } from "../support/wrapper.ts";

/** A sidecar that closes its port this long after it was told to quit, and then counts nobody. */
function closingSidecar(afterMs: number) {
  const sidecar = startSidecar([() => {
    setTimeout(() => sidecar.close(), afterMs);
    return new Response("bye");
  }]);
  return sidecar;
}

async function withLog(
  args: readonly string[],
  body: (ended: { code: number; stderr: string; outcome: string }) => void,
): Promise<void> {
  const log = Deno.makeTempFileSync();
  const { code, stderr } = await runWrapper("binary", {
    args: [`--termination-log=${log}`, ...args],
  });
  const [{ outcome }] = JSON.parse(Deno.readTextFileSync(log)).hooks;
  Deno.removeSync(log);
  body({ code, stderr, outcome });
}

Deno.test("a sidecar that is gone: one line says after how long, and it is told once", async () => {
  const sidecar = closingSidecar(300);
  const args = ["--confirm=1h", `--hook=${sidecar.origin}/quit`, "sh", "-c", "exit 3"];
  await withLog(args, ({ code, stderr, outcome }) => {
    assertEquals([code, outcome, sidecar.posts().length], [3, "gone", 1], stderr);
    assertStringIncludes(stderr, "told to quit (200 OK)");
    assertMatch(stderr, /: gone after \d+(\.\d)?m?s\n/);
  });
});

Deno.test("a sidecar that still listens: a warning, and the exit code is kept", async () => {
  await using sidecar = startSidecar();
  const args = ["--confirm=200ms", `--hook=${sidecar.origin}/quit`, "sh", "-c", "exit 3"];
  await withLog(args, ({ code, stderr, outcome }) => {
    assertEquals([code, outcome, sidecar.posts().length], [3, "still-listening", 1], stderr);
    assertStringIncludes(stderr, `warn: 127.0.0.1:${sidecar.port}: still listens at `);
  });
});

Deno.test("--strict: a sidecar that still listens fails the job", async () => {
  await using sidecar = startSidecar();
  const args = ["--strict", "--confirm=100ms", `--hook=${sidecar.origin}/quit`, "true"];
  await withLog(args, ({ code, stderr }) => {
    assertEquals(code, 125);
    assertStringIncludes(stderr, "a hook failed: exit code 125 (--strict)");
  });
});

Deno.test("without --confirm, nothing is looked for", async () => {
  await using sidecar = startSidecar();
  await withLog([`--hook=${sidecar.origin}/quit`, "true"], ({ stderr, outcome }) => {
    assertEquals(outcome, "stopped");
    assert(!/gone|still/.test(stderr), stderr);
  });
});

Deno.test("a second SIGTERM ends the looking; the outcome is `stopped`", async () => {
  await using sidecar = startSidecar();
  await using wrapper = startWrapper("binary", {
    args: ["--confirm=1h", `--hook=${sidecar.origin}/quit`, "sh", "-c", "exit 3"],
  });
  await wrapper.waitFor("told to quit");
  wrapper.kill("SIGTERM");
  await wrapper.waitFor("another one ends them at once");
  wrapper.kill("SIGTERM");
  const { code, stderr } = await wrapper.ended;
  assertEquals([code, sidecar.posts().length], [3, 1]);
  assert(!/gone after|still listens/.test(stderr), stderr);
});

Deno.test("a file: hook says that there is nothing to see", async () => {
  const folder = Deno.makeTempDirSync();
  await withLog([`--hook=file:${folder}/done`, "--confirm=1h", "true"], ({ stderr, outcome }) => {
    assertEquals(outcome, "stopped");
    assertStringIncludes(stderr, "done: nothing to see of its end (--confirm)");
  });
  Deno.removeSync(folder, { recursive: true });
});

testWith(NAMED_PROCESSES, "a signal: hook looks for the process", async () => {
  const folder = Deno.makeTempDirSync();
  const name = `sleep-${Deno.pid}`;
  Deno.symlinkSync("/bin/sleep", `${folder}/${name}`);
  const sleeping = new Deno.Command(`${folder}/${name}`, { args: ["600"] }).spawn();
  await withLog([`--hook=signal:${name}`, "--confirm=1h", "true"], ({ stderr, outcome }) => {
    assertEquals(outcome, "gone", stderr);
  });
  await sleeping.status;
  Deno.removeSync(folder, { recursive: true });
});
