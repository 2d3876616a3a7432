/** Charts with a hook and a CronJob, by the real Helm 3 and 4. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { PILOT_AGENT, SHELL } from "../kubernetes/images.ts";
import { exitCodes, kubectl, mustKubectl, testInNamespace } from "../kubernetes/support.ts";
import { wrapStdin } from "../support/wrapper.ts";
import { makeHome } from "./support.ts";

const PLUGIN = new URL("../../examples/helm", import.meta.url).pathname;

/** A pod with Istio's sidecar as an ordinary container, without the wrapper. */
const pod = (policy: string) => ({
  spec: {
    restartPolicy: policy,
    containers: [
      { name: "main", image: SHELL, command: ["sh", "-c", "exit 0"] },
      { name: "istio-proxy", image: PILOT_AGENT, args: ["0", "10000"] },
    ],
  },
});

const HOOK = {
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: {
    name: "migrate",
    annotations: {
      "helm.sh/hook": "pre-install,pre-upgrade",
      "helm.sh/hook-delete-policy": "before-hook-creation",
    },
  },
  spec: { backoffLimit: 0, template: pod("Never") },
};

const CRON_JOB = {
  apiVersion: "batch/v1",
  kind: "CronJob",
  metadata: { name: "nightly" },
  spec: { schedule: "15 3 * * *", jobTemplate: { spec: { template: pod("Never") } } },
};

/** Makes a chart in a home of its own. */
function makeTrial() {
  const home = makeHome();
  const chart = `${home.folder}/chart`;
  Deno.mkdirSync(`${chart}/templates`, { recursive: true });
  Deno.writeTextFileSync(`${chart}/Chart.yaml`, "apiVersion: v2\nname: trial\nversion: 1.0.0\n");
  const documents = [HOOK, CRON_JOB].map((document) => JSON.stringify(document));
  Deno.writeTextFileSync(`${chart}/templates/all.yaml`, documents.join("\n---\n"));
  return { ...home, chart };
}

testInNamespace("Helm without the wrapper: a hook with a sidecar never ends", async (here) => {
  using trial = makeTrial();
  const args = ["install", "trial", trial.chart, "--namespace", here.name, "--timeout=15s"];
  const { code, stderr } = await trial.run("HELM_4", ...args);
  assertEquals(code, 1, stderr);
  const pod = await here.pod("migrate", (pod) => exitCodes(pod)["main"] === 0);
  assertEquals(exitCodes(pod)["istio-proxy"], undefined);
});

testInNamespace(
  "Helm 4 with the plugin: a chart's hook and its CronJob's run are Complete, at install and at upgrade",
  async (here) => {
    using trial = makeTrial();
    assertEquals((await trial.run("HELM_4", "plugin", "install", PLUGIN)).code, 0);
    const rest = [trial.chart, "--namespace", here.name, "--timeout=60s"];
    for (const action of ["install", "upgrade"]) {
      const args = [action, "trial", ...rest, "--post-renderer", "wrapper"];
      const { code, stdout, stderr } = await trial.run("HELM_4", ...args);
      assertEquals(code, 0, stdout + stderr);
      const { result, pods: [pod] } = await here.ended("migrate");
      assert(pod !== undefined);
      assertEquals([result, exitCodes(pod)], ["Complete", { main: 0, "istio-proxy": 0 }]);
      const run = `run-${action}`;
      await mustKubectl(
        ["--namespace", here.name, "create", "job", run, "--from=cronjob/nightly"],
      );
      const nightly = await here.ended(run);
      assertEquals([nightly.result, nightly.pods.map(exitCodes)], [
        "Complete",
        [{ main: 0, "istio-proxy": 0 }],
      ]);
    }
    const args = ["template", "trial", trial.chart, "--post-renderer", "wrapper"];
    const other = await trial.run("HELM_4", ...args, "--post-renderer-args", "--hook=envoy");
    assertEquals(other.code, 0, other.stderr);
    assertMatch(other.stdout, /WRAPPER_HOOKS[^]{0,40}envoy/);
  },
);

testInNamespace("Helm 3: its output through a pipe, hooks included", async (here) => {
  using trial = makeTrial();
  const rendered = await trial.run("HELM_3", "template", "trial", trial.chart);
  assertEquals(rendered.code, 0, rendered.stderr);
  const { code, stdout, stderr } = await wrapStdin(rendered.stdout);
  assertEquals(code, 0, stderr);
  const applied = await kubectl(["--namespace", here.name, "apply", "--filename=-"], stdout);
  assertEquals(applied.code, 0, applied.stderr);
  const { result, pods: [pod] } = await here.ended("migrate");
  assert(pod !== undefined);
  assertEquals([result, exitCodes(pod)], ["Complete", { main: 0, "istio-proxy": 0 }]);
  assertStringIncludes(await here.log(pod, "main"), "istio: told to quit");
});

Deno.test("Helm 3's post-renderer does not get hooks: the hook comes out untouched", async () => {
  using trial = makeTrial();
  const script = `${trial.folder}/post-renderer`;
  Deno.writeTextFileSync(script, "#!/bin/sh\nexec wrapper --wrap -\n", { mode: 0o755 });
  const args = ["template", "trial", trial.chart, "--post-renderer", script];
  const { code, stdout, stderr } = await trial.run("HELM_3", ...args);
  assertEquals(code, 0, stderr);
  const documents = stdout.split(/^---$/m);
  const isWrapped = (kind: string) =>
    documents.filter((text) => text.includes(`"kind":"${kind}"`) || text.includes(`kind: ${kind}`))
      .map((text) => text.includes("/shared/wrapper"));
  assertEquals([isWrapped("CronJob"), isWrapped("Job")], [[true], [false]]);
});
