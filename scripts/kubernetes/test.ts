/**
 * Runs the tests in a Kubernetes cluster of this machine's own, and leaves nothing of it behind:
 *
 *     deno task test:kubernetes [--tests FOLDER] [FILTER]
 *
 * The cluster runs in PID, mount and network namespaces that end with it, however it ends. What is outside
 * of them, its control groups and the settings that the kubelet changes, is put back.
 *
 * @module
 */

// deno-lint-ignore-file no-console

// @ts-types="../../types/std_cli_parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
import { makeClusterImages } from "../../tests/kubernetes/images.ts";
import { PODMAN } from "../../tests/containers/support.ts";
import {
  CLOUD_SQL_PROXY_PROGRAM,
  ENVOY,
  exists,
  findProgram,
  type Need,
  OPENBAO_PROGRAM,
} from "../../tests/support/needs.ts";
import { CNI_PROGRAMS, type NodeSettings, NOT_READY } from "./node.ts";
import { ORCHESTRATOR_IMAGES } from "../../tests/orchestrators/images.ts";
import { areBuilt, buildPrograms, CACHE, GO, KUBERNETES_PROGRAMS, TESTS } from "./programs.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const NODE = new URL("node.ts", import.meta.url).pathname;

/** What the kubelet sets for the whole machine (`pkg/kubelet/cm/container_manager_linux.go`). */
const CHANGED_SYSCTLS = [
  "vm/overcommit_memory",
  "vm/panic_on_oom",
  "kernel/panic",
  "kernel/panic_on_oops",
  "kernel/keys/root_maxkeys",
  "kernel/keys/root_maxbytes",
];

/** Where they are kept while a cluster runs, for the next run if this one is killed. */
const SAVED_SYSCTLS = `${CACHE}/sysctls.json`;

/** How the names of control groups and temporary folders start. */
const PREFIX = "wrapper-kubernetes-";

/** How long the kernel may take to end the processes of a namespace and free their control groups. */
const END_MS = 30_000;

const program = (name: string, from: string): Need<string> => ({
  what: `${name} (apt-get install ${from})`,
  find: () => findProgram(name),
});

const NEEDS: readonly Need<unknown>[] = [
  { what: "root", find: () => Deno.uid() === 0 ? true : undefined },
  { what: GO.what, find: () => areBuilt() ? true : GO.find() },
  program("etcd", "etcd-server"),
  program("containerd", "containerd"),
  program("runc", "runc"),
  program("ip", "iproute2"),
  program("unshare", "util-linux"),
  {
    what:
      "the CNI plugins bridge, host-local and loopback (apt-get install containernetworking-plugins)",
    find: () => ["bridge", "host-local", "loopback"].every(isPlugin) ? true : undefined,
  },
  ENVOY,
  CLOUD_SQL_PROXY_PROGRAM,
  OPENBAO_PROGRAM,
  PODMAN,
];

function isPlugin(name: string): boolean {
  return exists(`${CNI_PROGRAMS}/${name}`);
}

/** The roots of the control groups: one, or one per controller. */
function cgroupRoots(): readonly string[] {
  return Deno.readTextFileSync("/proc/self/mounts").split("\n").flatMap((line) => {
    const [, path = "", type = ""] = line.split(" ");
    return type.startsWith("cgroup") ? [path] : [];
  });
}

function makeCgroup(name: string): void {
  for (const root of cgroupRoots()) {
    Deno.mkdirSync(`${root}/${name}`);
    // Without these a group of the cpuset controller takes no process.
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      if (exists(`${root}/${file}`) && root.endsWith("/cpuset")) {
        Deno.writeTextFileSync(`${root}/${name}/${file}`, Deno.readTextFileSync(`${root}/${file}`));
      }
    }
  }
}

