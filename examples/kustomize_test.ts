/** `--wrap` as a kustomize function: the example's and the page's lines. */

// @ts-types="../types/std_yaml_parse.d.ts"
import { parse } from "@std/yaml/parse";
import { isObject } from "../src/http/page.ts";
import { readInvocation } from "../src/cli/settings.ts";
import { parseEntrypoint, wrapText } from "../src/wrap/wrap.ts";
import { DEFAULT_IMAGE } from "../src/cli/wrap.ts";
import { assert, assertEquals } from "../tests/support/assert.ts";
import { type Document, podSpecOf } from "../tests/support/examples.ts";
import { checkAndRun, programOf } from "../tests/support/manifests.ts";

const read = (path: string) => Deno.readTextFileSync(new URL(path, import.meta.url));
const FUNCTION = read("kustomize-function/wrapper.yaml");
const JOB = read("kustomize-function/job.yaml");

/** The words with which a function's configuration starts the wrapper. */
function wordsOf(yaml: string): readonly string[] {
  const document = parse(yaml);
  assert(isObject(document));
  // Anything else there would be refused.
  assertEquals(Object.keys(document), ["apiVersion", "kind", "metadata"]);
  const metadata = isObject(document["metadata"]) ? document["metadata"] : {};
  const annotations = isObject(metadata["annotations"]) ? metadata["annotations"] : {};
  const call = parse(String(annotations["config.kubernetes.io/function"]));
  const exec = isObject(call) && isObject(call["exec"]) ? call["exec"] : {};
  assertEquals(exec["path"], "wrapper");
  const { args } = exec;
  return Array.isArray(args) ? args.map(String) : [];
}

function wrapWordsOf(yaml: string) {
  const { action, actionArgument, problems, warnings, wrap } = readInvocation(
    wordsOf(yaml),
    () => undefined,
  );
  assertEquals([action, actionArgument, problems, warnings], ["wrap", "-", [], []]);
  assert(wrap !== undefined);
  return wrap;
}

Deno.test("examples/kustomize-function: its options wrap its Job, and what comes out is valid", async () => {
  const { files, containers, entrypoints, variables } = wrapWordsOf(FUNCTION);
  const { text, isLeft } = wrapText(JOB, {
    files,
    image: DEFAULT_IMAGE,
    containers,
    entrypoints: new Map(entrypoints.map((one) => parseEntrypoint(one) ?? ["", []])),
    variables,
  });
  assertEquals(isLeft, false);
  const [before, after] = [JOB, text].map((yaml) => parse(yaml) as Document);
  assert(before !== undefined && after !== undefined);
  const [main] = podSpecOf(after)?.containers ?? [];
  assertEquals(main?.command, ["/shared/wrapper", "/my-job"]);
  const { code, stderr } = await checkAndRun(programOf([before, after]));
  assertEquals(code, 0, stderr);

  const kustomization = parse(read("kustomize-function/kustomization.yaml"));
  assert(isObject(kustomization));
  const { resources, transformers } = kustomization;
  assertEquals([resources, transformers], [["job.yaml"], ["wrapper.yaml"]]);
});

Deno.test("docs/wrap.md: the function's lines are those of the example, but for its options", () => {
  const blocks = [...read("../docs/wrap.md").matchAll(/```yaml\n([^]*?)```/g)]
    .map(([, text = ""]) => text);
  const [kustomization = "", function_ = "", ...others] = blocks;
  assertEquals(others, []);
  assertEquals(parse(kustomization), { transformers: ["wrapper.yaml"] });
  assertEquals([...wrapWordsOf(function_).variables], [["WRAPPER_HOOKS", "istio"]]);
  const start = (text: string) => text.slice(text.indexOf("apiVersion:"), text.indexOf("args:"));
  assertEquals(start(function_), start(FUNCTION));
});
