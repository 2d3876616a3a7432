/** Kustomizations by the real kustomize: with `wrapper --wrap` as a function, in a pipe, and with a merge. */

// @ts-types="../../types/std_yaml_parse.d.ts"
import { parse } from "@std/yaml/parse";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { type Document, podSpecOf } from "../support/examples.ts";
import { wrapStdin } from "../support/wrapper.ts";
import { SHELL } from "../kubernetes/images.ts";
import { withInjectors } from "../kubernetes/injectors.ts";
import {
  containerOf,
  exitCodes,
  kubectl,
  type Namespace,
  testInNamespace,
} from "../kubernetes/support.ts";
import { makeHome } from "./support.ts";

const EXAMPLES = new URL("../../examples", import.meta.url).pathname;

/** The flags without which kustomize runs no function that is a program. */
const FLAGS = ["--enable-alpha-plugins", "--enable-exec"];

/** How kustomize ends a build if the function fails. */
const failure = (code: number) => `couldn't execute function: exit status ${code}`;

/** A function's configuration. */
function functionOf(args: readonly string[], more: object = {}) {
  const exec = { exec: { path: "wrapper", args: ["--wrap", "-", ...args] } };
  return {
    apiVersion: "example.com/v1",
    kind: "Wrapper",
    metadata: {
      name: "wrapper",
      annotations: { "config.kubernetes.io/function": JSON.stringify(exec) },
    },
    ...more,
  };
}

/** A Job with Istio's label. */
function jobOf(container: object = { command: ["/my-job"] }, name = "load"): Document {
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name },
    spec: {
      template: {
        metadata: { labels: { "sidecar.istio.io/inject": "true" } },
        spec: {
          restartPolicy: "Never",
          containers: [{ name: "main", image: SHELL, ...container }],
        },
      },
    },
  } as Document;
}

/** What kustomize prints without quotes, though it has braces. */
const RULE = {
  apiVersion: "monitoring.coreos.com/v1",
  kind: "PrometheusRule",
  metadata: { name: "rule" },
  spec: {
    groups: [{
      name: "one",
      rules: [{
        alert: "Down",
        expr: "up == 0",
        annotations: { summary: "Instance {{ $labels.instance }} is down" },
      }],
    }],
  },
};

const WORKFLOW = {
  apiVersion: "argoproj.io/v1alpha1",
  kind: "WorkflowTemplate",
  metadata: { name: "flow" },
  spec: {
    templates: [{ name: "one", container: { image: "registry.example.com/a:{{inputs.tag}}" } }],
  },
};

/** Kustomizations in a home of their own. */
function makeTrial() {
  const home = makeHome();
  const { folder } = home;
  const kustomize = (...args: readonly string[]) => home.run("KUSTOMIZE", ...args);
  return {
    ...home,
    kustomize,
    /** Makes a kustomization of these objects; returns its folder. */
    kustomization(objects: readonly object[], more: object, name = "base"): string {
      const path = `${folder}/${name}`;
      Deno.mkdirSync(path);
      const texts = objects.map((object) => JSON.stringify(object));
      Deno.writeTextFileSync(`${path}/all.yaml`, texts.join("\n---\n"));
      const resources = objects.length > 0 ? ["all.yaml"] : [];
      Deno.writeTextFileSync(
        `${path}/kustomization.yaml`,
        JSON.stringify({
          apiVersion: "kustomize.config.k8s.io/v1beta1",
          kind: "Kustomization",
          resources,
          ...more,
        }),
      );
      return path;
    },
    /** Builds with the function; it must succeed. */
    async built(path: string): Promise<string> {
      const { code, stdout, stderr } = await kustomize("build", ...FLAGS, path);
      assertEquals(code, 0, stderr);
      return stdout;
    },
  };
}

/** The kustomization's transformers, inline. */
const by = (...functions: readonly object[]) => ({
  transformers: functions.map((one) => JSON.stringify(one)),
});

const commandsOf = (yaml: string) =>
  yaml.split(/^---$/m).flatMap((text) => {
    const spec = podSpecOf(parse(text) as Document);
    return spec === undefined ? [] : [spec.containers[0]?.command];
  });

/** Applies a manifest, and sees it through to its Job's end. */
async function assertCompletes(here: Namespace, manifest: string, job: string): Promise<void> {
  const strict = ["apply", "--validate=strict", "--filename=-"];
  const trial = await here.kubectl([...strict, "--dry-run=server"], manifest);
  assertEquals([trial.code, trial.stderr], [0, ""]);
  const first = await here.kubectl(strict, manifest);
  assertEquals([first.code, first.stderr], [0, ""]);
  const { result, pods: [pod] } = await here.ended(job);
  assert(pod !== undefined);
  assertEquals([result, exitCodes(pod)], ["Complete", { main: 0, "istio-proxy": 0 }]);
  const log = await here.log(pod, "main");
  assertStringIncludes(log, "my job");
  assertStringIncludes(log, "istio: told to quit");
}

