/** What `--wrap` knows about sidecars, the recipes, the hints and the policy say the same. */

import { parse } from "yaml";
import { MANIFESTS } from "../../hooks/manifest/registry.ts";
import { PRESETS } from "../../hooks/registry.ts";
import { read, sources } from "../../scripts/sources.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "../../tests/support/assert.ts";
import { findSidecar, list } from "./containers.ts";
import { merged } from "./tree.ts";

const README = read("README.md");

/** Every recipe on a page: part of a pod template. */
function recipes(page: string): readonly Record<string, unknown>[] {
  return [...page.matchAll(/^```yaml\n([^]*?)^```$/gm)].map(([, text = ""]) => merged(parse(text)));
}

interface Facts {
  readonly name: string;
  readonly image: string;
  readonly words: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
}

function containersOf(recipe: Record<string, unknown>): readonly Facts[] {
  return list(merged(recipe["spec"])["containers"]).map(merged).map((one) => ({
    name: String(one["name"]),
    image: String(one["image"] ?? ""),
    words: [...list(one["command"]), ...list(one["args"])].map(String),
    variables: Object.fromEntries(
      list(one["env"]).map(merged).flatMap(({ name, value }) =>
        value === undefined ? [] : [[String(name), String(value)]]
      ),
    ),
  }));
}

Deno.test("every preset is known in a manifest", () => {
  const none = { labels: {}, annotations: {} };
  const known = MANIFESTS.map((manifest) => manifest.hook(none));
  for (const { hookName } of PRESETS) assert(known.includes(hookName), hookName);
});

Deno.test("what a sidecar must have is in its recipe, and in what its preset says when it is missing", () => {
  const presets = sources("hooks").filter((path) => !path.startsWith("hooks/manifest/")).map(read);
  const needs = MANIFESTS.flatMap(({ annotations = [], flags = [] }) => [
    ...annotations.map(({ key, value }) => [key, value] as const),
    ...flags.map(({ flag }) => [flag, ""] as const),
  ]);
  assert(needs.length > 6);
  for (const [key, value] of needs) {
    const inReadme = README.split("\n").filter((line) => line.includes(key));
    assert(inReadme.some((line) => line.includes(value) || key.startsWith("openbao.")), key);
  }
  for (const { annotations = [], hook } of MANIFESTS) {
    const needed = annotations.find(({ keepsOther, key }) =>
      !keepsOther && !key.startsWith("openbao")
    );
    const name = hook({ labels: {}, annotations: {} });
    if (needed === undefined) continue;
    const own = presets.filter((text) => text.includes(`"${name}"`) && text.includes(needed.key));
    assert(own.length > 0, `${name}: no preset says ${needed.key}`);
  }
});

Deno.test("every injector's mark is the one of its recipe", () => {
  for (const { injector, hook } of MANIFESTS) {
    if (injector === undefined || injector.key.startsWith("openbao")) continue;
    assertStringIncludes(README, injector.mark, hook({ labels: {}, annotations: {} }));
  }
});

Deno.test("the sidecars of all recipes are recognized, and get the hook of their recipe", () => {
  let seen = 0;
  for (const page of [README, read("docs/sidecars-without-http.md")]) {
    for (const recipe of recipes(page)) {
      const [main, ...others] = containersOf(recipe);
      const target = main?.variables["WRAPPER_HOOKS"] ?? "";
      for (const other of others) {
        if (["load", "sidecar"].includes(other.name)) continue;
        const sidecar = findSidecar(other);
        assert(sidecar !== undefined, `${other.name} ${other.image}`);
        assertEquals(sidecar.hook({ labels: {}, annotations: {} }, other), target, other.name);
        assertEquals(sidecar.needsSignal ?? false, target.startsWith("signal:"), other.name);
        const timeout = main?.variables["WRAPPER_SHUTDOWN_TIMEOUT"];
        if (timeout !== undefined) assertEquals(sidecar.shutdownTimeout, timeout, other.name);
        if (main?.variables["WRAPPER_WAIT_FOR"] !== undefined && sidecar.needsSignal) {
          assertMatch(sidecar.advice ?? "", /WRAPPER_WAIT_FOR/, other.name);
        }
        assertEquals(
          merged(recipe["spec"])["shareProcessNamespace"] === true,
          sidecar.needsSignal ?? false,
          other.name,
        );
        seen++;
      }
    }
  }
  assert(seen >= 9, String(seen));
});
