/** Pods that the real Airflow makes: its KubernetesPodOperator and its KubernetesExecutor, as the page has them. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
// @ts-types="../../types/std_yaml_parse.d.ts"
import { parse } from "@std/yaml/parse";
import { SHELL } from "../kubernetes/images.ts";
import { LABELS, withPolicy } from "../kubernetes/policy.ts";
import {
  containerOf,
  endOfContainer,
  exitCodes,
  type Namespace,
  pilotAgent,
  type Pod,
  secondsBetween,
  testInNamespace,
  USE_NETWORK,
} from "../kubernetes/support.ts";
import { AIRFLOW } from "./images.ts";
import {
  assertToldOnce,
  followLog,
  INSTALL_WRAPPER,
  installed,
  linesToPaste,
  mountedFor,
  start,
  WRAPPER_MOUNTS,
  WRAPPER_VOLUMES,
} from "./support.ts";

const FOLDER = new URL("airflow", import.meta.url).pathname;

/** A task's pod, and its main container. */
const POD = "load";
const BASE = "base";

/** What a test changes in the page's operator. */
interface Change {
  /** The sidecar's name. */
  readonly sidecar?: string;
  /** More arguments of the operator. */
  readonly options?: Readonly<Record<string, string | number | boolean>>;
  /** In place of the page's. */
  readonly attributes?: { readonly [name: string]: readonly string[] };
  /** The annotation that WRAPPER_INJECTED gets. */
  readonly injected?: string;
}

/** A bash script in place of the page's command, under the wrapper. */
const script = (text: string) => ({ arguments: ["bash", "-c", text] });

let database: Promise<string> | undefined;

/** Makes Airflow's database, once. */
async function makeDatabase(): Promise<string> {
  const home = Deno.makeTempDirSync();
  await using migration = start(installed("AIRFLOW"), ["-m", "airflow", "db", "migrate"], {
    ...settings(home),
  });
  const { code, output } = await migration.ended;
  assertEquals(code, 0, output);
  return `${home}/airflow.db`;
}

function settings(home: string): Readonly<Record<string, string>> {
  return {
    AIRFLOW_HOME: home,
    AIRFLOW__CORE__LOAD_EXAMPLES: "False",
    AIRFLOW__CORE__DAGS_FOLDER: `${FOLDER}/operator_dag.py`,
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: `sqlite:///${home}/airflow.db`,
  };
}

/** Starts a DAG with the page's operator. */
async function startTask(here: Namespace, { sidecar, options, ...others }: Change) {
  const home = Deno.makeTempDirSync();
  Deno.copyFileSync(await (database ??= makeDatabase()), `${home}/airflow.db`);
  const result = `${home}/result.json`;
  const change = {
    ...others,
    options: {
      namespace: here.name,
      config_file: Deno.env.get("KUBECONFIG") ?? "",
      name: POD,
      random_name_suffix: false,
      ...options,
    },
    pod: {
      spec: {
        containers: [
          { name: BASE },
          ...(sidecar === undefined ? [] : [pilotAgent({ name: sidecar })]),
        ],
      },
    },
  };
  const run = start(installed("AIRFLOW"), [`${FOLDER}/operator_dag.py`, result], {
    ...settings(home),
    OPERATOR: linesToPaste("python")[0] ?? "",
    CASE: JSON.stringify(change),
    AIRFLOW_CONN_KUBERNETES_DEFAULT: JSON.stringify({
      conn_type: "kubernetes",
      extra: { xcom_sidecar_container_image: SHELL },
    }),
  });
  return {
    ...run,
    /** The task's state and its XCom. */
    async result(): Promise<{ readonly state: string; readonly xcom: readonly unknown[] }> {
      const { code, output } = await run.ended;
      assertEquals(code, 0, output);
      return JSON.parse(Deno.readTextFileSync(result));
    },
    async [Symbol.asyncDispose]() {
      await run[Symbol.asyncDispose]();
      Deno.removeSync(home, { recursive: true });
    },
  };
}