testInNamespace(
  "kustomize without the wrapper: the Job's sidecar runs on; a function without --enable-exec is skipped, and nothing says so",
  async (here) => {
    await using _injectors = await withInjectors();
    using trial = makeTrial();
    const job = jobOf({ command: ["sh", "-c", "echo my job"] });
    const path = trial.kustomization([job], by(functionOf([])));
    const { code, stdout, stderr } = await trial.kustomize("build", FLAGS[0] ?? "", path);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(commandsOf(stdout), [["sh", "-c", "echo my job"]]);
    await here.apply(stdout);
    await here.pod("load", (pod) =>
      exitCodes(pod)["main"] === 0 &&
      containerOf(pod, "istio-proxy")?.state.running !== undefined);
  },
);

testInNamespace(
  "kustomize with examples/kustomize-function: Complete; built and applied twice, the same",
  async (here) => {
    await using _injectors = await withInjectors();
    using trial = makeTrial();
    const manifest = await trial.built(`${EXAMPLES}/kustomize-function`);
    assertEquals(await trial.built(`${EXAMPLES}/kustomize-function`), manifest);
    assertEquals(commandsOf(manifest), [["/shared/wrapper", "/my-job"]]);
    assertEquals(manifest.includes("config.kubernetes.io"), false, manifest);
    await assertCompletes(here, manifest, "by-function");
    const again = await here.kubectl(["apply", "--filename=-"], manifest);
    assertEquals([again.stdout.trim(), again.stderr], ["job.batch/by-function unchanged", ""]);
    const piped = await wrapStdin(manifest);
    assertEquals([piped.code, piped.stdout], [0, manifest], piped.stderr);
  },
);

testInNamespace("kustomize with the merge of examples/kustomize: Complete", async (here) => {
  await using _injectors = await withInjectors();
  using trial = makeTrial();
  const { code, stdout, stderr } = await trial.kustomize("build", `${EXAMPLES}/kustomize`);
  assertEquals([code, stderr], [0, ""]);
  await assertCompletes(here, stdout, "from-elsewhere");
});

testInNamespace("kustomize in a pipe: Complete", async (here) => {
  await using _injectors = await withInjectors();
  using trial = makeTrial();
  const job = jobOf({ command: ["sh", "-c", "echo my job {{ of today }}"] });
  const rendered = await trial.kustomize("build", trial.kustomization([job], {}));
  assertStringIncludes(rendered.stdout, "- echo my job {{ of today }}\n");
  const { code, stdout, stderr } = await wrapStdin(rendered.stdout);
  assertEquals(code, 0, stderr);
  await assertCompletes(here, stdout, "load");
});

Deno.test("kustomize: what else is built passes, though it has braces", async () => {
  using trial = makeTrial();
  const label = [{ op: "add", path: "/metadata/labels", value: { wrapper: "disabled" } }];
  const patches = [{ target: { kind: "WorkflowTemplate" }, patch: JSON.stringify(label) }];
  const path = trial.kustomization([RULE, WORKFLOW, jobOf()], {
    namePrefix: "pre-",
    patches,
    ...by(functionOf([])),
  });
  const bare = await trial.kustomize("build", FLAGS[0] ?? "", path);
  const { code, stdout, stderr } = await trial.kustomize("build", ...FLAGS, path);
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /^wrapper: Job pre-load: container main: its command begins with/m);
  assertMatch(stderr, /^wrapper: WorkflowTemplate pre-flow: .*its label wrapper: disabled/m);
  // Only lines of the Job are there that were not there before, and none is gone.
  const lines = stdout.split("\n");
  for (const line of bare.stdout.split("\n")) {
    const at = lines.indexOf(line);
    assert(at >= 0, line);
    lines.splice(0, at + 1);
  }
  assertStringIncludes(stdout, "summary: Instance {{ $labels.instance }} is down");
  const piped = await wrapStdin(bare.stdout);
  assertEquals(piped.code, 0, piped.stderr);
  assertEquals(commandsOf(piped.stdout), commandsOf(stdout));
});

