/**
 * The example manifests, run by `podman kube play` with images that were built on this machine and the
 * tests' COMMAND. The sidecars are the real programs where these are available, and exit by themselves.
 */

import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { type Container, type Document, EXAMPLES, podSpecOf } from "../support/examples.ts";
import {
  both,
  CLOUD_SQL_PROXY_PROGRAM,
  ENVOY,
  type Need,
  OPENBAO_PROGRAM,
  testWith,
} from "../support/needs.ts";
import { agentConfig } from "../support/programs.ts";
import {
  BUILDER_IMAGE,
  ENVOY_IMAGE,
  imageOn,
  makeImages,
  PILOT_AGENT_IMAGE,
  playPod,
  PODMAN,
  TARGET_IMAGE,
  withFile,
  withSecret,
} from "./support.ts";

/** A sidecar, as a container here. It replaces these parts of the manifest's container. */
interface Sidecar {
  /** The container's name. */
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  /** Added to the manifest's own. */
  readonly moreArgs?: readonly string[];
  /** Where its program is mounted, and the program. */
  readonly program?: readonly [path: string, need: Need<string>];
  /** Its configuration file: the path and the text. */
  readonly file?: readonly [path: string, text: string];
  /** A line that it prints if the wrapper sends it what the manifest says. */
  readonly prints?: string;
}

const PILOT_AGENT: Sidecar = {
  name: "pilot-agent",
  image: PILOT_AGENT_IMAGE,
  args: ["0", "10000"],
};

const REAL_ENVOY: Sidecar = {
  name: "envoy",
  image: ENVOY_IMAGE,
  program: ["/usr/local/bin/envoy", ENVOY],
};

const REAL_CLOUD_SQL_PROXY: Sidecar = {
  name: "cloud-sql-proxy",
  image: "gcr.io/distroless/base-debian12:nonroot",
  command: ["/cloud-sql-proxy"],
  // There are no credentials here, and no service that checks them.
  moreArgs: ["--token=none"],
  program: ["/cloud-sql-proxy", CLOUD_SQL_PROXY_PROGRAM],
};

const REAL_VAULT_AGENT: Sidecar = {
  name: "vault-agent",
  image: "gcr.io/distroless/static-debian12:nonroot",
  command: ["/bao", "agent", "-config=/agent.hcl"],
  program: ["/bao", OPENBAO_PROGRAM],
  // What the injector writes for the annotation agent-enable-quit.
  file: ["/agent.hcl", agentConfig("agent_api { enable_quit = true }")],
};

const standIn = (name: string, ...header: readonly string[]): Sidecar => ({
  name,
  image: BUILDER_IMAGE,
  args: ["run", "--no-lock", "--allow-net", "/tests/containers/stand_in.ts", name, ...header],
});

const API_TOKEN = "a-token";
const DAPR: Sidecar = {
  ...standIn("dapr", "dapr-api-token"),
  prints: `POST :3500/v1.0/shutdown 204 dapr-api-token: ${API_TOKEN}`,
};

/** The sidecars of each manifest's pod, including those that a webhook would add. */
const PODS: readonly (readonly [file: string, ...sidecars: readonly Sidecar[]])[] = [
  ["istio.yaml", PILOT_AGENT],
  ["indexed.yaml", PILOT_AGENT],
  ["init-container.yaml", PILOT_AGENT],
  ["on-failure.yaml", PILOT_AGENT],
  ["containers.yaml", PILOT_AGENT],
  ["envoy.yaml", REAL_ENVOY],
  ["cloud-sql.yaml", REAL_CLOUD_SQL_PROXY],
  ["several.yaml", PILOT_AGENT, REAL_CLOUD_SQL_PROXY],
  ["vault.yaml", REAL_VAULT_AGENT],
  ["linkerd.yaml", standIn("linkerd")],
  ["dapr.yaml", DAPR],
];

/** What is mounted into the sidecars' containers: each path there, with the path here. */
interface Mounted {
  readonly [path: string]: string;
}

const TESTS = new URL("../", import.meta.url).pathname;

function asContainer(sidecar: Sidecar, own: Container | undefined, mounted: Mounted) {
  const { name, image, command, args, moreArgs = [], program, file } = sidecar;
  const paths = [...program ? [program[0]] : [], ...file ? [file[0]] : []];
  if (image === BUILDER_IMAGE) paths.push("/tests");
  const mounts = paths.map((path) => ({ name: volumeName(path), mountPath: path, readOnly: true }));
  return {
    container: {
      ...own,
      name,
      image,
      ...(command && { command }),
      args: [...args ?? own?.args ?? [], ...moreArgs],
      volumeMounts: [...own?.volumeMounts ?? [], ...mounts],
    },
    volumes: paths.map((path) => ({
      name: volumeName(path),
      hostPath: { path: mounted[path], type: path === "/tests" ? "Directory" : "File" },
    })),
  };
}