/** Runs the task to its end; returns what it was for Airflow, its pod, and its sidecar's log. */
async function runTask(here: Namespace, sidecar: string, change: Change) {
  await using task = await startTask(here, {
    sidecar,
    ...change,
    options: { on_finish_action: "keep_pod", ...change.options },
  });
  const result = await task.result();
  const pod = await here.get<Pod>("pods", POD);
  return { ...result, pod, log: await here.log(pod, sidecar) };
}

testInNamespace(
  "Airflow, KubernetesPodOperator as on the page: success; the pod is deleted",
  async (here) => {
    await using task = await startTask(here, { sidecar: "istio-proxy" });
    const [log, work] = await Promise.all([
      followLog(here, POD, "istio-proxy"),
      followLog(here, POD, BASE),
    ]);
    assertEquals((await task.result()).state, "success");
    assertEquals(log.match(/POST \/quitquitquit/g)?.length, 1, log);
    assertStringIncludes(work, "my job");
    assertEquals(await here.gone("pods", POD), undefined);
  },
);

testInNamespace(
  "Airflow, keep_pod: success, and the pod has ended; exit code 3: failed; skip_on_exit_code: skipped",
  async (here) => {
    const cases = [
      [USE_NETWORK, {}, "success", "Succeeded", 0],
      [`${USE_NETWORK}; exit 3`, {}, "failed", "Failed", 3],
      [`${USE_NETWORK}; exit 99`, { skip_on_exit_code: 99 }, "skipped", "Failed", 99],
    ] as const;
    for (const [text, options, expected, phase, code] of cases) {
      const { state, pod, log } = await runTask(here, "istio-proxy", {
        attributes: script(text),
        options,
      });
      assertEquals(state, expected);
      // The operator does not wait for a sidecar of this name.
      const ended = await here.until<Pod>("pods", POD, ({ status }) => status.phase === phase);
      assertEquals(exitCodes(ended), { [BASE]: code, "istio-proxy": 0 });
      assertToldOnce(log);
      await here.kubectl(["delete", "pod", pod.metadata.name]);
    }
  },
);

testInNamespace("Airflow, xcom: the value arrives, and every container has ended", async (here) => {
  const { state, xcom, log } = await runTask(here, "cloud-sql-proxy", {
    attributes: script(`echo '{"rows": 7}' > /airflow/xcom/return.json; ${USE_NETWORK}`),
    options: { do_xcom_push: true },
  });
  assertEquals([state, xcom], ["success", [{ rows: 7 }]]);
  const ended = await here.until<Pod>("pods", POD, ({ status }) => status.phase === "Succeeded");
  assertEquals(exitCodes(ended), { [BASE]: 0, "cloud-sql-proxy": 0, "airflow-xcom-sidecar": 0 });
  assertToldOnce(log);
});

testInNamespace("Airflow, no sidecar, WRAPPER_INJECTED by fieldRef: no window", async (here) => {
  await using task = await startTask(here, {
    injected: "sidecar.istio.io/status",
    attributes: script("sleep 1"),
    options: { on_finish_action: "keep_pod" },
  });
  assertEquals((await task.result()).state, "success");
  const { startedAt, finishedAt } = endOfContainer(await here.get<Pod>("pods", POD), BASE);
  const seconds = secondsBetween(startedAt, finishedAt);
  assert(seconds < 10, `${seconds} s`);
});

testInNamespace(
  "Airflow, a sidecar of another name: without the wrapper the task hangs, with it success",
  async (here) => {
    const sidecar = "cloud-sql-proxy";
    const bare = { cmds: ["bash", "-c"], arguments: [USE_NETWORK] };
    await using hanging = await startTask(here, {
      sidecar,
      attributes: bare,
      options: { name: "bare" },
    });
    await here.until<Pod>("pods", "bare", (pod) => exitCodes(pod)[BASE] === 0);

    const { state, pod, log } = await runTask(here, sidecar, { attributes: script(USE_NETWORK) });
    assertEquals([state, exitCodes(pod)], ["success", { [BASE]: 0, [sidecar]: 0 }]);
    assertToldOnce(log);

    assert(!hanging.hasEnded(), "a task without the wrapper has ended");
    const left = await here.get<Pod>("pods", "bare");
    assert(containerOf(left, sidecar)?.state.running !== undefined);
  },
);

