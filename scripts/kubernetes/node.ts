/**
 * Starts a Kubernetes cluster of one node and runs a command beside it. `test.ts` calls this as the only
 * process of new PID, mount and network namespaces: whatever it starts ends with it.
 *
 *     deno run --allow-all node.ts SETTINGS COMMAND [ARG...]
 *
 * @module
 */

// deno-lint-ignore-file no-console

/** What `test.ts` prepares. */
export interface NodeSettings {
  /** The folder with the Kubernetes programs. */
  readonly programs: string;
  /** An empty folder for everything that the cluster writes. */
  readonly state: string;
  /** Where each program's output is kept. */
  readonly logs: string;
  /** The control group that all pods belong to. */
  readonly cgroup: string;
  /** An archive of the images that pods use. */
  readonly images: string;
}

/** The exit code if the cluster does not become ready. */
export const NOT_READY = 75;

/** The image of a pod's sandbox. */
export const SANDBOX_IMAGE = "registry.k8s.io/pause:3.10";

const READY_WITHIN_MS = 120_000;
/** The node's address. Its bridge connects the pods; there is no route to the outside. */
const ADDRESS = "10.244.0.1";
const SUBNET = "10.244.0.0/24";
const CONTAINERD = "/run/containerd/containerd.sock";
const API = "https://127.0.0.1:6443";
/** `kubectl proxy`: the API without certificates and tokens. */
export const PROXY = "http://127.0.0.1:8001";
const NODE = "node";

/** Who may log in with which token, and the groups. The token is the name. */
const USERS: readonly (readonly [token: string, user: string, groups: string])[] = [
  ["admin", "admin", "system:masters"],
  ["controllers", "system:kube-controller-manager", ""],
  ["scheduler", "system:kube-scheduler", ""],
  ["kubelet", `system:node:${NODE}`, "system:nodes"],
];

/** Runs a program to its end; throws if it fails. */
async function must(...[file = "", ...args]: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(file, { args, stdout: "null" }).output();
  if (!success) throw new Error(`${file} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

/** Folders outside of the state in which the programs insist on writing, and a bridge for the pods. */
async function prepare(): Promise<void> {
  for (const folder of ["/run", "/var/lib", "/var/log"]) {
    await must("mount", "-t", "tmpfs", "tmpfs", folder);
  }
  await must("ip", "link", "set", "lo", "up");
  // Otherwise it has the lowest address of its ports, and another one with each pod that comes or goes.
  await must("ip", "link", "add", "pods", "address", "02:00:00:00:00:01", "type", "bridge");
  await must("ip", "address", "add", `${ADDRESS}/24`, "dev", "pods");
  await must("ip", "link", "set", "pods", "up");
}

/** Writes the configuration files into the state's folder. */
async function configure({ state, cgroup }: NodeSettings): Promise<void> {
  const write = (name: string, text: string) => Deno.writeTextFileSync(`${state}/${name}`, text);
  const writeJson = (name: string, value: unknown) => write(name, JSON.stringify(value, null, 2));
  for (const name of ["cni", "kubelet", "pods"]) Deno.mkdirSync(`${state}/${name}`);

  const users = USERS.map(([token, user, groups]) => `${token},${user},${token},${groups}\n`);
  write("tokens.csv", users.join(""));
  for (const [token] of USERS) {
    writeJson(`${token}.kubeconfig`, {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "local", cluster: { server: API, "insecure-skip-tls-verify": true } }],
      users: [{ name: token, user: { token } }],
      contexts: [{ name: "local", context: { cluster: "local", user: token } }],
      "current-context": "local",
    });
  }
  await writeServiceAccountKeys(state);

  writeJson("cni/pods.conflist", {
    cniVersion: "0.4.0",
    name: "pods",
    plugins: [{
      type: "bridge",
      bridge: "pods",
      isGateway: true,
      ipam: { type: "host-local", dataDir: `${state}/addresses`, ranges: [[{ subnet: SUBNET }]] },
    }],
  });
  write(
    "containerd.toml",
    `version = 2
root = "${state}/containerd"
state = "/run/containerd"
[grpc]
address = "${CONTAINERD}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${SANDBOX_IMAGE}"
# The sandbox's own value needs CAP_SYS_RESOURCE, which root lacks inside some virtual machines.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "${CNI_PROGRAMS}"
conf_dir = "${state}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
`,
  );
  writeJson("kubelet.json", {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${cgroup}`,
    containerRuntimeEndpoint: `unix://${CONTAINERD}`,
    // The machine's own memory, disk, firewall and swap are none of these tests' business.
    enforceNodeAllocatable: ["none"],
    evictionHard: {
      "memory.available": "1Mi",
      "nodefs.available": "1%",
      "imagefs.available": "1%",
    },
    failCgroupV1: false,
    failSwapOn: false,
    imageGCHighThresholdPercent: 100,
    makeIPTablesUtilChains: false,
    maxPods: 200,
    podLogsDir: `${state}/pods`,
    resolvConf: "",
    volumePluginDir: `${state}/volume-plugins`,
  });
}

/** The folder that Debian's package containernetworking-plugins installs to. */
export const CNI_PROGRAMS = "/usr/lib/cni";

async function writeServiceAccountKeys(state: string): Promise<void> {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(
    {
      name: "RSASSA-PKCS1-v1_5",
      modulusLength: 2048,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: "SHA-256",
    },
    true,
    ["sign", "verify"],
  );
  const write = (name: string, title: string, key: ArrayBuffer) => {
    const lines = new Uint8Array(key).toBase64().match(/.{1,64}/g) ?? [];
    const text = [`-----BEGIN ${title}-----`, ...lines, `-----END ${title}-----`, ""].join("\n");
    Deno.writeTextFileSync(`${state}/${name}`, text, { mode: 0o600 });
  };
  write("accounts.key", "PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", privateKey));
  write("accounts.pub", "PUBLIC KEY", await crypto.subtle.exportKey("spki", publicKey));
}