Deno.test("kustomize: what is left fails the build, with the reason; nothing comes out", async () => {
  using trial = makeTrial();
  for (
    const [name, object, reason] of [
      ["job", jobOf({}), /^wrapper: .*Job load: NOT wrapped: container main has no command/m],
      [
        "flow",
        WORKFLOW,
        /^wrapper: .*WorkflowTemplate flow: NOT wrapped: Argo starts the commands/m,
      ],
    ] as const
  ) {
    const path = trial.kustomization([object, RULE], by(functionOf([])), name);
    const { code, stdout, stderr } = await trial.kustomize("build", ...FLAGS, path);
    assertEquals([code, stdout], [1, ""], stderr);
    assertMatch(stderr, reason);
    assertStringIncludes(stderr, failure(1));
  }
  for (
    const [name, wrong, reason] of [
      ["option", functionOf(["--hok=istio"]), /unknown option "--hok": .*--hook/],
      ["config", functionOf([], { data: { hook: "istio" } }), /has data, which is not read/],
    ] as const
  ) {
    const path = trial.kustomization([jobOf()], by(wrong), name);
    const { code, stdout, stderr } = await trial.kustomize("build", ...FLAGS, path);
    assertEquals([code, stdout], [1, ""], stderr);
    assertMatch(stderr, reason);
    assertStringIncludes(stderr, failure(125));
  }
});

Deno.test("kustomize: the function's args are options; in a base and above it, it wraps once", async () => {
  using trial = makeTrial();
  const args = [
    "--image=registry.example.com/wrapper:1",
    "--hook=envoy",
    "--wait=20s",
    '--entrypoint=main=["/app", "run it"]',
  ];
  trial.kustomization([jobOf({ args: ["now"] })], by(functionOf(args)));
  const above = trial.kustomization([], {
    resources: ["../base"],
    namespace: "else",
    images: [{ name: "registry.example.com/wrapper", newTag: "2" }],
    ...by(functionOf([])),
  }, "above");
  const { code, stdout, stderr } = await trial.kustomize("build", ...FLAGS, above);
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /^wrapper: Job load: .*container main starts the wrapper already$/m);
  const spec = podSpecOf(parse(stdout) as Document);
  const [main] = spec?.containers ?? [];
  assertEquals(main?.command, ["/shared/wrapper", "/app", "run it"]);
  assertEquals(main?.args, ["now"]);
  const variables = main?.env?.filter(({ value }) => value !== undefined);
  assertEquals(variables, [
    { name: "WRAPPER_HOOKS", value: "envoy" },
    { name: "WRAPPER_WAIT", value: "20s" },
  ]);
  assertEquals(spec?.initContainers?.map(({ image }) => image), ["registry.example.com/wrapper:2"]);
});

Deno.test("kustomize fn run: the function changes the files, and their comments stay", async () => {
  using trial = makeTrial();
  const folder = `${trial.folder}/files`;
  Deno.mkdirSync(folder);
  const function_ = functionOf([]);
  const annotations = {
    ...function_.metadata.annotations,
    "config.kubernetes.io/local-config": "true",
  };
  const local = { ...function_, metadata: { ...function_.metadata, annotations } };
  Deno.writeTextFileSync(`${folder}/wrapper.yaml`, JSON.stringify(local));
  const text = `# The nightly load.
apiVersion: batch/v1
kind: Job
metadata:
  name: load
spec:
  template:
    metadata:
      labels:
        sidecar.istio.io/inject: "true"
    spec:
      restartPolicy: Never # once
      containers:
      - name: main
        image: registry.example.com/my-job:1
        command: [/my-job] # all of it
`;
  Deno.writeTextFileSync(`${folder}/job.yaml`, text);
  const run = () => trial.kustomize("fn", "run", folder, "--enable-exec");
  const { code, stderr } = await run();
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /^wrapper: job\.yaml: Job load: container main: its command begins with/m);
  const wrapped = Deno.readTextFileSync(`${folder}/job.yaml`);
  assertEquals(commandsOf(wrapped), [["/shared/wrapper", "/my-job"]]);
  for (const comment of ["# The nightly load.\n", " # once\n", " # all of it\n"]) {
    assertStringIncludes(wrapped, comment);
  }
  assertEquals((await run()).code, 0);
  assertEquals(Deno.readTextFileSync(`${folder}/job.yaml`), wrapped);
});

Deno.test("kubectl's own kustomize does not run the function, and does not always say so", async () => {
  const folder = `${EXAMPLES}/kustomize-function`;
  const built = await kubectl(["kustomize", "--enable-alpha-plugins", folder]);
  assertEquals([built.code, built.stderr], [0, ""]);
  assertEquals(commandsOf(built.stdout), [undefined]);
  const flag = await kubectl(["kustomize", ...FLAGS, folder]);
  assertEquals(flag.code, 1);
  assertStringIncludes(flag.stderr, "unknown flag: --enable-exec");
  const applied = await kubectl(["apply", "--dry-run=client", "--kustomize", folder]);
  assertEquals(applied.code, 1, applied.stdout);
  assertStringIncludes(applied.stderr, "external plugins disabled");
});
