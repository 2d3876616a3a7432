/** What the library's functions do with wrong arguments. */

import {
  envoy,
  fileHook,
  istio,
  refuse,
  run,
  stopSidecars,
  waitUntilReady,
} from "@k8s-job/wrapper";
import { assert, assertEquals, assertRejects } from "../../tests/support/assert.ts";

/** Options that a caller without a type checker may pass. */
const WRONG: readonly (readonly [
  options: unknown,
  kind: typeof TypeError | typeof RangeError,
  text: string,
])[] = [
  [{ waitMs: -1 }, RangeError, "waitMs: expected milliseconds from 0 to 2073600000, got -1"],
  [{ timeoutMs: NaN }, RangeError, "timeoutMs: expected milliseconds from 0 to"],
  [{ killAfterMs: Infinity }, RangeError, "killAfterMs: expected milliseconds"],
  [{ shutdownTimeoutMs: "5s" }, TypeError, 'expected a number of milliseconds, got "5s"'],
  [{ retries: 1.5 }, RangeError, "retries: expected a whole number from 0, got 1.5"],
  [{ retries: "3" }, TypeError, 'retries: expected a number, got "3"'],
  [{ on: "never" }, RangeError, 'on: expected "always" or "success" or "failure", got "never"'],
  [{ onWaitTimeout: "die" }, RangeError, 'onWaitTimeout: expected "fail" or "start"'],
  [{ strict: 1 }, TypeError, "strict: expected a boolean, got 1"],
  [{ signal: {} }, TypeError, "signal: expected an AbortSignal, got an object"],
  [{ log: console }, TypeError, "log: expected a function that takes log entries"],
  [{ hooks: "istio" }, TypeError, 'hooks: expected an array, got "istio"'],
  [{ hooks: [istio] }, TypeError, "hooks[0]: expected a hook, got a function that makes one"],
  [{ hooks: [istio(), {}] }, TypeError, "hooks[1]: expected a hook, got an object"],
  [{ waitFor: [envoy] }, TypeError, "waitFor[0]: expected a hook or a condition, got a function"],
  [{ terminationLog: 1 }, TypeError, "terminationLog: expected a path, got 1"],
  [null, TypeError, "options: expected an object, got null"],
];

for (const [options, kind, text] of WRONG) {
  Deno.test(`run() refuses a wrong option before anything starts: ${text}`, async () => {
    const marker = Deno.makeTempFileSync();
    try {
      const call = Reflect.apply(run, undefined, [["rm", marker], options]);
      await assertRejects(() => call, kind, text);
      assert(Deno.statSync(marker).isFile);
    } finally {
      Deno.removeSync(marker);
    }
  });
}

Deno.test("run() refuses an invalid command", async () => {
  for (
    const [command, text] of [
      [[], "command: expected an array with at least one word, got an empty array"],
      ["ls -l", 'command: expected an array with at least one word, got "ls -l"'],
      [["ls", 7], "command[1]: expected a string, got 7"],
    ] as const
  ) {
    await assertRejects(() => Reflect.apply(run, undefined, [command]), TypeError, text);
  }
});

Deno.test("stopSidecars() and waitUntilReady() check their arguments too", async () => {
  await assertRejects(() => stopSidecars([], { retries: -1 }), RangeError, "retries");
  await assertRejects(() => waitUntilReady([], { timeoutMs: -1 }), RangeError, "timeoutMs");
  await assertRejects(
    () => Reflect.apply(stopSidecars, undefined, [[envoy]]),
    TypeError,
    "hooks[0]",
  );
});

Deno.test("refuse() takes a command without words, and refuses what is no command", async () => {
  const { exitCode, command } = await refuse([], ["SYNC_TARGET is not set"]);
  assertEquals([exitCode, command], [125, ""]);
  await assertRejects(
    () => Reflect.apply(refuse, undefined, [undefined, []]),
    TypeError,
    "command: expected an array with at least one word, got undefined",
  );
});

Deno.test("a hook whose candidates are undefined is the hook of one sidecar", async () => {
  const hook = { ...fileHook({ path: Deno.makeTempFileSync() }), candidates: undefined };
  const outcomes = await Reflect.apply(stopSidecars, undefined, [[hook]]);
  assertEquals(outcomes.map(({ outcome }: { outcome: string }) => outcome), ["stopped"]);
});
