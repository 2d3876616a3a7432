/** The real spark-submit in cluster mode: its driver's pod with a sidecar, and the driver's executors. */

// @ts-types="../../types/std_yaml_parse.d.ts"
import { parse } from "@std/yaml/parse";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { findProgram } from "../support/needs.ts";
import { LABELS, withPolicy } from "../kubernetes/policy.ts";
import {
  containerOf,
  exitCodes,
  type Namespace,
  pilotAgent,
  type Pod,
  testInNamespace,
} from "../kubernetes/support.ts";
import { SPARK } from "./images.ts";
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

const FOLDER = new URL("spark", import.meta.url).pathname;

/** Spark's name for the driver's container. */
const DRIVER = "spark-kubernetes-driver";

/** The API server, as pods reach it: this cluster has no Services. */
const API = "https://10.244.0.1:6443";

/** The driver's container in the page's pod template. */
function containerOfPage(): object {
  const [text = ""] = linesToPaste("yaml").filter((text) => text.includes(DRIVER));
  const { spec: { containers: [container] } } = parse(text) as {
    spec: { containers: readonly object[] };
  };
  assert(container !== undefined);
  return container;
}

/** What a test changes in the driver's pod template. */
interface Driver {
  readonly container?: object;
  readonly mounts?: readonly object[];
  readonly volumes?: readonly object[];
  readonly initContainers?: readonly object[];
}

const BY_TEMPLATE: Driver = {
  container: containerOfPage(),
  mounts: WRAPPER_MOUNTS,
  volumes: WRAPPER_VOLUMES,
  initContainers: INSTALL_WRAPPER,
};

/** The driver may make pods. */
const ACCOUNT = [
  { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "spark" } },
  {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: { name: "spark" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "edit" },
    subjects: [{ kind: "ServiceAccount", name: "spark" }],
  },
];

/** Java's folder, and Debian's folder of its settings, to which it links. */
function java(): { readonly home: string; readonly settings: readonly string[] } {
  const program = findProgram("java");
  assert(program !== undefined, "needs Java (apt-get install default-jre-headless)");
  const home = Deno.realPathSync(program).replace(/\/bin\/java$/, "");
  const settings = [...Deno.readDirSync("/etc")].map(({ name }) => `/etc/${name}`)
    .filter((path) => path.startsWith("/etc/java-"));
  return { home, settings };
}

/** Starts spark-submit in cluster mode, with one executor. */
function submit(
  here: Namespace,
  name: string,
  { container, mounts = [], volumes = [], initContainers = [] }: Driver,
  code = 0,
  conf: Readonly<Record<string, string>> = {},
) {
  const folder = Deno.makeTempDirSync();
  const { home, settings } = java();
  const python = installed("SPARK");
  const mounted = mountedFor(python, FOLDER, ...settings);
  const { stdout } = new Deno.Command(python, {
    args: ["-c", "import os, pyspark; print(os.path.dirname(pyspark.__file__))"],
  }).outputSync();
  const spark = new TextDecoder().decode(stdout).trim();
  const env = {
    JAVA_HOME: home,
    PYSPARK_PYTHON: `${mounted.environment}/bin/python`,
    PYTHONDONTWRITEBYTECODE: "1",
    SPARK_HOME: spark,
    WRAPPER_HOOKS: "istio",
  };
  const base = {
    env: Object.entries(env).map(([name, value]) => ({ name, value })),
    volumeMounts: mounted.mounts,
  };
  const write = (file: string, spec: object) => {
    const pod = { apiVersion: "v1", kind: "Pod", spec };
    Deno.writeTextFileSync(`${folder}/${file}`, JSON.stringify(pod));
    return `${folder}/${file}`;
  };
  const driver = write("driver.yaml", {
    initContainers,
    containers: [
      { name: DRIVER, ...base, volumeMounts: [...mounted.mounts, ...mounts], ...container },
      pilotAgent(),
    ],
    volumes: [...mounted.volumes, ...volumes],
  });
  const executor = write("executor.yaml", {
    containers: [{ name: "executor", ...base }],
    volumes: mounted.volumes,
  });
  const settled = {
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.executor.instances": "1",
    "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
    "spark.kubernetes.container.image": SPARK,
    "spark.kubernetes.driver.master": API,
    "spark.kubernetes.driver.pod.name": name,
    "spark.kubernetes.driver.podTemplateFile": driver,
    "spark.kubernetes.driver.request.cores": "100m",
    "spark.kubernetes.executor.podTemplateFile": executor,
    "spark.kubernetes.executor.request.cores": "100m",
    "spark.kubernetes.namespace": here.name,
    "spark.kubernetes.trust.certificates": "true",
    "spark.ui.enabled": "false",
    ...conf,
  };
  const run = start(`${spark}/bin/spark-submit`, [
    ...["--master", `k8s://${Deno.env.get("KUBERNETES_TEST_API")}`],
    ...["--deploy-mode", "cluster", "--name", name],
    ...Object.entries(settled).flatMap(([name, value]) => ["--conf", `${name}=${value}`]),
    `local://${FOLDER}/app.py`,
    String(code),
  ], { JAVA_HOME: home, SPARK_HOME: spark });
  return {
    ...run,
    async [Symbol.asyncDispose]() {
      await run[Symbol.asyncDispose]();
      Deno.removeSync(folder, { recursive: true });
    },
  };
}

