/** Pods that the real Dagster makes: an op's by execute_k8s_job, and a run worker's by K8sRunLauncher. */

// @ts-types="../../types/std_yaml_parse.d.ts"
import { parse } from "@std/yaml/parse";
import { assert, assertEquals } from "../support/assert.ts";
import { LABELS, withPolicy } from "../kubernetes/policy.ts";
import {
  containerOf,
  endOf,
  exitCodes,
  type Job,
  type Namespace,
  pilotAgent,
  testInNamespace,
  USE_NETWORK,
} from "../kubernetes/support.ts";
import { DAGSTER } from "./images.ts";
import {
  assertToldOnce,
  INSTALL_WRAPPER,
  installed,
  linesToPaste,
  mountedFor,
  start,
  WRAPPER_MOUNTS,
  WRAPPER_VOLUMES,
} from "./support.ts";

const FOLDER = new URL("dagster", import.meta.url).pathname;

/** Dagster's name for the container with the work. */
const WORK = "dagster";

/** The container_config on the page. */
function configOfPage(): { readonly command: readonly string[] } {
  const [text = ""] = linesToPaste("yaml").filter((text) => text.includes("dagster-k8s/config"));
  const page = parse(text) as {
    "dagster-k8s/config": { container_config: { command: readonly string[] } };
  };
  return page["dagster-k8s/config"].container_config;
}

const ENV = [{ name: "WRAPPER_HOOKS", value: "istio" }];

/** Starts a Dagster job whose op runs a bash script by execute_k8s_job. */
function startOp(here: Namespace, name: string, script: string, config: object) {
  const home = Deno.makeTempDirSync();
  const result = `${home}/result.json`;
  const run = start(installed("DAGSTER"), [`${FOLDER}/op.py`, result], {
    DAGSTER_HOME: home,
    OPTIONS: JSON.stringify({
      image: DAGSTER,
      image_pull_policy: "IfNotPresent",
      args: ["bash", "-c", script],
      namespace: here.name,
      kubeconfig_file: Deno.env.get("KUBECONFIG"),
      container_config: { env: ENV, volumeMounts: WRAPPER_MOUNTS, ...config },
      pod_spec_config: {
        containers: [pilotAgent()],
        initContainers: INSTALL_WRAPPER,
        volumes: WRAPPER_VOLUMES,
      },
      k8s_job_name: name,
      delete_failed_k8s_jobs: false,
    }),
  });
  return {
    ...run,
    async succeeded(): Promise<boolean> {
      const { code, output } = await run.ended;
      assertEquals(code, 0, output);
      return JSON.parse(Deno.readTextFileSync(result)).success;
    },
    async [Symbol.asyncDispose]() {
      await run[Symbol.asyncDispose]();
      Deno.removeSync(home, { recursive: true });
    },
  };
}

testInNamespace(
  "Dagster, execute_k8s_job: without the wrapper it hangs; as on the page a success, and exit code 3 a failure",
  async (here) => {
    await using hanging = startOp(here, "bare", USE_NETWORK, {});
    await here.pod("bare", (pod) => exitCodes(pod)[WORK] === 0);

    for (const [name, script, code] of [["load", "", 0], ["fails", "; exit 3", 3]] as const) {
      await using op = startOp(here, name, USE_NETWORK + script, configOfPage());
      assertEquals(await op.succeeded(), code === 0);
      const { result, pods: [pod] } = await here.ended(name);
      assert(pod !== undefined);
      assertEquals([result, exitCodes(pod)], [code === 0 ? "Complete" : "Failed", {
        [WORK]: code,
        "istio-proxy": 0,
      }]);
      assertToldOnce(await here.log(pod, "istio-proxy"));
    }

    assert(!hanging.hasEnded(), "an op without the wrapper has ended");
    const left = await here.pod("bare", () => true);
    assert(containerOf(left, "istio-proxy")?.state.running !== undefined);
  },
);

/** What `dagster-k8s/config` says in a test. */
interface RunConfig {
  readonly container?: object;
  readonly mounts?: readonly object[];
  readonly metadata?: object;
  readonly initContainers?: readonly object[];
  readonly volumes?: readonly object[];
}