testInNamespace(
  "Airflow without the wrapper, a sidecar called istio-proxy or an xcom: success, but a pod that is kept stays Running",
  async (here) => {
    const answer = `echo '{}' > /airflow/xcom/return.json; ${USE_NETWORK}`;
    const cases = [
      ["istio-proxy", USE_NETWORK, {}],
      ["cloud-sql-proxy", answer, { do_xcom_push: true }],
    ] as const;
    for (const [sidecar, text, options] of cases) {
      const { state, pod } = await runTask(here, sidecar, {
        attributes: { cmds: ["bash", "-c"], arguments: [text] },
        options,
      });
      assertEquals([state, pod.status.phase], ["success", "Running"]);
      assertEquals([exitCodes(pod)[BASE], exitCodes(pod)[sidecar]], [0, undefined]);
      await here.kubectl(["delete", "pod", POD, "--grace-period=1"]);
    }
  },
);

/** Where Airflow's API server listens: the node's address, which pods reach. */
const ADDRESS = "10.244.0.1:9091";

/** What the scheduler, its API server and its workers must agree upon. */
const SHARED = {
  AIRFLOW__API_AUTH__JWT_SECRET: "a-secret-of-these-tests-that-is-long-enough-for-its-algorithm",
  AIRFLOW__CORE__DAGS_FOLDER: `${FOLDER}/executor_dag.py`,
  AIRFLOW__CORE__EXECUTION_API_SERVER_URL: `http://${ADDRESS}/execution/`,
  AIRFLOW__CORE__LOAD_EXAMPLES: "False",
};

/** Part of the worker's pod on the page. */
const [TEMPLATE = ""] = linesToPaste("yaml").filter((text) => text.includes("dumb-init, --"));

/** The container in the page's template for workers. */
function containerOfPage(): object {
  const { spec: { containers: [container] } } = parse(TEMPLATE) as {
    spec: { containers: readonly object[] };
  };
  assert(container !== undefined);
  return container;
}

/** What a test changes in a worker's pod. */
interface Worker {
  readonly metadata?: object;
  readonly container?: object;
  readonly mounts?: readonly object[];
  readonly volumes?: readonly object[];
  readonly initContainers?: readonly object[];
}

/** Writes the file with a worker's pod: what the executor does not know, and the sidecar. */
function workerTemplate(
  folder: string,
  { metadata, container, mounts = [], volumes = [], initContainers = [] }: Worker,
): string {
  const mounted = mountedFor(installed("AIRFLOW"), FOLDER);
  const env = {
    ...SHARED,
    AIRFLOW_HOME: "/tmp/airflow",
    PATH: `${mounted.environment}/bin:/usr/bin`,
    PYTHONDONTWRITEBYTECODE: "1",
    WRAPPER_HOOKS: "istio",
  };
  const base = {
    name: BASE,
    env: Object.entries(env).map(([name, value]) => ({ name, value })),
    volumeMounts: [...mounted.mounts, ...mounts],
    ...container,
  };
  const file = `${folder}/worker.yaml`;
  const document = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "worker", ...metadata },
    spec: {
      restartPolicy: "Never",
      initContainers,
      containers: [base, pilotAgent()],
      volumes: [...mounted.volumes, ...volumes],
    },
  };
  Deno.writeTextFileSync(file, JSON.stringify(document));
  return file;
}

