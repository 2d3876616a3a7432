/** The lines to paste in docs/orchestrators.md: valid in a pod, with options that this code understands. */

// @ts-types="../types/std_yaml_parse.d.ts"
import { parse } from "@std/yaml/parse";
import { isObject } from "../src/http/page.ts";
import { readInvocation } from "../src/cli/settings.ts";
import { VERSION } from "../src/cli/version.ts";
import { assert, assertEquals } from "../tests/support/assert.ts";
import { checkAndRun, programOf } from "../tests/support/manifests.ts";

const PAGE = Deno.readTextFileSync(new URL("../docs/orchestrators.md", import.meta.url));

const blocks = (language: string) =>
  [...PAGE.matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, "g"))].map(([, text = ""]) =>
    text
  );

/** Every list called `command` in a document. */
function commandsIn(value: unknown): readonly (readonly string[])[] {
  if (Array.isArray(value)) return value.flatMap(commandsIn);
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([name, inside]) => {
    if (name === "podSpecPatch") return commandsIn(parse(String(inside)));
    return name === "command" ? [(inside as readonly unknown[]).map(String)] : commandsIn(inside);
  });
}

const DOCUMENTS = blocks("yaml").map((text) => parse(text));

Deno.test("each command on the page about orchestrators is the wrapper's, with a whole command line", () => {
  const commands = DOCUMENTS.flatMap(commandsIn);
  assertEquals(commands.map(([program]) => program), commands.map(() => "/shared/wrapper"));
  // Airflow's executor, Spark, Argo, Dagster, Prefect.
  assertEquals(commands.length, 5);
  for (const [, ...words] of commands) {
    // Dagster writes the words of the job behind it, as args.
    const { problems, warnings } = readInvocation(
      words.length > 0 ? words : ["dagster"],
      () => undefined,
    );
    assertEquals([problems, warnings], [[], []]);
  }
});

Deno.test("the page's parts of pods are valid for Kubernetes' schema", async () => {
  const templates = DOCUMENTS.flatMap((document, index) => {
    assert(isObject(document));
    const { podSpecPatch } = document;
    const spec = podSpecPatch ? parse(String(podSpecPatch)) : document["spec"];
    return isObject(spec) ? [{ name: `part-${index}`, template: { spec } }] : [];
  });
  assertEquals(templates.length, 3);
  const jobs = templates.map(({ name, template: { spec } }) => ({
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name },
    spec: { template: { spec: { restartPolicy: "Never", ...spec } } },
  }));
  const { code, stderr } = await checkAndRun(programOf(jobs));
  assertEquals(code, 0, stderr);
});

Deno.test("the page's operator for Airflow installs this version where its command is", () => {
  const [python] = blocks("python");
  assert(python !== undefined);
  const variables = new Map([...python.matchAll(/"(WRAPPER_\w+)": "(.*?)"/g)].map(
    ([, name = "", value = ""]) => [name, value],
  ));
  const { problems, warnings } = readInvocation(["x"], (name) => variables.get(name));
  assertEquals([variables.size, problems, warnings], [2, [], []]);
  const install = readInvocation(["--install", "/shared"], () => undefined);
  assertEquals([install.action, install.problems], ["install", []]);
  for (
    const part of [
      `image="ghcr.io/k8s-job/wrapper:${VERSION}-portable"`,
      'args=["--install", "/shared"]',
      'cmds=["/shared/wrapper"]',
      'mount_path="/shared"',
    ]
  ) assert(python.includes(part), part);
});

Deno.test("the page's patch for Argo installs this version where its command is", () => {
  const patches = DOCUMENTS.flatMap((document) =>
    isObject(document) && "podSpecPatch" in document
      ? [parse(String(document["podSpecPatch"]))]
      : []
  );
  assertEquals(patches, [{
    initContainers: [{
      name: "install-wrapper",
      image: `ghcr.io/k8s-job/wrapper:${VERSION}-portable`,
      args: ["--install", "/shared"],
      volumeMounts: [{ name: "wrapper", mountPath: "/shared" }],
    }],
    containers: [{
      name: "wait",
      command: "/shared/wrapper argoexec wait --loglevel info --log-format text".split(" "),
      env: [{ name: "WRAPPER_HOOKS", value: "istio" }],
      volumeMounts: [{ name: "wrapper", mountPath: "/shared", readOnly: true }],
    }],
    volumes: [{ name: "wrapper", emptyDir: {} }],
  }]);
});

Deno.test("the page's annotations are those that the policy reads", () => {
  const policy = Deno.readTextFileSync(
    new URL("mutating-admission-policy.yaml", import.meta.url),
  );
  const annotations = DOCUMENTS.flatMap((document) => {
    const metadata = isObject(document) && isObject(document["metadata"])
      ? document["metadata"]
      : {};
    return Object.keys(metadata["annotations"] ?? {});
  });
  assertEquals(annotations, ["wrapper-container", "wrapper-entrypoint"]);
  for (const name of annotations) assert(policy.includes(`"${name}"`), name);
});
