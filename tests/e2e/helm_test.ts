/** The post-renderer for Helm 4 in `examples/helm`: its command, on what Helm gives it. */

// @ts-types="../../types/std_yaml_parse_all.d.ts"
import { parseAll } from "@std/yaml/parse";
import { assert, assertEquals } from "../support/assert.ts";
import { type Document, podSpecOf } from "../support/examples.ts";
import { runWithInput } from "../support/wrapper.ts";
import { VERSION } from "../../src/cli/version.ts";

/** A plugin's manifest, with the fields that Helm 4 needs. */
interface Plugin {
  readonly apiVersion: string;
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly runtime: string;
  readonly runtimeConfig: {
    readonly platformCommand: readonly {
      readonly command: string;
      readonly args: readonly string[];
    }[];
  };
}

const [PLUGIN] = parseAll<Plugin>(
  Deno.readTextFileSync(new URL("../../examples/helm/plugin.yaml", import.meta.url)),
);

/** A chart's Job as Helm 4 gives it to a post-renderer: with the file that it is from. */
const job = (name: string, annotation: string, command: string) =>
  `apiVersion: batch/v1
kind: Job
metadata:
  name: ${name}
  annotations:
    postrenderer.helm.sh/postrender-filename: 'chart/templates/${name}.yaml'
${annotation}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: registry.example.com/my-job:1
${command}
`;

const COMMAND = '          command: ["/my-job"]';
const HOOK = '    "helm.sh/hook": pre-install';

/** Runs the plugin's command as Helm does: the words of --post-renderer-args behind its own. */
async function postRender(input: string, extra: readonly string[] = []) {
  const [{ command, args } = { command: "", args: [] }] = PLUGIN?.runtimeConfig.platformCommand ??
    [];
  assertEquals(command, "wrapper");
  return await runWithInput([...args, ...extra], input);
}

Deno.test("Helm's plugin is a post-renderer of this version", () => {
  const { apiVersion, type, name, version, runtime } = PLUGIN ?? ({} as Partial<Plugin>);
  assertEquals([apiVersion, type, name, version, runtime], [
    "v1",
    "postrenderer/v1",
    "wrapper",
    VERSION,
    "subprocess",
  ]);
});

Deno.test("Helm's plugin wraps a chart's Jobs and its hooks, and keeps Helm's annotations", async () => {
  const service =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";
  const input = [job("migrate", HOOK, COMMAND), service, job("load", "", COMMAND)].join("---\n");
  const { code, stdout, stderr } = await postRender(input, ["--hook=istio"]);
  assertEquals(code, 0, stderr);
  const documents = parseAll<Document & { metadata: { annotations?: object } }>(stdout);
  assertEquals(documents.map(({ kind }) => kind), ["Job", "Service", "Job"]);
  assert(stdout.includes(service));
  for (const [index, document] of documents.entries()) {
    if (document.kind !== "Job") continue;
    const [main] = podSpecOf(document)?.containers ?? [];
    assertEquals(main?.command, ["/shared/wrapper", "/my-job"]);
    const hooks = main?.env?.find(({ name }) => name === "WRAPPER_HOOKS")?.value;
    assertEquals(hooks, "istio");
    const annotations = Object.keys(document.metadata.annotations ?? {});
    const expected = ["postrenderer.helm.sh/postrender-filename"];
    assertEquals(annotations, index === 0 ? [...expected, "helm.sh/hook"] : expected);
  }
});

Deno.test("Helm's plugin fails for a Job without a command, unless --post-renderer-args say what it is", async () => {
  const input = job("load", "", "          args: [run]");
  assertEquals((await postRender(input)).code, 1);
  const { code, stdout, stderr } = await postRender(input, ['--entrypoint=main=["/my-job"]']);
  assertEquals(code, 0, stderr);
  const [document] = parseAll<Document>(stdout);
  const [main] = document === undefined ? [] : podSpecOf(document)?.containers ?? [];
  assertEquals([main?.command, main?.args], [["/shared/wrapper", "/my-job"], ["run"]]);
});
