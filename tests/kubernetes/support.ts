/** Objects in the cluster that `deno task test:kubernetes` runs, read from the API itself. */

import type { Container } from "../support/examples.ts";
import { PILOT_AGENT, SHELL, WRAPPER } from "./images.ts";

/** Nothing here takes this long unless it hangs. */
const LIMIT_MS = 180_000;

/** `kubectl proxy`, which the script sets. */
const API = Deno.env.get("KUBERNETES_TEST_API") ?? "";
if (API === "") throw new Error("needs a cluster: deno task test:kubernetes");

/** What every object has. */
export interface Resource {
  readonly metadata: {
    readonly name: string;
    readonly creationTimestamp: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** A container's end. */
export interface Terminated {
  readonly exitCode: number;
  readonly reason: string;
  readonly message?: string;
  readonly startedAt: string;
  readonly finishedAt: string;
}

/** A container's state. */
export interface ContainerStatus {
  readonly name: string;
  readonly restartCount: number;
  readonly state: {
    readonly running?: { readonly startedAt: string };
    readonly waiting?: { readonly reason: string };
    readonly terminated?: Terminated;
  };
  readonly lastState: { readonly terminated?: Terminated };
}

/** A pod. */
export interface Pod extends Resource {
  readonly spec: {
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
  };
  readonly status: {
    readonly phase: string;
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
}

/** A Job. */
export interface Job extends Resource {
  readonly status: {
    readonly active?: number;
    readonly succeeded?: number;
    readonly failed?: number;
    readonly failedIndexes?: string;
    readonly completedIndexes?: string;
    readonly startTime?: string;
    readonly completionTime?: string;
    readonly conditions?: readonly Condition[];
  };
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly lastTransitionTime: string;
}

/** Something that happened to an object. */
export interface Event {
  readonly reason: string;
  readonly message: string;
  readonly involvedObject: { readonly kind: string; readonly name: string };
}

/** What `kubectl` printed. */
export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where the API keeps each kind of object. */
const PATHS = {
  pods: "api/v1",
  events: "api/v1",
  configmaps: "api/v1",
  serviceaccounts: "api/v1",
  jobs: "apis/batch/v1",
  cronjobs: "apis/batch/v1",
} as const;

/** A kind of object. */
export type Kind = keyof typeof PATHS;

/** Runs `kubectl`, even if it fails. */
export async function kubectl(args: readonly string[], input?: string): Promise<Output> {
  const child = new Deno.Command("kubectl", {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).spawn();
  const writer = child.stdin.getWriter();
  if (input !== undefined) await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Runs `kubectl` and returns what it printed; throws if it fails. */
export async function mustKubectl(args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await kubectl(args, input);
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${code}\n${stdout}${stderr}`);
  return stdout.trim();
}

/** A namespace of a test's own. */
export interface Namespace {
  readonly name: string;
  /** Runs `kubectl` in it, even if it fails. */
  kubectl(args: readonly string[], input?: string): Promise<Output>;
  /** Runs `kubectl apply` on objects, or on the text of a manifest. */
  apply(...objects: readonly (object | string)[]): Promise<string>;
  /** Every object of a kind, or those with a label (`job-name=x`). */
  list<Item extends Resource>(kind: Kind, label?: string): Promise<readonly Item[]>;
  /** An object as it is now. */
  get<Item extends Resource>(kind: Kind, name: string): Promise<Item>;
  /** Waits until an object is as described, and returns it. */
  until<Item extends Resource>(
    kind: Kind,
    name: string,
    isSo: (object: Item) => boolean,
  ): Promise<Item>;
  /** Waits for an object's removal, and returns its last state; undefined if it is not there any more. */
  gone<Item extends Resource>(kind: Kind, name: string): Promise<Item | undefined>;
  /** Waits for a Job's end. */
  ended(job: string): Promise<EndedJob>;
  /** Waits for a Job's pod that is as described. */
  pod(job: string, isSo: (pod: Pod) => boolean): Promise<Pod>;
  /** What a pod's container wrote. */
  log(pod: Pod, container: string): Promise<string>;
  /** Waits for an event about an object. */
  event(object: string, reason: string): Promise<Event>;
}

/** How a Job ended. */
export interface EndedJob {
  readonly job: Job;
  /** `Complete` or `Failed`. */
  readonly result: string;
  /** `BackoffLimitExceeded`, `DeadlineExceeded` … */
  readonly reason: string | undefined;
  /** From its start to its end; Kubernetes counts whole seconds. */
  readonly seconds: number;
  /** Its pods, in the order of their creation. */
  readonly pods: readonly Pod[];
}

/** Whether a Job has ended, and how. */
export function endOf({ status }: Job): Condition | undefined {
  return status.conditions?.find(({ type, status }) =>
    (type === "Complete" || type === "Failed") && status === "True"
  );
}

/** The state of a pod's container. */
export function containerOf({ status }: Pod, name: string): ContainerStatus | undefined {
  const all = [...status.initContainerStatuses ?? [], ...status.containerStatuses ?? []];
  return all.find((container) => container.name === name);
}

/** How a pod's container ended; throws if it has not. */
export function endOfContainer(pod: Pod, name: string): Terminated {
  const end = containerOf(pod, name)?.state.terminated;
  if (end === undefined) throw new Error(`${name} has not ended: ${JSON.stringify(pod.status)}`);
  return end;
}

/** What a container's end says, as the JSON that the wrapper writes. */
export function summaryOf(pod: Pod, name = "main"): Summary {
  return JSON.parse(endOfContainer(pod, name).message ?? "null");
}

/** The wrapper's summary of a job. */
export interface Summary {
  readonly command: string;
  readonly exitCode: number;
  readonly hooks: readonly {
    readonly hook: string;
    readonly outcome: string;
    readonly answer: string;
  }[];
}

/** The exit code of each of a pod's containers that has ended. */
export function exitCodes(pod: Pod): Readonly<Record<string, number | undefined>> {
  return Object.fromEntries(
    (pod.status.containerStatuses ?? []).map((
      { name, state },
    ) => [name, state.terminated?.exitCode]),
  );
}

/** Seconds between two of the API's times. */
export function secondsBetween(first = "", second = ""): number {
  return (Date.parse(second) - Date.parse(first)) / 1000;
}

/** A change, as the API reports it. */
interface Change<Item> {
  readonly type: string;
  readonly object: Item;
}

/** The objects that match, as they are now and then as they change; `DELETED` if there are none. */
async function* changes<Item extends Resource>(
  path: string,
  selector: Readonly<Record<string, string>>,
  signal: AbortSignal,
): AsyncGenerator<Change<Item | undefined>> {
  const ask = async (query: Readonly<Record<string, string>>) => {
    const response = await fetch(`${API}/${path}?${new URLSearchParams(query)}`, { signal });
    if (!response.ok || response.body === null) throw new Error(await response.text());
    return response;
  };
  const list = await ask(selector);
  const { metadata: { resourceVersion }, items }: {
    metadata: { resourceVersion: string };
    items: readonly Item[];
  } = await list.json();
  for (const object of items) yield { type: "ADDED", object };
  if (items.length === 0) yield { type: "DELETED", object: undefined };

  const { body } = await ask({ ...selector, resourceVersion, watch: "true" });
  if (body === null) return;
  let rest = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line);
  }
}

/** Waits for the first change that is as described. */
async function firstChange<Item extends Resource>(
  path: string,
  selector: Readonly<Record<string, string>>,
  isSo: (change: Change<Item | undefined>) => boolean,
): Promise<Item | undefined> {
  const signal = AbortSignal.timeout(LIMIT_MS);
  let last = "";
  // An aborted request does not always end the loop that reads its body.
  const limit = Promise.withResolvers<never>();
  const timer = setTimeout(() => limit.reject(new Error(`not within ${LIMIT_MS} ms`)), LIMIT_MS);
  const search = async () => {
    while (true) {
      for await (const change of changes<Item>(path, selector, signal)) {
        last = JSON.stringify(change);
        if (change.type === "ERROR") break;
        if (isSo(change)) return change.object;
      }
    }
  };
  try {
    return await Promise.race([search(), limit.promise]);
  } catch (error) {
    throw new Error(`${path} ${JSON.stringify(selector)}: ${error}; last: ${last}`);
  } finally {
    clearTimeout(timer);
  }
}

async function firstState<Item extends Resource>(
  path: string,
  selector: Readonly<Record<string, string>>,
  isSo: (object: Item) => boolean,
): Promise<Item> {
  const found = await firstChange<Item>(
    path,
    selector,
    ({ type, object }) => type !== "DELETED" && object !== undefined && isSo(object),
  );
  if (found === undefined) throw new Error("not reached: an object that is not there is not so");
  return found;
}

function namespace(name: string): Namespace {
  const path = (kind: Kind) => `${PATHS[kind]}/namespaces/${name}/${kind}`;
  const here: Namespace = {
    name,
    kubectl: (args, input) => kubectl(["--namespace", name, ...args], input),
    apply: (...objects) => {
      const texts = objects.map((object) =>
        typeof object === "string" ? object : JSON.stringify(object)
      );
      const args = ["--namespace", name, "apply", "--validate=strict", "--filename=-"];
      return mustKubectl(args, texts.join("\n---\n"));
    },
    async list(kind, label = "") {
      const response = await fetch(`${API}/${path(kind)}?labelSelector=${label}`);
      return (await response.json()).items;
    },
    async get(kind, object) {
      const response = await fetch(`${API}/${path(kind)}/${object}`);
      if (response.ok) return await response.json();
      throw new Error(`${kind} ${object}: ${await response.text()}`);
    },
    until: (kind, object, isSo) =>
      firstState(path(kind), { fieldSelector: `metadata.name=${object}` }, isSo),
    async gone(kind, object) {
      const selector = { fieldSelector: `metadata.name=${object}` };
      return await firstChange(path(kind), selector, ({ type }) => type === "DELETED");
    },
    async ended(name) {
      const job = await here.until<Job>("jobs", name, (job) => endOf(job) !== undefined);
      const end = endOf(job);
      const pods = await here.list<Pod>("pods", `job-name=${name}`);
      const created = ({ metadata }: Pod) => Date.parse(metadata.creationTimestamp);
      return {
        job,
        result: end?.type ?? "",
        reason: end?.reason,
        seconds: secondsBetween(job.status.startTime, end?.lastTransitionTime),
        pods: pods.toSorted((a, b) => created(a) - created(b)),
      };
    },
    pod: (job, isSo) => firstState(path("pods"), { labelSelector: `job-name=${job}` }, isSo),
    log: (pod, container) =>
      mustKubectl(["--namespace", name, "logs", pod.metadata.name, "--container", container]),
    event: (object, reason) =>
      firstState<Event & Resource>(
        path("events"),
        { fieldSelector: `involvedObject.name=${object},reason=${reason}` },
        () => true,
      ),
  };
  return here;
}

/**
 * Creates policies for the whole cluster and waits until they take effect, which the API does not tell:
 * pods are created for trial.
 */
export async function clusterWide(
  objects: readonly object[],
  trial: { readonly metadata?: object; readonly spec: object },
  isEffective: (pod: Pod) => boolean,
): Promise<AsyncDisposable> {
  const manifest = objects.map((object) => JSON.stringify(object)).join("\n---\n");
  await mustKubectl(["apply", "--validate=strict", "--filename=-"], manifest);
  const pod = JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    ...trial,
    metadata: { name: "trial", ...trial.metadata },
  });
  const args = ["create", "--dry-run=server", "--output=json", "--filename=-"];
  const endMs = performance.now() + LIMIT_MS;
  while (!isEffective(JSON.parse(await mustKubectl(args, pod)))) {
    if (performance.now() > endMs) throw new Error(`without effect: ${manifest}`);
  }
  return {
    async [Symbol.asyncDispose]() {
      await mustKubectl(["delete", "--filename=-"], manifest);
    },
  };
}

/** What to look at if a test fails. */
async function report(name: string): Promise<string> {
  const parts: string[] = [];
  const events =
    "custom-columns=TYPE:.type,REASON:.reason,OBJECT:.involvedObject.name,MESSAGE:.message";
  for (const what of [["jobs"], ["pods"], ["events", `--output=${events}`]]) {
    parts.push((await kubectl(["--namespace", name, "get", ...what])).stdout);
  }
  const { stdout } = await kubectl(["--namespace", name, "get", "pods", "--output=name"]);
  for (const pod of stdout.trim().split("\n").filter((line) => line !== "").slice(0, 5)) {
    const args = ["logs", pod, "--all-containers", "--prefix", "--tail=20"];
    const { stdout, stderr } = await kubectl(["--namespace", name, ...args]);
    parts.push(stdout + stderr);
  }
  return parts.join("\n");
}

/** Registers a test with a namespace of its own. */
export function testInNamespace(
  name: string,
  body: (here: Namespace) => Promise<void>,
  labels: Readonly<Record<string, string>> = {},
): void {
  Deno.test(name, async () => {
    const own = `test-${crypto.randomUUID().slice(0, 8)}`;
    await mustKubectl(
      ["create", "--filename=-"],
      JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: own, labels } }),
    );
    const here = namespace(own);
    // Without it no pod is accepted.
    await here.until("serviceaccounts", "default", () => true);
    try {
      await body(here);
    } catch (error) {
      const message = error instanceof Error ? error.stack : String(error);
      throw new Error(`${message}\n${await report(own)}`);
    } finally {
      // The next test need not wait for it.
      await mustKubectl(["delete", "namespace", own, "--wait=false"]);
    }
  });
}

/** What bash asks pilot-agent's stand-in, once that listens; the stand-in writes it down. */
export const USE_NETWORK: string =
  "until (: <>/dev/tcp/localhost/15020) 2>/dev/null; do sleep 0.1; done; " +
  "exec 3<>/dev/tcp/localhost/15020 && " +
  "printf 'GET /last-use HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '^HTTP/1.1 404' <&3";

/** Parts of a container that a test describes. */
export interface Parts {
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly image?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** A container that runs a script under the wrapper, with `WRAPPER_HOOKS=istio` unless `env` has another. */
export function wrapped(script: string, { env = {}, ...others }: Parts = {}) {
  return unwrapped(script, {
    command: [WRAPPER, "sh", "-c", script],
    env: { WRAPPER_HOOKS: "istio", WRAPPER_TERMINATION_LOG: "/dev/termination-log", ...env },
    ...others,
  });
}

/** A container that runs a script. */
export function unwrapped(script: string, { env = {}, ...others }: Parts = {}) {
  return {
    name: "main",
    image: SHELL,
    command: ["sh", "-c", script],
    env: Object.entries(env).map(([name, value]) => ({ name, value })),
    ...others,
  };
}

/** pilot-agent's stand-in as a sidecar: when it listens, and how long it drains after SIGTERM. */
export function pilotAgent(
  { lateMs = 0, drainMs = 10_000, ...others }: {
    readonly lateMs?: number;
    readonly drainMs?: number;
    readonly [field: string]: unknown;
  } = {},
) {
  const args = [String(lateMs), String(drainMs)];
  return { name: "istio-proxy", image: PILOT_AGENT, args, ...others };
}

/** What a namespace with the restricted Pod Security level requires of every container. */
export const RESTRICTED = {
  securityContext: {
    runAsNonRoot: true,
    runAsUser: 65532,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    seccompProfile: { type: "RuntimeDefault" },
    capabilities: { drop: ["ALL"] },
  },
} as const;

/** A Job with these containers. `spec` and `pod` add to its specification and its pod's. */
export function job(
  name: string,
  containers: readonly object[],
  { pod = {}, template = {}, ...spec }: Readonly<Record<string, object | string | number>> & {
    readonly pod?: object;
    readonly template?: object;
  } = {},
) {
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name },
    spec: {
      backoffLimit: 0,
      ...spec,
      template: { ...template, spec: { restartPolicy: "Never", ...pod, containers } },
    },
  };
}