/** The command line of each program. */
function commandLines({ programs, state }: NodeSettings) {
  const login = (name: string) => `--kubeconfig=${state}/${name}.kubeconfig`;
  return {
    etcd: [
      "etcd",
      `--data-dir=${state}/etcd`,
      // Its data does not outlive the test, so it need not reach the disk.
      "--unsafe-no-fsync",
      "--listen-client-urls=http://127.0.0.1:2379",
      "--advertise-client-urls=http://127.0.0.1:2379",
      "--listen-peer-urls=http://127.0.0.1:2380",
    ],
    containerd: ["containerd", `--config=${state}/containerd.toml`],
    apiServer: [
      `${programs}/kube-apiserver`,
      "--etcd-servers=http://127.0.0.1:2379",
      // Pods reach it at the node's address.
      "--bind-address=0.0.0.0",
      `--advertise-address=${ADDRESS}`,
      `--cert-dir=${state}/certificates`,
      "--service-cluster-ip-range=10.96.0.0/16",
      "--authorization-mode=Node,RBAC",
      // Debian's etcd lacks what it needs: a watch from the beginning with bookmarks would fail.
      "--feature-gates=WatchList=false",
      `--token-auth-file=${state}/tokens.csv`,
      "--allow-privileged",
      // Nobody here knows the node by its name.
      "--kubelet-preferred-address-types=InternalIP",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${state}/accounts.pub`,
      `--service-account-signing-key-file=${state}/accounts.key`,
    ],
    controllers: [
      `${programs}/kube-controller-manager`,
      login("controllers"),
      "--leader-elect=false",
      "--use-service-account-credentials",
      `--flex-volume-plugin-dir=${state}/volume-plugins`,
      `--service-account-private-key-file=${state}/accounts.key`,
    ],
    scheduler: [`${programs}/kube-scheduler`, login("scheduler"), "--leader-elect=false"],
    kubelet: [
      `${programs}/kubelet`,
      login("kubelet"),
      `--config=${state}/kubelet.json`,
      `--root-dir=${state}/kubelet`,
      `--cert-dir=${state}/certificates`,
      `--hostname-override=${NODE}`,
      `--node-ip=${ADDRESS}`,
    ],
    proxy: [`${programs}/kubectl`, login("admin"), "proxy", "--port=8001"],
  };
}

/** Starts the cluster; returns once a pod can run. */
async function start(settings: NodeSettings): Promise<void> {
  const failure = Promise.withResolvers<never>();
  // It is reported by whatever waits when it happens.
  failure.promise.catch(() => {});

  const run = ([file = "", ...args]: readonly string[], name = file.split("/").at(-1)) => {
    const log = `${settings.logs}/${name}.log`;
    const script = 'log=$1; shift; exec "$@" >"$log" 2>&1 </dev/null';
    const child = new Deno.Command("sh", { args: ["-c", script, "sh", log, file, ...args] })
      .spawn();
    child.status.then(({ code }) => {
      const lastLines = Deno.readTextFileSync(log).trimEnd().split("\n").slice(-8).join("\n");
      failure.reject(new Error(`${name} ended with ${code}:\n${lastLines}`));
    });
  };
  /** Asks until the answer is yes; a program that starts gives no other sign. */
  const until = async (what: string, isSo: () => Promise<boolean>) => {
    while (!await Promise.race([failure.promise, isSo().catch(() => false)])) {
      if (performance.now() > READY_WITHIN_MS) throw new Error(`not within two minutes: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };

  await prepare();
  await configure(settings);
  const programs = commandLines(settings);
  run(programs.etcd);
  run(programs.containerd);
  await until("containerd's socket", () => Deno.stat(CONTAINERD).then(() => true));
  run(programs.apiServer);
  run(programs.proxy, "proxy");
  await Promise.race([
    failure.promise,
    must("ctr", "--namespace=k8s.io", "images", "import", settings.images),
  ]);
  await until("the API server", async () => (await get("/readyz")).ok);
  run(programs.controllers);
  run(programs.scheduler);
  run(programs.kubelet);
  await until("the node", isNodeReady);
}

async function get(path: string): Promise<{ ok: boolean; text: string }> {
  const response = await fetch(`${PROXY}${path}`);
  return { ok: response.ok, text: await response.text() };
}

async function isNodeReady(): Promise<boolean> {
  const { ok, text } = await get(`/api/v1/nodes/${NODE}`);
  if (!ok) return false;
  const node: { status?: { conditions?: { type: string; status: string }[] } } = JSON.parse(text);
  const conditions = node.status?.conditions ?? [];
  return conditions.some(({ type, status }) => type === "Ready" && status === "True");
}

if (import.meta.main) {
  const [text = "", file = "", ...args] = Deno.args;
  const settings: NodeSettings = JSON.parse(text);
  try {
    await start(settings);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(NOT_READY);
  }
  console.log(`the cluster is ready after ${(performance.now() / 1000).toFixed(1)} s`);
  const { code } = await new Deno.Command(file, {
    args,
    env: {
      KUBECONFIG: `${settings.state}/admin.kubeconfig`,
      KUBERNETES_TEST_API: PROXY,
      PATH: `${settings.programs}:${Deno.env.get("PATH")}`,
    },
  }).spawn().status;
  Deno.exit(code);
}
