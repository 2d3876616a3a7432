// @ts-types="../types/std_yaml_parse.d.ts"
import { parse } from "@std/yaml/parse";
import { isObject } from "../src/http/page.ts";
import { parseHook, PRESETS } from "../hooks/registry.ts";
import { OPTIONS } from "../src/options.ts";
import { readInvocation } from "../src/cli/settings.ts";
import { assert, assertEquals } from "../tests/support/assert.ts";
import { checkAndRun, programOf } from "../tests/support/manifests.ts";

/** The pages with recipes. */
const PAGES = ["README.md", "docs/sidecars-without-http.md"].map((page) =>
  Deno.readTextFileSync(new URL(`../${page}`, import.meta.url))
);

/** The pages' examples in YAML, each with its heading. */
function recipes(): readonly (readonly [heading: string, document: unknown])[] {
  return PAGES.join("\n").split(/\n(?=##+ )/).flatMap((section) => {
    const heading = /^##+ (.*)/.exec(section)?.[1] ?? "";
    const blocks = [...section.matchAll(/```yaml\n([\s\S]*?)```/g)];
    return blocks.map(([, yaml = ""]) => [heading, parse(yaml)] as const);
  });
}

/** The wrapper's variables in a manifest, wherever they are. */
function variables(value: unknown): readonly (readonly [name: string, value: string])[] {
  if (Array.isArray(value)) return value.flatMap(variables);
  if (!isObject(value)) return [];
  const { name, value: text } = value;
  if (typeof name === "string" && name.startsWith("WRAPPER_")) return [[name, String(text)]];
  return Object.values(value).flatMap(variables);
}

Deno.test("the README has a recipe for every preset, which names its hook", () => {
  for (const { hookName } of PRESETS) {
    const hooks = recipes().filter(([heading]) => heading === hookName)
      .flatMap(([, document]) => variables(document))
      .filter(([name]) => name === OPTIONS.hook.variable);
    assertEquals(hooks[0]?.[1], hookName);
  }
});

Deno.test("a recipe with a signal shares the process namespace", () => {
  let count = 0;
  for (const [heading, document] of recipes()) {
    const hooks = new Map(variables(document)).get(OPTIONS.hook.variable) ?? "";
    if (!hooks.startsWith("signal:")) continue;
    const spec = isObject(document) && isObject(document["spec"]) ? document["spec"] : {};
    assertEquals(spec["shareProcessNamespace"], true, heading);
    count++;
  }
  assert(count >= 8, `only ${count} recipes`);
});

Deno.test("the README's manifests are YAML, and the wrapper understands their variables", () => {
  const known: readonly string[] = Object.values(OPTIONS).map(({ variable }) => variable);
  let count = 0;
  for (const [heading, document] of recipes()) {
    const environment = new Map(variables(document));
    for (const name of environment.keys()) assert(known.includes(name), `${heading}: ${name}`);
    const { problems, settings } = readInvocation(["true"], (name) => environment.get(name));
    assertEquals(problems, [], heading);
    for (const target of settings.hook) parseHook(target);
    count += environment.size;
  }
  assert(count >= PRESETS.length, `only ${count} variables found`);
});

/** The Job that a recipe is a part of: what it leaves out is added. */
function jobOf(recipe: Readonly<Record<string, unknown>>) {
  const spec = isObject(recipe["spec"]) ? recipe["spec"] : {};
  const containers = Array.isArray(spec["containers"]) ? spec["containers"] : [{ name: "main" }];
  const template = {
    ...recipe,
    spec: {
      restartPolicy: "Never",
      ...spec,
      containers: containers.map((container) => ({
        image: "registry.example.com/my-job:1",
        ...container,
      })),
    },
  };
  return { apiVersion: "batch/v1", kind: "Job", metadata: { name: "my-job" }, spec: { template } };
}

Deno.test("each recipe is a valid part of a Job's template, without unknown fields", async () => {
  const parts = recipes().flatMap(([, document]) =>
    isObject(document) && !("apiVersion" in document) &&
      ("spec" in document || "metadata" in document)
      ? [document]
      : []
  );
  assert(parts.length >= 25, `only ${parts.length} recipes`);
  const { code, stderr } = await checkAndRun(programOf(parts.map(jobOf)));
  assertEquals(code, 0, stderr);

  const wrong = { spec: { shareProcesNamespace: true } };
  assertEquals((await checkAndRun(programOf([jobOf(wrong)]))).code, 1);
});