/** Runs a DAG by the KubernetesExecutor; returns its task's state, its pod once it is as described, and the logs. */
async function execute(
  here: Namespace,
  template: Worker,
  conf: object,
  isSo: (pod: Pod) => boolean,
) {
  const home = Deno.makeTempDirSync();
  try {
    Deno.copyFileSync(await (database ??= makeDatabase()), `${home}/airflow.db`);
    const result = `${home}/result.json`;
    await using run = start(installed("AIRFLOW"), [`${FOLDER}/executor_dag.py`, result], {
      ...settings(home),
      ...SHARED,
      ADDRESS,
      CONF: JSON.stringify(conf),
      AIRFLOW__CORE__EXECUTOR: "KubernetesExecutor",
      AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE: here.name,
      AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER: "False",
      AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE: Deno.env.get("KUBECONFIG") ?? "",
      AIRFLOW__KUBERNETES_EXECUTOR__DELETE_WORKER_PODS: "False",
      AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE: workerTemplate(home, template),
      AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_REPOSITORY: AIRFLOW.repository,
      AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_TAG: AIRFLOW.tag,
    });
    const { code, output } = await run.ended;
    assertEquals(code, 0, output);
    const [{ metadata: { name } = { name: "" } } = {}] = await here.list<Pod>("pods");
    const pod = await here.until<Pod>("pods", name, isSo);
    const { state } = JSON.parse(Deno.readTextFileSync(result));
    return { state, pod, work: await here.log(pod, BASE), log: await here.log(pod, "istio-proxy") };
  } finally {
    Deno.removeSync(home, { recursive: true });
  }
}

const hasSucceeded = ({ status }: Pod) => status.phase === "Succeeded";

/** As the page has it: the template's command, and the parts that install the wrapper. */
const BY_TEMPLATE: Worker = {
  container: containerOfPage(),
  mounts: WRAPPER_MOUNTS,
  volumes: WRAPPER_VOLUMES,
  initContainers: INSTALL_WRAPPER,
};

testInNamespace(
  "Airflow, KubernetesExecutor with the page's template: the task's state is its own, and the worker's pod ends",
  async (here) => {
    const { state, pod, log } = await execute(here, BY_TEMPLATE, {}, hasSucceeded);
    assertEquals([state, exitCodes(pod)], ["success", { [BASE]: 0, "istio-proxy": 0 }]);
    assertToldOnce(log);
    await here.kubectl(["delete", "pods", "--all"]);
    const other = await execute(here, BY_TEMPLATE, { fail: true }, hasSucceeded);
    // The worker itself ends with 0: it has reported the failure.
    assertEquals([other.state, exitCodes(other.pod)], ["failed", { [BASE]: 0, "istio-proxy": 0 }]);
    assertToldOnce(other.log);
  },
);

testInNamespace(
  "Airflow, KubernetesExecutor with the policy: the ENTRYPOINT is the annotation's, and the worker's pod ends",
  async (here) => {
    await using _policy = await withPolicy();
    const annotations = {
      "wrapper-container": BASE,
      "wrapper-entrypoint": "/usr/bin/dumb-init -- /entrypoint",
    };
    const template = { metadata: { labels: LABELS, annotations } };
    const { state, pod, log } = await execute(here, template, {}, hasSucceeded);
    assertEquals([state, exitCodes(pod)], ["success", { [BASE]: 0, "istio-proxy": 0 }]);
    const { command, args } = pod.spec.containers.find(({ name }) => name === BASE) ?? {};
    assertEquals(command, ["/shared/wrapper", "/usr/bin/dumb-init", "--", "/entrypoint"]);
    assertEquals(args?.slice(0, 3), [
      "python",
      "-m",
      "airflow.sdk.execution_time.execute_workload",
    ]);
    assertToldOnce(log);
  },
);

testInNamespace(
  "Airflow, KubernetesExecutor without the wrapper: success, but the worker's pod stays Running",
  async (here) => {
    const isLeft = (pod: Pod) => exitCodes(pod)[BASE] === 0;
    const { state, pod } = await execute(here, {}, {}, isLeft);
    assertEquals([state, pod.status.phase], ["success", "Running"]);
    assertEquals(exitCodes(pod), { [BASE]: 0, "istio-proxy": undefined });
  },
);
