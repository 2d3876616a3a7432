/** The kustomization in `examples/kustomize`, by the kustomize that is in kubectl. */

// @ts-types="../../types/std_yaml_parse.d.ts"
import { parse } from "@std/yaml/parse";
import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { containersOf, type Document, podSpecOf } from "../support/examples.ts";
import { withInjectors } from "./injectors.ts";
import { exitCodes, kubectl, mustKubectl, summaryOf, testInNamespace } from "./support.ts";

const FOLDER = new URL("../../examples/kustomize/", import.meta.url).pathname;

/** The Job of the example with other patches. */
async function kustomized(patches: readonly object[]) {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.copyFileSync(`${FOLDER}job.yaml`, `${folder}/job.yaml`);
    Deno.writeTextFileSync(
      `${folder}/kustomization.yaml`,
      JSON.stringify({
        apiVersion: "kustomize.config.k8s.io/v1beta1",
        kind: "Kustomization",
        resources: ["job.yaml"],
        patches: [{ target: { kind: "Job" }, patch: JSON.stringify(patches) }],
      }),
    );
    return await kubectl(["kustomize", folder]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function specOf(yaml: string) {
  const spec = podSpecOf(parse(yaml) as Document);
  assert(spec !== undefined);
  return spec;
}

Deno.test("the strategic merge keeps what the Job has", async () => {
  const spec = specOf(await mustKubectl(["kustomize", FOLDER]));
  const [main] = containersOf(spec).filter(({ name }) => name === "main");
  assertEquals(main?.command, ["/shared/wrapper", "/my-job"]);
  assertEquals(main?.image, "registry.example.com/my-job-without-wrapper:1");
  const mounts = main?.volumeMounts?.map(({ mountPath }) => mountPath);
  assertEquals(mounts?.toSorted(), ["/scratch", "/shared"]);
  assertEquals(spec.volumes?.map(({ name }) => name).toSorted(), ["scratch", "wrapper"]);
});

Deno.test("a JSON patch erases the Job's volumes, and fails without a command", async () => {
  const volumes = [{ name: "wrapper", emptyDir: {} }];
  const erased = await kustomized([
    { op: "add", path: "/spec/template/spec/volumes", value: volumes },
  ]);
  assertEquals(erased.code, 0, erased.stderr);
  assertEquals(specOf(erased.stdout).volumes?.map(({ name }) => name), ["wrapper"]);
  const path = "/spec/template/spec/containers/0/command/0";
  const failed = await kustomized([{ op: "add", path, value: "/shared/wrapper" }]);
  assertEquals(failed.code, 1, failed.stdout);
  assertStringIncludes(failed.stderr, "doc is missing path");
});

testInNamespace("the kustomization's Job is Complete, and its sidecar was told", async (here) => {
  await using _injectors = await withInjectors();
  await mustKubectl(["--namespace", here.name, "apply", "--kustomize", FOLDER]);
  const { result, pods: [pod] } = await here.ended("from-elsewhere");
  assert(pod !== undefined);
  assertEquals([result, exitCodes(pod)], ["Complete", { main: 0, "istio-proxy": 0 }]);
  assertEquals(summaryOf(pod, "main").hooks.map(({ outcome }) => outcome), ["stopped"]);
});