function volumeName(path: string): string {
  return `mounted${path.replaceAll(/[^a-z]/g, "-")}`;
}

function documentsOf(file: string): readonly Document[] {
  return EXAMPLES.filter((example) => example.file === file).map(({ document }) => document);
}

for (const [file, ...sidecars] of PODS) {
  const programs: Need<Mounted> = {
    get what() {
      return sidecars.flatMap(({ program }) =>
        program && program[1].find() === undefined ? [program[1].what] : []
      ).join("; ");
    },
    find() {
      const found = sidecars.flatMap(({ program }) =>
        program ? [[program[0], program[1].find()] as const] : []
      );
      const there = found.flatMap(([path, at]) => at === undefined ? [] : [[path, at] as const]);
      return there.length < found.length ? undefined : Object.fromEntries(there);
    },
  };

  testWith(both(PODMAN, programs), `${file}: the pod of its Job ends`, async ([, found]) => {
    await makeImages();
    const documents = documentsOf(file);
    const job = documents.find(({ kind }) => kind === "Job");
    const spec = job && podSpecOf(job);
    if (spec === undefined) throw new Error(`no Job in ${file}`);

    const configured = sidecars.find(({ file }) => file !== undefined)?.file;
    using configuration = withFile(configured?.[1] ?? "");
    await using _secret = await withSecret("dapr-api-token", { token: API_TOKEN });
    const mounted: Mounted = {
      ...found,
      "/tests": TESTS,
      ...(configured && { [configured[0]]: configuration.path }),
    };
    const others = sidecars.map((sidecar) =>
      asContainer(sidecar, spec.containers.find(({ name }) => name === sidecar.name), mounted)
    );
    const work = spec.containers.filter(({ command }) => command?.[0]?.endsWith("/wrapper"));
    // Where only success tells the sidecars to quit.
    const expected = file === "on-failure.yaml" ? 0 : 3;
    const init = spec.initContainers?.map((container) => ({
      ...container,
      image: TARGET_IMAGE.portable,
    }));
    await using played = await playPod({
      ...spec,
      ...(init && { initContainers: init }),
      containers: [
        ...work.map((container) => ({
          ...container,
          image: imageOn(init ? "BusyBox" : "Debian slim"),
          command: [container.command?.[0], "/job", "exit", String(expected)],
          // Kubernetes sets this in every container.
          env: [...container.env ?? [], { name: "KUBERNETES_SERVICE_HOST", value: "10.0.0.1" }],
        })),
        ...others.map(({ container }) => container),
      ],
      volumes: [...spec.volumes ?? [], ...others.flatMap(({ volumes }) => volumes)],
    }, documents.filter(({ kind }) => kind === "ConfigMap"));

    let log = "";
    for (const { name } of work) {
      assertEquals(await played.exitCode(name), expected, `${name}: ${await played.log(name)}`);
      assertStringIncludes(await played.log(name), "job: the orphan was reaped");
      log += await played.log(name);
    }
    for (const { name, prints = "" } of sidecars) {
      assertEquals(await played.exitCode(name), 0, await played.log(name));
      assertStringIncludes(await played.log(name), prints);
      const hook = name === "pilot-agent" ? "istio" : name;
      assertStringIncludes(log, `wrapper: ${hook}: told to quit (20`);
    }
    assertEquals(
      spec.containers.filter(({ name }) =>
        !work.some((container) => container.name === name) &&
        !sidecars.some((sidecar) => sidecar.name === name)
      ),
      [],
      "a sidecar in the manifest that the test does not know",
    );
  });
}

Deno.test("every example with a Job is run, and a CronJob has the same pod as its Job", () => {
  const files = EXAMPLES.flatMap(({ file, document }) => document.kind === "Job" ? [file] : []);
  assertEquals(PODS.map(([file]) => file).toSorted(), files);
  for (const file of files) {
    const [job, ...cronJobs] = documentsOf(file).map((document) => ({
      kind: document.kind,
      spec: podSpecOf(document),
    })).filter(({ spec }) => spec !== undefined);
    for (const { spec } of cronJobs) assertEquals(spec, job?.spec);
  }
});
