/** The policy in `examples/`, which puts the wrapper into pods with a label. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { SHELL } from "./images.ts";
import { LABELS, withPolicy } from "./policy.ts";
import {
  endOfContainer,
  exitCodes,
  job,
  mustKubectl,
  type Parts,
  pilotAgent,
  type Pod,
  RESTRICTED,
  testInNamespace,
  unwrapped,
  USE_NETWORK,
} from "./support.ts";

const INSTALL = "install-wrapper";
const PREFIX = "/shared/wrapper";

/** A Job whose pods have the label; `main` is not wrapped. */
function labeled(name: string, script: string, parts: Parts = {}, pod: object = {}) {
  const main = unwrapped(script, { env: { WRAPPER_HOOKS: "istio" }, ...parts });
  return job(name, [main, pilotAgent(RESTRICTED)], {
    pod,
    template: { metadata: { labels: LABELS } },
  });
}

function commandOf({ spec }: Pod): readonly string[] | undefined {
  return spec.containers.find(({ name }) => name === "main")?.command;
}

testInNamespace(
  "the policy wraps a Job's pod, and a second apply changes nothing",
  async (here) => {
    await using _policy = await withPolicy();
    const manifest = labeled("applied", "exit 0");
    await here.apply(manifest);
    const { result, pods: [pod] } = await here.ended("applied");
    assert(pod !== undefined);
    assertEquals([result, exitCodes(pod)], ["Complete", { main: 0, "istio-proxy": 0 }]);
    assertEquals(commandOf(pod), [PREFIX, "sh", "-c", "exit 0"]);
    assertEquals(endOfContainer(pod, INSTALL).exitCode, 0);

    assertEquals(await here.apply(manifest), "job.batch/applied unchanged");
    const text = JSON.stringify(manifest);
    const { code, stdout } = await here.kubectl(["diff", "--filename=-"], text);
    assertEquals([code, stdout], [0, ""]);
    for (const _time of ["first", "second"]) {
      const args = ["apply", "--server-side", "--force-conflicts", "--filename=-"];
      const { code, stderr } = await here.kubectl(args, text);
      assertEquals([code, stderr], [0, ""]);
    }
  },
);

testInNamespace("the policy keeps a pod's own volumes and init containers", async (here) => {
  await using _policy = await withPolicy();
  const mounts = { volumeMounts: [{ name: "own", mountPath: "/own" }] };
  await here.apply(labeled("own", "test -e /own/made", mounts, {
    volumes: [{ name: "own", emptyDir: {} }],
    initContainers: [{ ...unwrapped("touch /own/made", mounts), name: "prepare" }],
  }));
  const { result, pods: [pod] } = await here.ended("own");
  assert(pod !== undefined);
  assertEquals(result, "Complete");
  assertEquals(pod.spec.initContainers?.map(({ name }) => name), ["prepare", INSTALL]);
});

testInNamespace(
  "the policy leaves alone what has no command or is wrapped already",
  async (here) => {
    await using _policy = await withPolicy();
    const dryRun = async (container: object): Promise<Pod> => {
      const pod = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "trial", labels: LABELS },
        spec: { containers: [{ name: "main", image: SHELL, ...container }] },
      };
      const args = ["create", "--dry-run=server", "--output=json", "--filename=-"];
      return JSON.parse(
        await mustKubectl(["--namespace", here.name, ...args], JSON.stringify(pod)),
      );
    };
    for (const container of [{}, { command: [PREFIX, "true"] }]) {
      const pod = await dryRun(container);
      assertEquals(commandOf(pod), "command" in container ? container.command : undefined);
      assertEquals(pod.spec.initContainers, undefined);
    }
  },
);

