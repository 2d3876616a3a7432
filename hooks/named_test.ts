import type { Hook } from "../src/hook.ts";
import { readNamed } from "./named.ts";
import { parseHook, PRESETS } from "./registry.ts";
import { assert, assertEquals } from "../tests/support/assert.ts";

const NONE: ReadonlySet<string> = new Set();

Deno.test("every preset is read by its name as the registry reads it", async () => {
  const names = PRESETS.map(({ hookName }) => hookName);
  const targets = names.flatMap((name) => [name, `${name}=http://127.0.0.1:1234`]);
  const read = await readNamed([...targets, "none"], NONE);
  assert(read !== undefined);
  assertEquals(read.size, 2 * PRESETS.length + 1);
  const addresses = (hook: Hook | undefined) =>
    hook && "stop" in hook ? [hook.name, hook.address, hook.readyAddress] : [];
  for (const [target, hook] of read) {
    assertEquals(addresses(hook), addresses(parseHook(target)), target);
  }
  assertEquals(addresses(read.get("istio")).length, 3);
});

Deno.test("what is unusual, or wrong, is left to the registry", async () => {
  for (
    const target of [
      "auto",
      "itsio",
      "toString",
      "",
      "http://localhost:1/quit",
      "file:/tmp/x",
      "signal:x",
      "istio=",
      "istio=15020",
      "istio=http://localhost:1/path",
      "istio=http://localhost:99999",
      "istio=http://a:1,http://b:2",
      "istio=http://me:sesame@localhost:1",
    ]
  ) {
    assertEquals(await readNamed(["istio", target], NONE), undefined, target);
  }
  assertEquals(await readNamed(["istio"], new Set(["istio"])), undefined);
});