/** Runs a Dagster job by the K8sRunLauncher; returns the run's status, its Job's name and its pod. */
async function launch(
  here: Namespace,
  { container, mounts = [], metadata, initContainers = [], volumes = [] }: RunConfig,
  fail = false,
) {
  const home = Deno.makeTempDirSync();
  const kubeconfig = `${home}/kubeconfig`;
  Deno.copyFileSync(Deno.env.get("KUBECONFIG") ?? "", kubeconfig);
  const mounted = mountedFor(installed("DAGSTER"), FOLDER);
  // The worker writes into the same storage.
  const storage = { name: "storage", mountPath: home };
  Deno.writeTextFileSync(
    `${home}/dagster.yaml`,
    JSON.stringify({
      storage: { sqlite: { base_dir: home } },
      telemetry: { enabled: false },
      run_launcher: {
        module: "dagster_k8s",
        class: "K8sRunLauncher",
        config: {
          service_account_name: "default",
          instance_config_map: "dagster-instance",
          job_namespace: here.name,
          job_image: DAGSTER,
          load_incluster_config: false,
          kubeconfig_file: kubeconfig,
          dagster_home: home,
        },
      },
    }),
  );
  const env = { PATH: `${mounted.environment}/bin:/usr/bin`, PYTHONDONTWRITEBYTECODE: "1" };
  const result = `${home}/result.json`;
  try {
    await using run = start(installed("DAGSTER"), [`${FOLDER}/launcher.py`, result], {
      DAGSTER_HOME: home,
      FAIL: String(fail),
      CONFIG: JSON.stringify({
        container_config: {
          env: [...ENV, ...Object.entries(env).map(([name, value]) => ({ name, value }))],
          volumeMounts: [...mounted.mounts, ...mounts, storage],
          ...container,
        },
        pod_template_spec_metadata: metadata ?? {},
        pod_spec_config: {
          containers: [pilotAgent()],
          initContainers,
          volumes: [
            ...mounted.volumes,
            ...volumes,
            { name: "storage", hostPath: { path: home, type: "Directory" } },
          ],
        },
      }),
    });
    const { code, output } = await run.ended;
    assertEquals(code, 0, output);
    const { status, job }: { status: string; job: string } = JSON.parse(
      Deno.readTextFileSync(result),
    );
    const first = await here.pod(job, (pod) => exitCodes(pod)[WORK] !== undefined);
    return { status, job, pod: first };
  } finally {
    Deno.removeSync(home, { recursive: true });
  }
}

testInNamespace(
  "Dagster, K8sRunLauncher as on the page: the run's status is its own, and the worker's Job is Complete",
  async (here) => {
    const config = {
      container: configOfPage(),
      mounts: WRAPPER_MOUNTS,
      initContainers: INSTALL_WRAPPER,
      volumes: WRAPPER_VOLUMES,
    };
    for (const [fail, expected] of [[false, "SUCCESS"], [true, "FAILURE"]] as const) {
      const { status, job } = await launch(here, config, fail);
      // The worker itself ends with 0: it has reported the failure.
      const { result, pods: [ended] } = await here.ended(job);
      assert(ended !== undefined);
      assertEquals([status, result, exitCodes(ended)], [expected, "Complete", {
        [WORK]: 0,
        "istio-proxy": 0,
      }]);
      assertToldOnce(await here.log(ended, "istio-proxy"));
    }
  },
);

testInNamespace(
  "Dagster, K8sRunLauncher with the policy: an image without an ENTRYPOINT, and the worker's Job is Complete",
  async (here) => {
    await using _policy = await withPolicy();
    const annotations = { "wrapper-entrypoint": "" };
    const { status, job } = await launch(here, { metadata: { labels: LABELS, annotations } });
    const { result, pods: [pod] } = await here.ended(job);
    assert(pod !== undefined);
    assertEquals([status, result], ["SUCCESS", "Complete"]);
    assertEquals(exitCodes(pod), { [WORK]: 0, "istio-proxy": 0 });
    const { command, args } = pod.spec.containers.find(({ name }) => name === WORK) ?? {};
    assertEquals([command, args?.slice(0, 3)], [["/shared/wrapper"], [
      "dagster",
      "api",
      "execute_run",
    ]]);
    assertToldOnce(await here.log(pod, "istio-proxy"));
  },
);

testInNamespace(
  "Dagster, K8sRunLauncher without the wrapper: a success, but the worker's Job never ends",
  async (here) => {
    const { status, job, pod } = await launch(here, {});
    assertEquals([status, exitCodes(pod)], ["SUCCESS", { [WORK]: 0, "istio-proxy": undefined }]);
    assertEquals(endOf(await here.get<Job>("jobs", job)), undefined);
  },
);