/** Removes a control group and those in it, once the kernel has let go of their processes. */
async function removeCgroup(name: string): Promise<void> {
  const endMs = performance.now() + END_MS;
  for (const root of cgroupRoots()) {
    while (exists(`${root}/${name}`)) {
      const { success, stderr } = new Deno.Command("find", {
        args: [`${root}/${name}`, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"],
      }).outputSync();
      if (success && !exists(`${root}/${name}`)) break;
      if (performance.now() > endMs) throw new Error(new TextDecoder().decode(stderr));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Removes what a run has left that was killed. The groups of one that still runs cannot be removed. */
async function removeOldRuns(): Promise<void> {
  for (const root of cgroupRoots()) {
    for (const { name } of Deno.readDirSync(root)) {
      if (!name.startsWith(PREFIX)) continue;
      const args = [`${root}/${name}`, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
      await new Deno.Command("find", { args, stderr: "null" }).output();
    }
  }
  if (exists(SAVED_SYSCTLS)) restoreSysctls();
}

function saveSysctls(): void {
  const read = (name: string) => [name, Deno.readTextFileSync(`/proc/sys/${name}`).trim()];
  Deno.writeTextFileSync(
    SAVED_SYSCTLS,
    JSON.stringify(Object.fromEntries(CHANGED_SYSCTLS.map(read))),
  );
}

function restoreSysctls(): void {
  const saved: Readonly<Record<string, string>> = JSON.parse(
    Deno.readTextFileSync(SAVED_SYSCTLS),
  );
  for (const [name, value] of Object.entries(saved)) {
    const path = `/proc/sys/${name}`;
    if (Deno.readTextFileSync(path).trim() !== value) Deno.writeTextFileSync(path, value);
  }
  Deno.removeSync(SAVED_SYSCTLS);
}

/** The mounts and processes of a cluster that are still there. */
function leftovers(settings: NodeSettings): readonly string[] {
  const mounts = Deno.readTextFileSync("/proc/self/mounts").split("\n").filter((line) =>
    line.includes(settings.state)
  );
  const processes = [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name)).flatMap(
    ({ name }) => {
      try {
        const words = Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " ");
        const groups = Deno.readTextFileSync(`/proc/${name}/cgroup`);
        return words.includes(settings.state) || groups.includes(settings.cgroup)
          ? [`process ${name}: ${words}`]
          : [];
      } catch {
        return []; // It has just ended.
      }
    },
  );
  return [...mounts.map((line) => `mount ${line}`), ...processes];
}

/** Waits until the kernel has ended a cluster's processes, and puts back what is outside its namespaces. */
async function cleanUp(settings: NodeSettings): Promise<void> {
  try {
    const endMs = performance.now() + END_MS;
    for (let left = leftovers(settings); left.length > 0; left = leftovers(settings)) {
      if (performance.now() > endMs) throw new Error(`left behind:\n${left.join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await removeCgroup(settings.cgroup);
    Deno.removeSync(settings.state, { recursive: true });
  } finally {
    restoreSysctls();
  }
}

/** Runs the tests in a new cluster; returns their exit code, or {@linkcode NOT_READY}. */
async function runInCluster(
  images: string,
  logs: string,
  interrupted: AbortSignal,
  tests: readonly string[],
): Promise<number> {
  Deno.mkdirSync(logs, { recursive: true });
  const settings: NodeSettings = {
    programs: KUBERNETES_PROGRAMS,
    images,
    logs,
    state: Deno.makeTempDirSync({ prefix: PREFIX }),
    cgroup: `${PREFIX}${crypto.randomUUID().slice(0, 8)}`,
  };
  saveSysctls();
  try {
    makeCgroup(settings.cgroup);
    const deno = [Deno.execPath(), "run", "--allow-all", NODE, JSON.stringify(settings)];
    const test = [Deno.execPath(), "test", "--no-check", "--allow-all", ...tests];
    const child = new Deno.Command("setpriv", {
      args: [
        ...["--pdeathsig", "KILL"],
        ...["unshare", "--pid", "--net", "--mount", "--mount-proc", "--fork", "--kill-child"],
        // Bash, because the namespace's first process must reap the others.
        ...["bash", "-c", '"$@"; exit "$?"', "bash", ...deno, ...test],
      ],
      // Ctrl-C is for this process alone, which then ends the whole cluster at once.
      detached: true,
      stdin: "null",
    }).spawn();
    const kill = () => child.kill("SIGKILL");
    if (interrupted.aborted) kill();
    interrupted.addEventListener("abort", kill);
    const { code } = await child.status;
    interrupted.removeEventListener("abort", kill);
    return code;
  } finally {
    await cleanUp(settings);
  }
}

async function main(): Promise<number> {
  const missing = NEEDS.filter((need) => need.find() === undefined).map(({ what }) => what);
  if (missing.length > 0) {
    console.error(`needs ${missing.join("; ")}`);
    return 1;
  }
  Deno.mkdirSync(CACHE, { recursive: true });
  await removeOldRuns();
  await buildPrograms();
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => interrupted.abort());
  }
  const logs = `${CACHE}/logs`;
  if (exists(logs)) Deno.removeSync(logs, { recursive: true });
  const words = parseArgs(Deno.args, { string: ["tests", "_"] });
  const filter = Array.isArray(words["_"]) ? words["_"].flatMap((text) => ["--filter", text]) : [];
  const where = words["tests"] ?? TESTS;
  const tests = [...filter, `${ROOT}${where}`];
  const images = await makeClusterImages(CACHE, where === TESTS ? [] : ORCHESTRATOR_IMAGES);
  for (const attempt of [1, 2]) {
    const folder = `${logs}/${attempt}`;
    const code = await runInCluster(images, folder, interrupted.signal, tests);
    if (interrupted.signal.aborted) {
      console.error("interrupted; the cluster has been taken down");
      return 130;
    }
    if (code !== NOT_READY) return code;
    console.error(`the cluster did not become ready; its logs are in ${folder}`);
  }
  return 1;
}

if (import.meta.main) Deno.exit(await main());
