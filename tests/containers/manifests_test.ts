/** The example manifests as `podman kube play` runs them, with images of this machine's. */

import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { containersOf, EXAMPLES, podSpecOf } from "../support/examples.ts";
import { both, ENVOY, testWith } from "../support/needs.ts";
import {
  ENVOY_IMAGE,
  imageOn,
  makeImages,
  PILOT_AGENT_IMAGE,
  playPod,
  PODMAN,
  TARGET_IMAGE,
} from "./support.ts";

const FILES = [
  "istio.yaml",
  "indexed.yaml",
  "envoy.yaml",
  "init-container.yaml",
] as const;

for (const file of FILES) {
  testWith(both(PODMAN, ENVOY), `${file}: the pod of its Job ends`, async ([, envoy]) => {
    await makeImages();
    const documents = EXAMPLES.filter((example) => example.file === file);
    const job = documents.find(({ document }) => document.kind === "Job")?.document;
    const spec = job && podSpecOf(job);
    if (spec === undefined) throw new Error(`no Job in ${file}`);

    const isInstalled = spec.initContainers !== undefined;
    const containers = spec.containers.map((container) => {
      if (container.name === "envoy") {
        const mount = { name: "program", mountPath: "/usr/local/bin/envoy", readOnly: true };
        const volumeMounts = [...container.volumeMounts ?? [], mount];
        return { ...container, image: ENVOY_IMAGE, volumeMounts };
      }
      const [program = ""] = container.command ?? [];
      return {
        ...container,
        image: imageOn(isInstalled ? "BusyBox" : "Debian slim"),
        command: [program, "/job", "exit", "3"],
        // Kubernetes sets this in every container.
        env: [...container.env ?? [], { name: "KUBERNETES_SERVICE_HOST", value: "10.0.0.1" }],
      };
    });
    const hasEnvoy = containersOf(spec).some(({ name }) => name === "envoy");
    // Istio's webhook adds its sidecar; here it stands in the manifest.
    const injected = { name: "pilot-agent", image: PILOT_AGENT_IMAGE, args: ["0", "10000"] };
    const program = { name: "program", hostPath: { path: envoy, type: "File" } };
    const pod = {
      ...spec,
      ...(spec.initContainers && {
        initContainers: spec.initContainers.map((container) => ({
          ...container,
          image: TARGET_IMAGE.portable,
        })),
      }),
      containers: hasEnvoy ? containers : [...containers, injected],
      ...(hasEnvoy && { volumes: [...spec.volumes ?? [], program] }),
    };
    const others = documents.map(({ document }) => document)
      .filter(({ kind }) => kind === "ConfigMap");
    await using played = await playPod(pod, others);
    assertEquals(await played.exitCode("main"), 3);
    const sidecar = hasEnvoy ? "envoy" : "pilot-agent";
    assertEquals(await played.exitCode(sidecar), 0);
    const log = await played.log("main");
    assertStringIncludes(log, "job: the orphan was reaped");
    assertStringIncludes(log, `wrapper: ${hasEnvoy ? "envoy" : "istio"}: told to quit (200 OK)`);
  });
}