/** Checks a driver that has ended: its containers, its work on an executor, and its sidecar's requests. */
async function assertEnded(here: Namespace, name: string, code: number): Promise<Pod> {
  const pod = await here.get<Pod>("pods", name);
  assertEquals(exitCodes(pod), { [DRIVER]: code, "istio-proxy": 0 });
  const { hosts, sum } = JSON.parse(
    (await here.log(pod, DRIVER)).split("\n").find((line) => line.startsWith('{"sum"')) ?? "{}",
  );
  assertEquals(sum, 4950);
  assertMatch(hosts.join(), /^[a-z0-9-]+-exec-\d+$/);
  assertToldOnce(await here.log(pod, "istio-proxy"));
  for (const { metadata } of await here.list<Pod>("pods", "spark-role=executor")) {
    await here.gone("pods", metadata.name);
  }
  return pod;
}

testInNamespace(
  "Spark, the driver's template as on the page: without the wrapper spark-submit hangs, with it the driver has its own code",
  async (here) => {
    await here.apply(...ACCOUNT);
    await using hanging = submit(here, "bare", {});
    await here.until<Pod>("pods", "bare", (pod) => exitCodes(pod)[DRIVER] === 0);
    for (
      const [name, code, phase] of [["succeeds", 0, "Succeeded"], ["fails", 3, "Failed"]] as const
    ) {
      await using run = submit(here, name, BY_TEMPLATE, code);
      const { output } = await run.ended;
      assertMatch(output, new RegExp(`phase: ${phase}`));
      assertMatch(output, new RegExp(`exit code: ${code}`));
      await assertEnded(here, name, code);
    }
    assert(!hanging.hasEnded(), "spark-submit without the wrapper has ended");
    const left = await here.get<Pod>("pods", "bare");
    assert(containerOf(left, "istio-proxy")?.state.running !== undefined);
  },
);

testInNamespace(
  "Spark, the policy by spark-submit's own settings: the ENTRYPOINT is the annotation's, and the driver ends",
  async (here) => {
    await using _policy = await withPolicy();
    await here.apply(...ACCOUNT);
    const driver = "spark.kubernetes.driver";
    await using run = submit(here, "driver", {}, 0, {
      [`${driver}.label.wrapper`]: LABELS.wrapper,
      [`${driver}.annotation.wrapper-container`]: DRIVER,
      [`${driver}.annotation.wrapper-entrypoint`]: "/opt/entrypoint.sh",
    });
    const { code, output } = await run.ended;
    assertEquals(code, 0, output);
    const pod = await assertEnded(here, "driver", 0);
    const { command, args } = pod.spec.containers.find(({ name }) => name === DRIVER) ?? {};
    assertEquals([command, args?.[0]], [["/shared/wrapper", "/opt/entrypoint.sh"], "driver"]);
  },
);
