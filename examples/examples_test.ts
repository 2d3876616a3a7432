/**
 * The manifests in `examples/`, and the whole ones in the README: each is valid for Kubernetes' own
 * schema, has no unknown field, and has only options that this code understands.
 */

// @ts-types="../types/std_yaml_parse.d.ts"
import { parse } from "@std/yaml/parse";

import { parseHook } from "../hooks/registry.ts";
import { OPTIONS } from "../src/options.ts";
import { readInvocation } from "../src/cli/settings.ts";
import { VERSION } from "../src/cli/version.ts";
import { assert, assertEquals } from "../tests/support/assert.ts";
import { isObject } from "../src/http/page.ts";
import { checkAndRun, programOf } from "../tests/support/manifests.ts";
import { containersOf, type Document, EXAMPLES, podSpecOf } from "../tests/support/examples.ts";

/** The README's manifests that somebody may paste as they stand; its recipes are parts of one. */
const README: readonly Document[] = [
  ...Deno.readTextFileSync(new URL("../README.md", import.meta.url))
    .matchAll(/^```yaml\n([^]*?)^```$/gm),
].flatMap(([, yaml = ""]) => {
  const document = parse(yaml);
  return isObject(document) && "apiVersion" in document ? [document as unknown as Document] : [];
});

Deno.test("every example is valid for Kubernetes' schema and has no unknown field", async () => {
  const documents = [...README, ...EXAMPLES.map(({ document }) => document)];
  const { code, stderr } = await checkAndRun(programOf(documents));
  assertEquals(code, 0, stderr);
});

Deno.test("the README's manifests have a time limit, and start the wrapper whatever the image's ENTRYPOINT is", () => {
  const found = README.map((document) => {
    const spec = podSpecOf(document);
    const job = document.spec?.jobTemplate?.spec ?? document.spec;
    assert(spec !== undefined && isObject(job), document.kind);
    assert(Number(job["activeDeadlineSeconds"]) > 0, `${document.kind}: activeDeadlineSeconds`);
    const [main, ...others] = containersOf(spec);
    assertEquals([main?.command?.[0], others], ["/wrapper", []]);
    const variables = new Map((main?.env ?? []).map(({ name, value }) => [name, value]));
    const { settings, problems, warnings } = readInvocation(
      main?.command?.slice(1) ?? [],
      (name) => variables.get(name),
    );
    assertEquals([problems, warnings], [[], []]);
    // With OnFailure, a failed attempt must leave the sidecar to the next one; otherwise it must not.
    const policy = "restartPolicy" in spec ? spec.restartPolicy : undefined;
    assertEquals(settings.on, policy === "OnFailure" ? "success" : "always");
    return `${document.kind} ${policy}`;
  });
  assertEquals(found.toSorted(), ["CronJob Never", "Job Never", "Job OnFailure"]);
});

Deno.test("a misspelled field or a wrong value in an example would be found", async () => {
  const job = EXAMPLES.find(({ document }) => document.kind === "Job")?.document;
  assert(job !== undefined);
  const text = JSON.stringify(job);
  for (
    const [right, wrong] of [['"image":', '"imagee":'], ['"backoffLimit":2', '"backoffLimit":"2"']]
  ) {
    assert(right !== undefined && wrong !== undefined && text.includes(right), text);
    const { code } = await checkAndRun(programOf([JSON.parse(text.replace(right, wrong))]));
    assertEquals(code, 1, wrong);
  }
});

for (const { file, document } of EXAMPLES) {
  const spec = podSpecOf(document);
  if (spec === undefined) continue;
  Deno.test(`${file}: the ${document.kind}'s options, images and ports match the code`, () => {
    const main = containersOf(spec).find(({ name }) => name === "main");
    assert(main !== undefined, "a container main");
    const variables = new Map((main.env ?? []).map(({ name, value }) => [name, value]));
    const [program = "", ...command] = main.command ?? [];
    assert(["/wrapper", "/shared/wrapper"].includes(program), program);
    const { settings, problems, warnings } = readInvocation(command, (name) => variables.get(name));
    assertEquals([problems, warnings], [[], []]);
    assertEquals(settings.terminationLog, "/dev/termination-log");

    const addresses = settings.hook.map((target) => parseHook(target)?.address ?? "");
    const others = containersOf(spec).filter(({ name }) => name !== "main");
    for (const { name, args = [] } of others) {
      if (name === "cloud-sql-proxy") {
        assert(args.includes("--quitquitquit"));
        const port = args.find((text) => text.startsWith("--admin-port="))?.split("=")[1];
        assert(addresses.includes(`http://localhost:${port}/quitquitquit`), addresses.join());
      } else if (name === "envoy") {
        const config = EXAMPLES.find((other) =>
          other.file === file && other.document.kind === "ConfigMap"
        );
        const [, port] = /port_value: (\d+)/.exec(JSON.stringify(config?.document)) ?? [];
        assert(addresses.includes(`http://localhost:${port}/quitquitquit`), addresses.join());
      } else if (name === "install-wrapper") {
        const install = readInvocation(args, () => undefined);
        assertEquals([install.action, install.problems], ["install", []]);
        assertEquals(`${install.actionArgument}/wrapper`, program);
        const path = install.actionArgument ?? "";
        const mounts = [others.find((other) => other.name === name), main].map((container) =>
          container?.volumeMounts?.map(({ mountPath }) => mountPath)
        );
        assertEquals(mounts, [[path], [path]]);
      } else if (name === "second") {
        // A work container, too: they know of each other.
        const both = [main, others.find((other) => other.name === name)];
        const shared = both.map((container) => [
          container?.volumeMounts?.map(({ mountPath }) => mountPath),
          container?.env?.find(({ name }) => name === OPTIONS.containers.variable)?.value,
        ]);
        assertEquals(shared, both.map(() => [[settings.sharedDir], String(settings.containers)]));
        assertEquals(settings.containers, both.length);
      } else {
        throw new Error(`this test does not know how ${name} is told to quit`);
      }
    }
    for (const { image = "" } of others) {
      if (image.includes("k8s-job/wrapper")) {
        assertEquals(image, `ghcr.io/k8s-job/wrapper:${VERSION}-portable`);
      }
    }
  });
}

Deno.test("the policy for a whole cluster puts this version where the init container's example puts it", () => {
  const policy = EXAMPLES.find(({ document }) => document.kind === "MutatingAdmissionPolicy")
    ?.document;
  const job = EXAMPLES.find(({ file, document }) =>
    file === "init-container.yaml" && document.kind === "Job"
  )?.document;
  const spec = job && podSpecOf(job);
  const [init] = spec?.initContainers ?? [];
  const text = JSON.stringify(policy).replaceAll("\\", "");
  for (
    const part of [
      `image: "${init?.image}"`,
      `args: [${init?.args?.map((word) => `"${word}"`).join(", ")}]`,
      `mountPath: "${init?.volumeMounts?.[0]?.mountPath}"`,
      `["${spec?.containers[0]?.command?.[0]}"] + (has(object.spec`,
    ]
  ) assert(text.includes(part), part);
});
