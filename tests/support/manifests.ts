/** Checks manifests against Kubernetes' own schema, and for fields that it does not know. */

import { assert } from "./assert.ts";

/** The kinds of objects in the examples, each with the module that has its types. */
const MODULES: Readonly<Record<string, string>> = {
  "batch/v1 Job": "batch/v1/Job",
  "batch/v1 CronJob": "batch/v1/CronJob",
  "v1 ConfigMap": "v1/ConfigMap",
  "admissionregistration.k8s.io/v1 MutatingAdmissionPolicy":
    "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
  "admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding":
    "admissionregistration.k8s.io/v1/MutatingAdmissionPolicyBinding",
  "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy":
    "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy",
  "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding":
    "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding",
};

/** A program with all documents as literals, in which the type checker finds unknown fields. */
export function programOf(documents: readonly { kind: string; apiVersion: string }[]): string {
  return documents.map((document, index) => {
    const module = MODULES[`${document.apiVersion} ${document.kind}`];
    assert(module !== undefined, `${document.apiVersion} ${document.kind}`);
    const from = `npm:kubernetes-models@5.1.0/${module}`;
    return `import { I${document.kind} as T${index}, ${document.kind} as C${index} } from "${from}";
const d${index}: T${index} = ${JSON.stringify(document)};
new C${index}(d${index}).validate();
`;
  }).join("");
}

/** Checks the types of such a program and runs it. */
export async function checkAndRun(program: string): Promise<{ code: number; stderr: string }> {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/examples.ts`, program);
    const args = ["run", "--quiet", "--check", "--allow-all", `${folder}/examples.ts`];
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args,
      cwd: folder,
      env: { NO_COLOR: "1" },
    }).output();
    return { code, stderr: new TextDecoder().decode(stderr) };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}