testInNamespace(
  "two work containers with the annotation: the second still has its sidecar when the first has ended",
  async (here) => {
    await using _policy = await withPolicy();
    const env = { env: { WRAPPER_HOOKS: "istio" } };
    // At its fourth second the longer one still reaches the sidecar.
    const asks = `sleep 4 && (${USE_NETWORK}) && sleep 1`;
    await here.apply(job("two", [
      unwrapped("sleep 1", env),
      { ...unwrapped("", { command: ["bash", "-c", asks], ...env }), name: "second" },
      pilotAgent(RESTRICTED),
    ], {
      template: { metadata: { labels: LABELS, annotations: { "wrapper-containers": "2" } } },
    }));
    const { result, pods: [pod] } = await here.ended("two");
    assert(pod !== undefined);
    assertEquals([result, exitCodes(pod)], [
      "Complete",
      { main: 0, second: 0, "istio-proxy": 0 },
    ]);
    assertStringIncludes(await here.log(pod, "main"), "left the sidecars to 1 other container");
    assertStringIncludes(await here.log(pod, "second"), "told to quit");
    const seconds = ["main", "second"].map((name) => {
      const { startedAt, finishedAt } = endOfContainer(pod, name);
      return (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000;
    });
    assert(Number(seconds[0]) < 4 && Number(seconds[1]) < 9, `${seconds}`);
  },
);

testInNamespace(
  "the policy wraps the pods of a CronJob, in a restricted namespace",
  async (here) => {
    await using _policy = await withPolicy();
    const { spec } = labeled("", "exit 0", RESTRICTED);
    await here.apply({
      apiVersion: "batch/v1",
      kind: "CronJob",
      metadata: { name: "nightly" },
      spec: { schedule: "15 3 * * *", jobTemplate: { spec } },
    });
    await mustKubectl([
      ...["--namespace", here.name, "create", "job", "now", "--from=cronjob/nightly"],
    ]);
    const { result, pods } = await here.ended("now");
    assertEquals([result, pods.map(exitCodes)], ["Complete", [{ main: 0, "istio-proxy": 0 }]]);
  },
  { "pod-security.kubernetes.io/enforce": "restricted" },
);

/** A quota under which every container must say what it needs. */
const QUOTA = {
  apiVersion: "v1",
  kind: "ResourceQuota",
  metadata: { name: "quota" },
  spec: {
    hard: {
      "requests.cpu": "2",
      "limits.cpu": "4",
      "requests.memory": "1Gi",
      "limits.memory": "1Gi",
    },
  },
};

testInNamespace("the policy's pods fit into a namespace with a ResourceQuota", async (here) => {
  await using _policy = await withPolicy();
  const amounts = { cpu: "100m", memory: "96Mi" };
  const resources = { requests: amounts, limits: amounts };
  const [main, sidecar] = [unwrapped("exit 0", { resources }), pilotAgent({ resources })];
  const template = { metadata: { labels: LABELS } };
  await here.apply(
    QUOTA,
    job("fits", [{ ...main, env: [{ name: "WRAPPER_HOOKS", value: "istio" }] }, sidecar], {
      template,
    }),
    // The quota is really enforced.
    job("refused", [unwrapped("exit 0")]),
  );
  const { result, pods } = await here.ended("fits");
  assertEquals([result, pods.map(exitCodes)], ["Complete", [{ main: 0, "istio-proxy": 0 }]]);
  const { message } = await here.event("refused", "FailedCreate");
  assertStringIncludes(message, "must specify");
});

testInNamespace("a label on the Job alone is a warning to whoever applies it", async (here) => {
  await using _policy = await withPolicy();
  const plain = job("plain", [unwrapped("exit 0")]);
  const manifest = JSON.stringify({ ...plain, metadata: { name: "plain", labels: LABELS } });
  const args = ["apply", "--dry-run=server", "--filename=-"];
  let { code, stderr } = await here.kubectl(args, manifest);
  // A policy takes effect some moments after it was created.
  const endMs = performance.now() + 60_000;
  while (stderr === "" && performance.now() < endMs) {
    ({ code, stderr } = await here.kubectl(args, manifest));
  }
  assertEquals(code, 0);
  assertStringIncludes(stderr, "Warning:");
  assertStringIncludes(stderr, "put it on the pod template");
});

testInNamespace(
  "the policy writes out the ENTRYPOINT that an annotation has, as orchestrators' pods have args alone",
  async (here) => {
    await using _policy = await withPolicy();
    const env = { env: [{ name: "WRAPPER_HOOKS", value: "istio" }] };
    const base = { name: "base", image: SHELL, args: ["exit 0"], ...env };
    const entrypoint = { "wrapper-entrypoint": "sh -c" };
    const first = { metadata: { labels: LABELS, annotations: entrypoint } };
    const none = { metadata: { labels: LABELS, annotations: { "wrapper-entrypoint": "" } } };
    const named = {
      metadata: { labels: LABELS, annotations: { ...entrypoint, "wrapper-container": "base" } },
    };
    await here.apply(
      job("first", [base, pilotAgent(RESTRICTED)], { template: first }),
      job("named", [pilotAgent(RESTRICTED), base], { template: named }),
      job("none", [{ ...base, args: ["sh", "-c", "exit 0"] }, pilotAgent(RESTRICTED)], {
        template: none,
      }),
    );
    const words = { first: ["sh", "-c"], named: ["sh", "-c"], none: [] };
    for (const [name, entrypoint] of Object.entries(words)) {
      const { result, pods: [pod] } = await here.ended(name);
      assert(pod !== undefined);
      assertEquals([result, exitCodes(pod)], ["Complete", { base: 0, "istio-proxy": 0 }]);
      const commands = pod.spec.containers.map(({ command }) => command);
      assertEquals(commands.filter((command) => command !== undefined), [[PREFIX, ...entrypoint]]);
      assertStringIncludes(await here.log(pod, "base"), "told to quit");
    }
  },
);

testInNamespace(
  "a pod with the label that cannot be wrapped is a warning to whoever creates it, its Job or its CronJob",
  async (here) => {
    await using _policy = await withPolicy();
    const create = async (document: object): Promise<string> => {
      const args = ["create", "--dry-run=server", "--filename=-"];
      const { code, stderr } = await here.kubectl(args, JSON.stringify(document));
      assertEquals(code, 0, stderr);
      return stderr;
    };
    const forms = (annotations: Readonly<Record<string, string>>) => {
      const template = { metadata: { labels: LABELS, annotations } };
      const one = job("one", [{ name: "base", image: SHELL, args: ["true"] }], { template });
      const { spec } = one;
      const schedule = "15 3 * * *";
      return [
        {
          apiVersion: "v1",
          kind: "Pod",
          ...spec.template,
          metadata: { name: "one", ...template.metadata },
        },
        one,
        {
          apiVersion: "batch/v1",
          kind: "CronJob",
          metadata: { name: "one" },
          spec: { schedule, jobTemplate: { spec } },
        },
      ];
    };
    // The policies take effect one after another.
    const endMs = performance.now() + 60_000;
    for (const form of forms({})) {
      let warning = "";
      while (warning === "" && performance.now() < endMs) warning = await create(form);
      assertStringIncludes(warning, "Warning:");
      assertStringIncludes(warning, "wrapper-entrypoint");
    }
    for (const form of forms({ "wrapper-entrypoint": "sh -c", "wrapper-container": "other" })) {
      assertStringIncludes(await create(form), "wrapper-container");
    }
    for (const form of forms({ "wrapper-entrypoint": "sh -c" })) {
      assertEquals(await create(form), "");
    }
  },
);
