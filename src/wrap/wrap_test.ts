import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "../../tests/support/assert.ts";
// @ts-types="../../types/std_yaml_parse_all.d.ts"
import { parseAll } from "@std/yaml/parse";
import { OPTIONS } from "../options.ts";
import { parseText, UnreadableError } from "./read.ts";
import { parseEntrypoint, type WrapRequest } from "./request.ts";
import { wrapFiles, wrapText } from "./wrap.ts";

const REQUEST: WrapRequest = {
  files: [],
  image: "registry.example.com/wrapper:1",
  containers: [],
  entrypoints: new Map(),
  variables: new Map(),
};

const ask = (more: Partial<WrapRequest>): WrapRequest => ({ ...REQUEST, ...more });
const options = (...pairs: [string, string][]) => ask({ variables: new Map(pairs) });

interface Pod {
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly shareProcessNamespace?: boolean;
    readonly volumes?: readonly { readonly name: string }[];
    readonly initContainers?: readonly Container[];
    readonly containers: readonly Container[];
  };
}

interface Container {
  readonly name: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

/** A Job with this pod spec and template metadata, as YAML's flow style. */
function job(spec: object, metadata: object = {}, name = "j"): string {
  const template = { metadata, spec: { restartPolicy: "Never", ...spec } };
  return toYaml({
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name },
    spec: { template },
  });
}

/** Plain block style. */
function toYaml(value: unknown, indent = 0): string {
  const blanks = " ".repeat(indent);
  if (Array.isArray(value)) {
    return value.map((item) => `${blanks}- ${toYaml(item, indent + 2).trimStart()}`).join("");
  }
  if (typeof value === "object" && value !== null && Object.keys(value).length > 0) {
    return Object.entries(value).map(([key, one]) =>
      typeof one === "object" && one !== null && Object.keys(one).length > 0
        ? `${blanks}${JSON.stringify(key)}:\n${toYaml(one, indent + 2)}`
        : `${blanks}${JSON.stringify(key)}: ${JSON.stringify(one)}\n`
    ).join("");
  }
  return `${blanks}${JSON.stringify(value)}\n`;
}

const main = { name: "main", image: "registry.example.com/my-job:1", command: ["/my-job"] };

function podsOf(text: string): readonly Pod[] {
  return parseAll<{ spec: { template: Pod } }>(text).map(({ spec }) => spec.template);
}

function wrapJob(spec: object, metadata: object = {}, request = REQUEST) {
  const text = job(spec, metadata);
  const wrapped = wrapText(text, request);
  const [pod] = podsOf(wrapped.text);
  assert(pod !== undefined);
  const variables = (index = 0) =>
    Object.fromEntries(
      (pod.spec.containers[index]?.env ?? []).map((
        { name, ...rest },
      ) => [name, rest.value ?? "(field)"]),
    );
  const lines = wrapped.report.map(({ kind, text }) => `${kind}: ${text}`);
  return { ...wrapped, before: text, pod, variables, lines };
}

Deno.test("a Job with one work container gets all that the wrapper needs, and nothing else changes", () => {
  const text = `# My job.
apiVersion: batch/v1
kind: Job
metadata: {name: a}   # odd   spacing stays
spec:
  template:
    metadata:
      labels: {sidecar.istio.io/inject: "true"}
    spec:
      restartPolicy: Never # once
      containers:
      # The work.
      - name: main
        image: 'x:1'
        command: [ "/my-job", '--all' ] # in brackets
        resources:
          limits: {memory: 1Gi}
      # The end.
`;
  const { text: wrapped, report, isLeft } = wrapText(text, REQUEST);
  assertEquals(isLeft, false);
  // Every old line is there, in order, but for the command.
  const lines = wrapped.split("\n");
  for (const line of text.split("\n").filter((line) => !line.includes("command:"))) {
    const at = lines.indexOf(line);
    assert(at >= 0, line);
    lines.splice(0, at + 1);
  }
  assertStringIncludes(
    wrapped,
    `command: [ "/shared/wrapper", "/my-job", '--all' ] # in brackets\n`,
  );
  const [pod] = podsOf(wrapped);
  assertEquals(
    pod?.spec.initContainers?.map((
      { name, image, args, volumeMounts },
    ) => [name, image, args, volumeMounts]),
    [[
      "install-wrapper",
      "registry.example.com/wrapper:1",
      ["--install", "/shared"],
      [{ name: "wrapper", mountPath: "/shared" }],
    ]],
  );
  assertEquals(pod?.spec.volumes?.map(({ name }) => name), ["wrapper"]);
  assertEquals(pod?.spec.containers[0]?.env?.map(({ name, value }) => [name, value]), [
    ["WRAPPER_HOOKS", "istio"],
    ["WRAPPER_INJECTED", undefined],
  ]);
  assertStringIncludes(wrapped, "fieldPath: \"metadata.annotations['sidecar.istio.io/status']\"");
  assertEquals(
    report.map(({ where, kind }) => [where, kind]),
    Array(4).fill(["stdin:2: Job a", "changed"]),
  );
  assertStringIncludes(report[1]?.text ?? "", "sidecar.istio.io/inject");
  const twice = wrapText(wrapped, REQUEST);
  assertEquals([twice.text, twice.isLeft], [wrapped, false]);
});

Deno.test("Job, CronJob, Pod, List, ScaledJob and a stream are wrapped; all else passes byte for byte", () => {
  const spec = "restartPolicy: Never, containers: [{name: m, image: x, command: [/a]}]";
  const template = `template: {spec: {${spec}}}`;
  const wrapped = [
    `apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {${template}}\n`,
    `apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: b}\nspec: {schedule: x, jobTemplate: {spec: {${template}}}}\n`,
    `apiVersion: v1\nkind: Pod\nmetadata: {name: c}\nspec: {${spec}}\n`,
    `apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nmetadata: {name: d}\nspec: {jobTargetRef: {${template}}}\n`,
    `apiVersion: v1\nkind: List\nitems:\n- {apiVersion: batch/v1, kind: Job, metadata: {name: e}, spec: {${template}}}\n- {kind: Service}\n- {apiVersion: batch/v1, kind: Job, metadata: {name: f}, spec: {${template}}}\n`,
  ];
  const other = [
    `apiVersion: v1\nkind: Pod\nmetadata: {name: server}\nspec: {containers: [{name: m, command: [/a]}]}\n`,
    `apiVersion: v1\nkind: Pod\nmetadata: {name: server}\nspec: {restartPolicy: Always, containers: [{name: m, command: [/a]}]}\n`,
    `apiVersion: apps/v1\nkind: Deployment\nspec: {${template}}\n`,
    `# nothing\n`,
    `just text\n`,
  ];
  const stream = [...wrapped, ...other].join("---\n");
  const { text, report, isLeft } = wrapText(stream, REQUEST);
  assertEquals(isLeft, false);
  const documents = text.split("---\n");
  assertEquals(documents.length, wrapped.length + other.length);
  assertEquals(documents.slice(wrapped.length), other);
  for (const [index, document] of documents.slice(0, wrapped.length).entries()) {
    const count = index === 4 ? 2 : 1;
    assertEquals(document.match(/\/shared\/wrapper/g)?.length, count, document);
  }
  const titles = new Set(report.map(({ where }) => where.replace(/.*: /, "")));
  assertEquals([...titles], ["Job a", "CronJob b", "Pod c", "ScaledJob d", "Job e", "Job f"]);
});

Deno.test("JSON stays JSON", () => {
  const job = {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: "a" },
    spec: { template: { spec: { restartPolicy: "Never", containers: [main] } } },
  };
  for (
    const text of [
      JSON.stringify(job),
      JSON.stringify(job, null, 2) + "\n",
      JSON.stringify(job, null, "\t"),
    ]
  ) {
    const wrapped = wrapText(text, REQUEST).text;
    const { containers, initContainers } = JSON.parse(wrapped).spec.template.spec;
    assertEquals([containers[0].command, initContainers.length], [
      ["/shared/wrapper", "/my-job"],
      1,
    ]);
    assertEquals(wrapText(wrapped, REQUEST).text, wrapped);
  }
});

Deno.test("which hooks: from labels and annotations, each with its own mark", () => {
  const cases: [metadata: object, hooks: string][] = [
    [{ labels: { "sidecar.istio.io/inject": "true" } }, "istio"],
    [{ annotations: { "sidecar.istio.io/inject": "true" } }, "istio"],
    [{ labels: { "istio.io/rev": "canary" } }, "istio"],
    [{
      labels: { "sidecar.istio.io/inject": "true" },
      annotations: { "status.sidecar.istio.io/port": "16020" },
    }, "istio=http://localhost:16020"],
    [{ annotations: { "linkerd.io/inject": "enabled" } }, "linkerd"],
    [{ labels: { "kuma.io/sidecar-injection": "enabled" } }, "kuma"],
    [{ annotations: { "consul.hashicorp.com/connect-inject": "true" } }, "consul-dataplane"],
    [{ annotations: { "dapr.io/enabled": "true" } }, "dapr"],
    [{ annotations: { "vault.hashicorp.com/agent-inject": "true" } }, "vault-agent"],
    [{ annotations: { "openbao.openbao.org/agent-inject": "true" } }, "vault-agent"],
    [{
      labels: { "sidecar.istio.io/inject": "true" },
      annotations: { "vault.hashicorp.com/agent-inject": "true" },
    }, "istio,vault-agent"],
    [{
      annotations: {
        "vault.hashicorp.com/agent-inject": "true",
        "vault.hashicorp.com/agent-pre-populate-only": "true",
      },
    }, "auto"],
    [{ labels: { "sidecar.istio.io/inject": "false" } }, "auto"],
    [{}, "auto"],
  ];
  for (const [metadata, hooks] of cases) {
    const { variables, isLeft, text } = wrapJob({ containers: [main] }, metadata);
    assertEquals([variables()["WRAPPER_HOOKS"], isLeft], [hooks, false], JSON.stringify(metadata));
    assertMatch(variables()["WRAPPER_INJECTED"] ?? "", /^(\(field\)|(\$\(INJECTED_BY_[A-Z]+\))+)$/);
    assertEquals(
      /INJECTED_BY_VAULT/.test(text),
      hooks.includes(",") || (hooks === "auto" && !text.includes("pre-populate")),
    );
  }
});

Deno.test("auto: the marks of all injectors are joined, each defined before it is used", () => {
  const { pod } = wrapJob({ containers: [main] });
  const env = pod.spec.containers[0]?.env ?? [];
  const at = env.findIndex(({ name }) => name === "WRAPPER_INJECTED");
  const parts = [...env[at]?.value?.matchAll(/\$\((\w+)\)/g) ?? []].map(([, name]) => name);
  assertEquals(parts.length, 7);
  assertEquals(parts.every((name) => env.slice(0, at).some((one) => one.name === name)), true);
  assertEquals(parts.some((name) => name?.startsWith("WRAPPER_")), false);
});

Deno.test("what an injected sidecar must have is added, and a wrong value corrected", () => {
  const cases: [has: Record<string, string>, gets: Record<string, string>][] = [
    [{ "linkerd.io/inject": "enabled" }, { "config.linkerd.io/proxy-admin-shutdown": "enabled" }],
    [{ "linkerd.io/inject": "enabled", "config.linkerd.io/proxy-admin-shutdown": "disabled" }, {
      "config.linkerd.io/proxy-admin-shutdown": "enabled",
    }],
    [{ "vault.hashicorp.com/agent-inject": "true" }, {
      "vault.hashicorp.com/agent-enable-quit": "true",
    }],
    [{ "openbao.openbao.org/agent-inject": "true" }, {
      "openbao.openbao.org/agent-enable-quit": "true",
    }],
    [
      {
        "consul.hashicorp.com/connect-inject": "true",
        "consul.hashicorp.com/sidecar-proxy-lifecycle-shutdown-grace-period-seconds": "9",
      },
      { "consul.hashicorp.com/enable-sidecar-proxy-lifecycle": "true" },
    ],
  ];
  for (const [annotations, gets] of cases) {
    const { pod } = wrapJob({ containers: [main] }, { annotations });
    assertEquals(pod.metadata?.annotations, { ...annotations, ...gets });
  }
  const { pod, variables } = wrapJob({ containers: [main] }, {
    annotations: { "dapr.io/enabled": "true", "dapr.io/api-token-secret": "the-token" },
  });
  assertEquals(variables()["DAPR_API_TOKEN"], "(field)");
  assertStringIncludes(
    JSON.stringify(pod),
    '"secretKeyRef":{"name":"the-token","key":"token","optional":true}',
  );
});

Deno.test("sidecars in the manifest: told by image or name, stopped, and given what they need", () => {
  const proxy = {
    name: "db",
    image: "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.27.0",
    args: ["--port=5432", "p:r:i"],
  };
  const sql = wrapJob({ containers: [proxy, main] });
  assertEquals(sql.pod.spec.containers[0]?.args, ["--port=5432", "p:r:i", "--quitquitquit"]);
  assertEquals(sql.variables(1), { WRAPPER_HOOKS: "cloud-sql-proxy" });

  const waits = wrapJob(
    { containers: [main, proxy] },
    {},
    options([OPTIONS.waitMs.variable, "60s"]),
  );
  assertEquals(waits.pod.spec.containers[1]?.args?.slice(2), ["--quitquitquit", "--health-check"]);
  assertEquals(waits.variables()["WRAPPER_WAIT"], "60s");

  const port = wrapJob({
    containers: [main, { ...proxy, args: ["--quitquitquit", "--admin-port", "9999", "p"] }],
  });
  assertEquals(port.variables(), { WRAPPER_HOOKS: "cloud-sql-proxy=http://localhost:9999" });
  assertEquals(port.pod.spec.containers[1]?.args?.length, 4);

  const byVariable = { ...proxy, env: [{ name: "CSQL_PROXY_QUITQUITQUIT", value: "true" }] };
  assertEquals(
    wrapJob({ containers: [main, byVariable] }).pod.spec.containers[1]?.args,
    proxy.args,
  );

  const old = wrapJob({
    containers: [main, {
      name: "p",
      image: "gcr.io/cloudsql-docker/gce-proxy:1.33",
      command: ["/cloud_sql_proxy", "-instances=x"],
    }],
  });
  assertEquals([old.text, old.isLeft], [old.before, true]);
  assertMatch(old.lines.join(), /left: container p: version 1/);
  const shell = wrapJob({
    containers: [main, { ...proxy, command: ["sh", "-c", "/cloud-sql-proxy x & wait"] }],
  });
  assertEquals([shell.text, shell.isLeft], [shell.before, true]);
  assertMatch(shell.lines.join(), /left: container db: a shell/);
});

Deno.test("a sidecar that ends at a signal needs one process namespace and one user", () => {
  const shipper = { name: "logs", image: "fluent/fluent-bit:5.0.3" };
  const left = wrapJob({ containers: [main, shipper] });
  assertEquals([left.text, left.isLeft], [left.before, true]);
  assertMatch(left.lines.join(), /Fluent Bit ends at a signal only.*runAsUser/);
  const done = wrapJob({ securityContext: { runAsUser: 1000 }, containers: [main, shipper] });
  assertEquals([done.pod.spec.shareProcessNamespace, done.variables()["WRAPPER_HOOKS"]], [
    true,
    "signal:fluent-bit",
  ]);
});

Deno.test("several work containers are wrapped together; what may be a sidecar is asked about", () => {
  const second = { ...main, name: "second" };
  const { pod, variables, isLeft } = wrapJob({ containers: [main, second] }, {
    labels: { "sidecar.istio.io/inject": "true" },
  });
  assertEquals(isLeft, false);
  for (const index of [0, 1]) {
    assertEquals(variables(index)["WRAPPER_CONTAINERS"], "2");
    const mounts = pod.spec.containers[index]?.volumeMounts?.map(({ mountPath }) => mountPath);
    assertEquals(mounts, ["/shared", "/run/wrapper"]);
  }
  assertEquals(pod.spec.volumes?.map(({ name }) => name), ["wrapper", "wrapper-shared"]);

  const containers = [main, { name: "my-sidecar", image: "x", command: ["/s"] }];
  const asked = wrapJob({ containers });
  assertEquals([asked.text, asked.isLeft], [asked.before, true]);
  assertMatch(asked.lines.join(), /container my-sidecar may be work.*--container NAME.*--hook/);
  const unknown = wrapJob({ containers }, {}, ask({ containers: ["main"] }));
  assertEquals([unknown.text, unknown.isLeft], [unknown.before, true]);
  const told = wrapJob(
    { containers },
    {},
    ask({
      containers: ["main"],
      variables: new Map([[OPTIONS.hook.variable, "http://localhost:1/quit"]]),
    }),
  );
  assertEquals(told.pod.spec.containers.map(({ command }) => command?.[0]), [
    "/shared/wrapper",
    "/s",
  ]);
  assertEquals(told.variables(), { WRAPPER_HOOKS: "http://localhost:1/quit" });
});

Deno.test("no command: --entrypoint says what the image starts, else it is left", () => {
  const containers = [{ name: "main", image: "x", args: ["--all"] }];
  const left = wrapJob({ containers });
  assertEquals([left.text, left.isLeft], [left.before, true]);
  assertMatch(left.lines.join(), /left: container main has no command.*--entrypoint 'main=/);
  const done = wrapJob(
    { containers },
    {},
    ask({ entrypoints: new Map([["main", ["/app", "run"]]]) }),
  );
  assertEquals([done.pod.spec.containers[0]?.command, done.pod.spec.containers[0]?.args], [
    ["/shared/wrapper", "/app", "run"],
    ["--all"],
  ]);
  assertEquals(parseEntrypoint('main=["/app","run"]'), ["main", ["/app", "run"]]);
  for (const wrong of ["main", "main=/app", "main=[]", "main=[1]", 'main=["/app"', '=["/app"]']) {
    assertEquals(parseEntrypoint(wrong), undefined);
  }
});

Deno.test("native sidecars need nothing, and a wrapper that is there stays", () => {
  const native = { name: "proxy", image: "istio/proxyv2", restartPolicy: "Always" };
  for (
    const [spec, metadata] of [
      [{ initContainers: [native], containers: [main] }, {}],
      [{ containers: [main] }, {
        labels: { "sidecar.istio.io/inject": "true" },
        annotations: { "sidecar.istio.io/nativeSidecar": "true" },
      }],
      [{ containers: [{ ...main, command: ["/wrapper", "/my-job"] }] }, {}],
    ] as const
  ) {
    const { text, before, isLeft, lines } = wrapJob(spec, metadata);
    assertEquals([text, isLeft, lines.length], [before, false, 1]);
    assertMatch(lines.join(), /^unneeded: /);
  }
  const half = wrapJob({
    containers: [{ ...main, command: ["/wrapper", "x"] }, { ...main, name: "b" }],
  });
  assertEquals([half.text, half.isLeft], [half.before, true]);
});

Deno.test("other options are written into the manifest in place of what would be chosen", () => {
  const { variables } = wrapJob(
    {
      containers: [{
        ...main,
        env: [{ name: "WRAPPER_WAIT", value: "1s" }, { name: "A", value: "b" }],
      }],
    },
    {},
    options(
      [OPTIONS.hook.variable, "istio,linkerd"],
      [OPTIONS.waitMs.variable, "90s"],
      [OPTIONS.on.variable, "failure"],
    ),
  );
  assertEquals(variables(), {
    WRAPPER_WAIT: "90s",
    A: "b",
    WRAPPER_HOOKS: "istio,linkerd",
    INJECTED_BY_ISTIO: "(field)",
    INJECTED_BY_LINKERD: "(field)",
    WRAPPER_INJECTED: "$(INJECTED_BY_ISTIO)$(INJECTED_BY_LINKERD)",
    WRAPPER_ON: "failure",
  });
});

Deno.test("restartPolicy OnFailure and a shell with several steps get what the README says", () => {
  const { variables } = wrapJob({
    restartPolicy: "OnFailure",
    containers: [{ ...main, command: ["sh", "-c"], args: ["load && run\nsave"] }],
  });
  assertEquals([variables()["WRAPPER_ON"], variables()["WRAPPER_PROCESS_GROUP"]], [
    "success",
    "true",
  ]);
  assertEquals(
    wrapJob({ containers: [{ ...main, command: ["sh", "-c", "exec run"] }] })
      .variables()["WRAPPER_PROCESS_GROUP"],
    undefined,
  );
});

Deno.test("names and folders that are taken are left to those that have them", () => {
  const { pod } = wrapJob({
    volumes: [{ name: "wrapper", emptyDir: {} }],
    initContainers: [{ name: "install-wrapper", image: "x" }],
    containers: [{ ...main, volumeMounts: [{ name: "wrapper", mountPath: "/shared/data" }] }],
  });
  assertEquals(pod.spec.volumes?.map(({ name }) => name), ["wrapper", "wrapper-2"]);
  assertEquals(pod.spec.initContainers?.map(({ name }) => name), [
    "install-wrapper",
    "install-wrapper-2",
  ]);
  assertEquals(pod.spec.containers[0]?.command?.[0], "/shared-2/wrapper");
});

Deno.test("a pod for Windows is left", () => {
  for (
    const where of [{ os: { name: "windows" } }, {
      nodeSelector: { "kubernetes.io/os": "windows" },
    }]
  ) {
    const { text, before, isLeft, lines } = wrapJob({ ...where, containers: [main] });
    assertEquals([text, isLeft], [before, true]);
    assertMatch(lines.join(), /runs on Windows/);
  }
  assertEquals(wrapJob({ os: { name: "linux" }, containers: [main] }).isLeft, false);
});

Deno.test("Argo, Tekton, JobSet and others with pods of their own are left, with what to do instead", () => {
  for (
    const [apiVersion, kind, advice] of [
      ["argoproj.io/v1alpha1", "Workflow", /Argo/],
      ["tekton.dev/v1", "TaskRun", /last step/],
      ["jobset.x-k8s.io/v1alpha2", "JobSet", /mutating-admission-policy/],
      ["batch.volcano.sh/v1alpha1", "Job", /controller/],
    ] as const
  ) {
    const text =
      `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {generateName: a-}\nspec: {}\n`;
    const { report, isLeft, text: after } = wrapText(text, REQUEST);
    assertEquals([after, isLeft, report[0]?.where], [text, true, `stdin:1: ${kind} a-`]);
    assertMatch(report[0]?.text ?? "", advice);
    assertMatch(report[0]?.text ?? "", /; then label it wrapper: disabled itself/);
  }
});

Deno.test("anchors: what has one stays, what comes from one is written out, what others share is left", () => {
  const template = (container: string) =>
    `x-common: &common
  - {name: A, value: b}
apiVersion: batch/v1
kind: Job
metadata: {name: &name a}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
${container}`;
  const leaf = wrapText(
    template("      - name: *name\n        command: &own [/a]\n        env: *common\n"),
    REQUEST,
  );
  assertEquals(leaf.isLeft, false);
  assertStringIncludes(leaf.text, "command: &own [/shared/wrapper, /a]\n");
  assertStringIncludes(
    leaf.text,
    '        env: [{ "name": "A", "value": "b" }, { "name": "WRAPPER_HOOKS"',
  );
  assertStringIncludes(leaf.text, "x-common: &common\n  - {name: A, value: b}\n");
  const shared = template(
    "      - &m\n        name: m\n        command: [/a]\n      - <<: *m\n        name: n\n",
  );
  const left = wrapText(shared, REQUEST);
  assertEquals([left.text, left.isLeft], [shared, true]);
  assertMatch(left.report[0]?.text ?? "", /anchor/);
  const base = `x-base: &base {image: x, command: [/a], env: [{name: A, value: b}]}\n` +
    template("      - <<: *base\n        name: m\n").replace(/^.*\n.*\n/, "").replace("&name ", "");
  const based = wrapText(base, REQUEST);
  assertEquals(based.isLeft, false, based.report[0]?.text);
  assertStringIncludes(based.text, "      - <<: *base\n        name: m\n");
  assertStringIncludes(based.text, '        command: ["/shared/wrapper", "/a"]\n');
  assertStringIncludes(
    based.text,
    "        env:\n          - name: A\n            value: b\n          - name: WRAPPER_HOOKS\n",
  );
});

Deno.test("Windows line endings and a missing last line end stay", () => {
  const text = job({ containers: [main] }).replaceAll("\n", "\r\n").trimEnd();
  const { text: wrapped, isLeft } = wrapText(text, REQUEST);
  assertEquals(isLeft, false);
  assertEquals(/[^\r]\n/.test(wrapped), false);
  assertEquals(wrapped.endsWith("\n"), false);
  assertEquals(podsOf(wrapped)[0]?.spec.containers[0]?.command, ["/shared/wrapper", "/my-job"]);
  assertEquals(wrapText(wrapped, REQUEST).text, wrapped);
});

Deno.test("what cannot be parsed is refused in one line, with its line and what was expected", () => {
  const cases: [text: string, message: RegExp][] = [
    ["a: 1\nb:\n\tc: 1\n", /^f, line 3: a tab indents this line: expected blanks$/],
    ["a: 1\na: 2\n", /^f, line 2: the key "a" is there twice$/],
    ["a: [1\n", /^f, line \d: expected valid YAML or JSON/],
    [
      "kind: Job\nmetadata:\n  name: {{ .Values.name }}\n",
      /^f, line 3: a template that is not rendered yet.*helm template/,
    ],
    ["kind: Job\nmetadata:\n  name: a-{{ .Values.name }}\n", /^f, line 3: a template/],
    ["{{- if .x }}\nkind: Job\n{{- end }}\n", /^f, line 1: a template/],
    ["a: *nowhere\n", /^f, line 1: expected an anchor/],
    // The line to look at, and what is wrong there.
    ["a: [1, 2\nb: c\n", /^f, line 1: .*: \[ is not closed/],
    ['a: 1\nb: "x\nc: d\n', /^f, line 2: .*: " is not closed/],
    ['{"a": "b"', /^f, line 1: .*: \{ is not closed/],
    ['{"a": 1\n "b": 2}', /^f, line 1: .*: a comma is missing/],
    ['a: ["b" "c"]\n', /^f, line 1: .*: a comma is missing/],
    ["a:\n  b: c\n d: e\n", /^f, line 3: .*: this line is not indented/],
    ["a:\n  - b\n - c\n", /^f, line 3: .*: this line is not indented/],
    ["a: 1\n   b: 2\n", /^f, line 2: .*: this line is indented more/],
    ["a: b: c\n", /^f, line 1: .*: a second colon/],
    ["a:b\nc: d\n", /^f, line 1: .*: a colon, and a blank after it, is missing/],
    ["a: `b`\n", /^f, line 1: .*needs quotes$/],
    ['{"a": 1}\n{"a": 2}\n', /^f, line 2: .*: a line of --- is missing between two objects$/],
    ["a: [b]]\n", /^f, line 1: .*: a bracket is closed that was not opened$/],
    ["a: 'it's'\n", /^f, line 1: .*: a quote, a comma or a new line is missing/],
    ["a: 'b'#c\n", /^f, line 1: .*: a blank is missing before #$/],
    ['a: "\\q"\n', /^f, line 1: .*: a backslash in double quotes is written twice$/],
    ["a: ".repeat(1) + "[".repeat(200_000), /^f, line 1: expected fewer brackets in brackets$/],
  ];
  for (const [text, message] of cases) {
    try {
      parseText("f", text);
      throw new Error(`was read: ${text.slice(0, 40)}`);
    } catch (error) {
      assert(error instanceof UnreadableError, String(error));
      assertMatch(error.message, message);
      assertEquals(error.message.includes("\n"), false);
    }
  }
});

Deno.test("a list of many Jobs takes no longer than its Jobs, and what is left does not change the others", () => {
  const item = (index: number) =>
    `- apiVersion: batch/v1\n  kind: Job\n  metadata: {name: j${index}}\n  spec:\n    template:\n` +
    `      spec:\n        restartPolicy: Never\n        containers:\n        - name: m\n          image: x\n` +
    `          ${index % 10 === 0 ? "args" : "command"}: [/a]\n`;
  const items = Array.from({ length: 300 }, (_, index) => item(index));
  const list = `apiVersion: v1\nkind: List\nitems:\n${items.join("")}`;
  const { text, report, isLeft } = wrapText(list, REQUEST);
  assertEquals(isLeft, true);
  assertEquals(report.filter(({ kind }) => kind === "left").length, 30);
  assertEquals(text.match(/command: \[\/shared\/wrapper, \/a\]/g)?.length, 270);
  assertStringIncludes(text, items[0] ?? "");
});

Deno.test("more entries than a manifest has are refused before they are parsed", () => {
  try {
    wrapText(`a: &a x\nb: [${"*a, ".repeat(2_000_000)}]\n`, REQUEST);
    throw new Error("was read");
  } catch (error) {
    assert(error instanceof UnreadableError, String(error));
    assertMatch(error.message, /^stdin: expected at most 1500000 lines and entries$/);
  }
});

Deno.test("text that only looks like a template is read", () => {
  const annotations = { "vault.hashicorp.com/agent-inject-template-x": "{{ with secret }}" };
  assertEquals(wrapJob({ containers: [main] }, { annotations }).isLeft, false);
});

Deno.test("braces that are meant to stay are read, as kustomize prints them: without quotes", () => {
  const rule = `apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: rule
spec:
  groups:
  - name: one
    rules:
    - annotations:
        summary: Instance {{ $labels.instance }} is down
`;
  const workflow = `apiVersion: v1
kind: ConfigMap
metadata:
  name: from-{{ workflow.name }}
data:
  image: registry.example.com/app:{{ inputs.parameters.tag }}
`;
  const text = `${rule}---\n${workflow}---
apiVersion: batch/v1
kind: Job
metadata:
  name: report
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - command:
        - /my-job
        - --format=Day {{ .Day }}
        image: registry.example.com/my-job:1
        name: main
`;
  const { text: wrapped, isLeft } = wrapText(text, REQUEST);
  assertEquals(isLeft, false);
  assert(wrapped.startsWith(`${rule}---\n${workflow}---\n`));
  assertStringIncludes(
    wrapped,
    "- /shared/wrapper\n        - /my-job\n        - --format=Day {{ .Day }}",
  );
});

/** What kustomize 5.8.2 sends to a function, for a Job with a prefix. */
const CALL = `apiVersion: config.kubernetes.io/v1
kind: ResourceList
items:
- apiVersion: batch/v1
  kind: Job
  metadata:
    annotations:
      internal.config.kubernetes.io/prefixes: pre-
      internal.config.kubernetes.io/previousKinds: Job
      internal.config.kubernetes.io/previousNames: load
      internal.config.kubernetes.io/previousNamespaces: default
      kustomize.config.k8s.io/id: |
        group: batch
        kind: Job
        name: pre-load
        version: v1
      config.kubernetes.io/index: '0'
      internal.config.kubernetes.io/index: '0'
      internal.config.kubernetes.io/annotations-migration-resource-id: '0'
      internal.config.kubernetes.io/id: '1'
      config.k8s.io/id: '1'
    name: pre-load
  spec:
    template:
      spec:
        containers:
        - command:
          - sh
          - -c
          - echo {{ x }}
          image: busybox:1
          name: main
        restartPolicy: Never
functionConfig:
  apiVersion: example.com/v1
  kind: Wrapper
  metadata:
    annotations:
      config.kubernetes.io/function: |
        exec:
          path: wrapper
          args: [--wrap, "-"]
      config.kubernetes.io/local-config: 'true'
    name: wrapper
`;

Deno.test("a kustomize function's call comes back with its Job wrapped, and is named without a line", () => {
  const { text, report, isLeft } = wrapText(CALL, REQUEST);
  assertEquals(isLeft, false);
  assertEquals(new Set(report.map(({ where }) => where)), new Set(["Job pre-load"]));
  const added = text.split("\n").filter((line) => !CALL.includes(line));
  assertEquals(added[0], "          - /shared/wrapper");
  assertEquals(CALL.split("\n").filter((line) => !text.includes(line)), []);
  assertEquals(wrapText(text, REQUEST).text, text);
  const end = "\nfunctionConfig:";
  assertEquals(text.slice(text.indexOf(end)), CALL.slice(CALL.indexOf(end)));

  const withPath = CALL.replace(
    "    annotations:",
    "    annotations:\n      internal.config.kubernetes.io/path: jobs/load.yaml",
  );
  // With the mark of `kustomize build` the path is invented; from `kustomize fn run` it is a file's.
  const ofRun = withPath.replace("kustomize.config.k8s.io/id", "example.com/other");
  const where = [withPath, ofRun].map((text) => wrapText(text, REQUEST).report[0]?.where);
  assertEquals(where, ["Job pre-load", "jobs/load.yaml: Job pre-load"]);
});

Deno.test("a function's configuration that nobody would read is refused", () => {
  for (const key of ["data", "spec"]) {
    try {
      wrapText(`${CALL}  ${key}:\n    hook: istio\n`, REQUEST);
      throw new Error("was read");
    } catch (error) {
      assert(error instanceof UnreadableError, String(error));
      assertMatch(error.message, new RegExp(`^stdin: .* has ${key}, which is not read: .*args`));
    }
  }
});

Deno.test("the label wrapper: disabled keeps the wrapper out, on an object and on its pods", () => {
  const labels = { wrapper: "disabled" };
  const spec = { containers: [{ name: "main", image: "registry.example.com/my-job:1" }] };
  const reason = "its label wrapper: disabled keeps the wrapper out";
  const { text, before, lines, isLeft } = wrapJob(spec, { labels });
  assertEquals([text, lines, isLeft], [before, [`unneeded: ${reason}`], false]);
  const isEnabled = { labels: { wrapper: "enabled" } };
  assertEquals(wrapJob({ containers: [main] }, isEnabled).lines[0]?.startsWith("changed"), true);

  for (
    const [apiVersion, kind] of [
      ["batch/v1", "Job"],
      ["argoproj.io/v1alpha1", "WorkflowTemplate"],
      ["tekton.dev/v1", "Task"],
    ]
  ) {
    const object = toYaml({
      apiVersion,
      kind,
      metadata: { name: "a", labels },
      spec: { template: { spec } },
    });
    const { text, report } = wrapText(object, REQUEST);
    assertEquals(text, object);
    assertEquals(report, [{ kind: "unneeded", where: `stdin:1: ${kind} a`, text: reason }]);
    assertEquals(wrapText(object.replace("disabled", "other"), REQUEST).isLeft, true);
  }

  // A CronJob has three places for it: its own, its Jobs' and their pods'.
  const cronJob = (own: object, job: object, pod: object) => {
    const template = { ...pod, spec: { containers: [main] } };
    const jobTemplate = { ...job, spec: { template } };
    const object = { metadata: { name: "a", ...own }, spec: { schedule: "@daily", jobTemplate } };
    return wrapText(toYaml({ apiVersion: "batch/v1", kind: "CronJob", ...object }), REQUEST);
  };
  const metadata = { labels };
  for (
    const found of [
      cronJob({ labels }, {}, {}),
      cronJob({}, { metadata }, {}),
      cronJob({}, {}, { metadata }),
    ]
  ) {
    assertEquals(found.report.map(({ kind, text }) => [kind, text]), [["unneeded", reason]]);
  }
  assertEquals(cronJob({}, {}, {}).report[0]?.kind, "changed");
});

Deno.test("anchors that explode end in one line", () => {
  const levels = Array.from(
    { length: 12 },
    (_, n) => `l${n + 1}: &l${n + 1} [${Array(10).fill(`*l${n}`).join(", ")}]\n`,
  );
  const text = `l0: &l0 [x]\n${levels.join("")}${job({ containers: [main] })}`;
  try {
    wrapText(text, REQUEST);
    throw new Error("was read");
  } catch (error) {
    assert(error instanceof UnreadableError, String(error));
    assertMatch(error.message, /^stdin, line 1: its anchors stand for more/);
  }
});

Deno.test("a sidecar in the manifest, beside one that a namespace may inject, is a note", () => {
  const job = (labels: string) =>
    `apiVersion: batch/v1
kind: Job
metadata: { name: one }
spec:
  template:
    metadata: { labels: { ${labels} } }
    spec:
      restartPolicy: Never
      containers:
        - { name: main, image: "example.com/job:1", command: [/job] }
        - name: cloud-sql-proxy
          image: gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.27.0
          args: ["--quitquitquit", "a:b:c"]
`;
  const notes = (text: string) =>
    wrapText(text, {
      files: [],
      image: "example.com/wrapper:1",
      containers: [],
      entrypoints: new Map(),
      variables: new Map(),
    }).report.filter(({ kind }) => kind === "note").map(({ text }) => text);
  const [note, ...others] = notes(job("app: mine"));
  assertEquals(others, []);
  assertStringIncludes(note ?? "", "--hook cloud-sql-proxy --hook istio");
  assertEquals(notes(job('sidecar.istio.io/inject: "true"')), []);
});

Deno.test("where no manifest has a Job, a line says so", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".yaml" });
  try {
    const { report, isLeft, text } = await wrapFiles({
      files: [file],
      image: "example.com/wrapper:1",
      containers: [],
      entrypoints: new Map(),
      variables: new Map(),
    });
    assertEquals([isLeft, text], [false, ""]);
    assertEquals(report, [{ kind: "unneeded", where: file, text: "there is no Job in it" }]);
  } finally {
    Deno.removeSync(file);
  }
});

const proxy = (image: string, more: object = {}) => ({
  name: "db",
  image,
  args: ["p:r:i"],
  ...more,
});
const SQL = "gcr.io/cloud-sql-connectors/cloud-sql-proxy";
const ALLOY = "gcr.io/alloydb-connectors/alloydb-auth-proxy";

Deno.test("a proxy too old for --quitquitquit does not get it, and the Job is left with what to do", () => {
  for (
    const [image, since] of [
      [`${SQL}:2.0.0`, "2.1.0"],
      [`${SQL}:2.0.0-alpine@sha256:0123`, "2.1.0"],
      [`${SQL}:2.0`, "2.1.0"],
      [`${SQL}:1.33.1`, "2.1.0"],
      [`mirror.example.com:5000/a/cloud-sql-proxy:v2.0.0-preview.4`, "2.1.0"],
      [`${ALLOY}:1.1.0`, "1.2.0"],
      [`${ALLOY}:0.6.2`, "1.2.0"],
    ] as const
  ) {
    const containers = [main, proxy(image)];
    for (const request of [REQUEST, options([OPTIONS.hook.variable, "auto"])]) {
      const { text, before, isLeft, lines } = wrapJob({ containers }, {}, request);
      assertEquals([text, isLeft, lines.length], [before, true, 1], image);
      assertMatch(
        lines[0] ?? "",
        new RegExp(
          `container db: version [\\d.]+ does not know --quitquitquit.* use ${since} .*file:`,
        ),
      );
    }
    for (const hook of ["file:/work/done", "signal:cloud-sql-proxy", "none"]) {
      const request = options([OPTIONS.hook.variable, hook]);
      const { pod, isLeft } = wrapJob({ containers }, {}, request);
      assertEquals([pod.spec.containers[1]?.args, isLeft], [["p:r:i"], false], hook);
    }
  }
  const { pod, isLeft, lines } = wrapJob(
    { containers: [main, proxy(`${SQL}:2.0.0`)] },
    {},
    options([OPTIONS.hook.variable, "http://localhost:9091/quitquitquit"]),
  );
  assertEquals([pod.spec.containers[1]?.args, isLeft], [["p:r:i"], false], lines.join("\n"));
});

Deno.test("a proxy whose version is new enough, or not told, gets --quitquitquit", () => {
  const notes = (image: string, name = "db") => {
    const { pod, isLeft, lines } = wrapJob({ containers: [main, proxy(image, { name })] });
    assertEquals(
      [pod.spec.containers[1]?.args, isLeft],
      [["p:r:i", "--quitquitquit"], false],
      image,
    );
    return lines.filter((line) => line.includes("version")).join();
  };
  for (
    const image of [
      `${SQL}:2.1.0`,
      `${SQL}:2.11.0-alpine`,
      `${SQL}:2`,
      `${SQL}:2.1`,
      `${SQL}:3.0.0`,
      `${SQL}:latest`,
      SQL,
      `${ALLOY}:1.2.0`,
      `${ALLOY}:1`,
    ]
  ) assertEquals(notes(image), "", image);
  const unknown = [`${SQL}@sha256:0123`, `${SQL}:bookworm`, `${SQL}:main-3f2a`];
  for (const image of unknown) assertMatch(notes(image), /^note: .*--quitquitquit needs 2\.1\.0/);
  // The tag of an image of one's own is not the proxy's version.
  assertMatch(notes("example.com/our-proxy:1.0.0", "cloud-sql-proxy"), /^note: /);
});

Deno.test("--quitquitquit in a shell's script counts, and a shell gets no flag", () => {
  const script = (text: string) =>
    proxy(`${SQL}:2.11.0`, { command: ["sh", "-c", text], args: [] });
  const { pod, isLeft } = wrapJob({
    containers: [main, script("exec /cloud-sql-proxy --quitquitquit p:r:i")],
  });
  assertEquals([isLeft, pod.spec.containers[1]?.command?.length], [false, 3]);
  const containers = [main, script("exec /cloud-sql-proxy p:r:i")];
  assertMatch(wrapJob({ containers }).lines.join(), /left: container db: a shell starts it/);
  const known = wrapJob({ containers }, {}, options([OPTIONS.hook.variable, "cloud-sql-proxy"]));
  assertEquals([known.isLeft, known.pod.spec.containers[1]?.command?.length], [false, 3]);
});

Deno.test("WRAPPER_INJECTED where hooks are mixed: true beside a container of the manifest, else a note", () => {
  const labels = { "sidecar.istio.io/inject": "true" };
  const containers = [main, proxy(`${SQL}:2.11.0`)];
  const mixed = wrapJob({ containers }, { labels });
  assertEquals(mixed.variables(), {
    WRAPPER_HOOKS: "istio,cloud-sql-proxy",
    WRAPPER_INJECTED: "true",
  });
  assertMatch(mixed.lines.join("\n"), /changed: .*WRAPPER_INJECTED=true: the container db comes/);
  const named = options([OPTIONS.hook.variable, "cloud-sql-proxy,linkerd"]);
  assertEquals(wrapJob({ containers }, {}, named).variables()["WRAPPER_INJECTED"], "true");

  const unknown = options([OPTIONS.hook.variable, "istio,http://localhost:1/quit"]);
  const left = wrapJob({ containers: [main] }, { labels }, unknown);
  assertEquals(left.variables(), { WRAPPER_HOOKS: "istio,http://localhost:1/quit" });
  assertMatch(left.lines.join("\n"), /note: .*WRAPPER_INJECTED is left out.*--injected true/);
  // A tombstone is no sidecar.
  const file = options([OPTIONS.hook.variable, "istio,file:/work/done"]);
  assertEquals(
    wrapJob({ containers: [main] }, { labels }, file).variables()["WRAPPER_INJECTED"],
    "(field)",
  );
});

Deno.test("WRAPPER_HOOKS that is there decides about WRAPPER_INJECTED, too", () => {
  const labels = { "sidecar.istio.io/inject": "true" };
  const having = (entry: object) => ({ containers: [{ ...main, env: [entry] }] });
  const own = wrapJob(having({ name: "WRAPPER_HOOKS", value: "http://localhost:1/quit" }), {});
  assertEquals(own.variables(), { WRAPPER_HOOKS: "http://localhost:1/quit" });
  assertMatch(own.lines.join("\n"), /note: .*WRAPPER_HOOKS is there already, and stays/);
  const mesh = wrapJob(having({ name: "WRAPPER_HOOKS", value: "linkerd" }), { labels });
  assertStringIncludes(mesh.text, "linkerd.io/proxy-version");
  const field = { configMapKeyRef: { name: "c", key: "k" } };
  for (
    const entry of [
      { name: "WRAPPER_HOOKS", valueFrom: field },
      { name: "WRAPPER_HOOKS", value: "$(HOOKS)" },
    ]
  ) {
    assertEquals(wrapJob(having(entry), { labels }).variables()["WRAPPER_INJECTED"], undefined);
  }
});

Deno.test("--containers brings the volume and the mounts, and numbers that cannot be right are said", () => {
  const several = options([OPTIONS.containers.variable, "2"]);
  const mounts = (pod: Pod, index = 0) =>
    pod.spec.containers[index]?.volumeMounts?.map(({ name, mountPath }) => [name, mountPath]);
  const one = wrapJob({ containers: [main] }, {}, several);
  assertEquals(one.variables()["WRAPPER_CONTAINERS"], "2");
  assertEquals(mounts(one.pod), [["wrapper", "/shared"], ["wrapper-shared", "/run/wrapper"]]);
  assertEquals(one.pod.spec.volumes?.map(({ name }) => name), ["wrapper", "wrapper-shared"]);
  assertMatch(one.lines.join("\n"), /note: --containers is 2, and one starts the wrapper here/);

  const elsewhere = options([OPTIONS.containers.variable, "2"], [OPTIONS.sharedDir.variable, "/x"]);
  const both = [main, { ...main, name: "b" }];
  const two = wrapJob({ containers: both }, {}, elsewhere);
  for (const index of [0, 1]) assertEquals(mounts(two.pod, index)?.[1], ["wrapper-shared", "/x"]);
  assertEquals(two.lines.filter((line) => /note: --containers/.test(line)), []);

  const few = wrapJob({ containers: both }, {}, options([OPTIONS.containers.variable, "1"]));
  assertEquals([few.text, few.isLeft], [few.before, true]);
  assertMatch(few.lines.join(), /left: --containers is 1, and 2 containers do work: main, b/);

  // What is shared already stays.
  const env = [{ name: "WRAPPER_CONTAINERS", value: "2" }];
  const volumeMounts = [{ name: "run", mountPath: "/run/wrapper/" }];
  const volumes = [{ name: "run", emptyDir: {} }];
  const shared = wrapJob({
    volumes,
    containers: both.map((one) => ({ ...one, env, volumeMounts })),
  });
  assertEquals(shared.pod.spec.volumes?.map(({ name }) => name), ["run", "wrapper"]);
  assertEquals(mounts(shared.pod, 1)?.map(([name]) => name), ["run", "wrapper"]);
  const half = wrapJob({ volumes, containers: [{ ...main, volumeMounts }, both[1] ?? main] });
  assertEquals([half.text, half.isLeft], [half.before, true]);
  assertMatch(half.lines.join(), /left: container main: \/run\/wrapper is mounted already/);
});

Deno.test("a container that may never end, beside the work, is asked about or noted", () => {
  for (
    const command of [
      ["redis-server", "--save", ""],
      ["docker-entrypoint.sh", "postgres"],
      ["/usr/bin/dockerd"],
      ["sleep", "infinity"],
      ["sh", "-c", "tail -f /dev/null"],
    ]
  ) {
    const { isLeft, lines } = wrapJob({ containers: [main, { name: "b", image: "x", command }] });
    assertEquals(isLeft, true, command.join());
    assertMatch(lines.join(), /left: container b may be work, or a sidecar.*--container NAME/);
  }
  assertEquals(wrapJob({ containers: [{ ...main, command: ["redis-server"] }] }).isLeft, false);
  const containers = [main, { ...main, name: "b", command: ["/my-cache"] }];
  const noted = wrapJob({ containers });
  assertEquals(noted.isLeft, false);
  assertMatch(
    noted.lines.join("\n"),
    /note: containers main and b are all taken for work.*hangs the pod.*--container NAME/,
  );
  const told = wrapJob({ containers }, {}, ask({ containers: ["main", "b"] }));
  assertEquals(told.lines.filter((line) => line.startsWith("note: ")), []);
});

Deno.test("options that change nothing where the wrapper is already, or nothing is needed, are named", () => {
  const first = wrapJob({ containers: [main] }, {}, options([OPTIONS.waitMs.variable, "60s"]));
  const again = (more: Partial<WrapRequest>) =>
    wrapText(first.text, ask(more)).report.map(({ kind, text }) => `${kind}: ${text}`);
  const unchanged = "unneeded: container main starts the wrapper already";
  assertEquals(again({}), [unchanged]);
  const same = { variables: new Map([[OPTIONS.waitMs.variable, "60s"]]), isImageGiven: true };
  assertEquals(again(same), [unchanged]);
  const other = {
    variables: new Map([[OPTIONS.waitMs.variable, "90s"], [OPTIONS.on.variable, "success"]]),
    image: "other:2",
    isImageGiven: true,
  };
  assertEquals(again(other), [
    unchanged,
    "note: --wait, --on, --image change nothing here: write it into the manifest yourself",
  ]);
  const native = { name: "proxy", image: "x", restartPolicy: "Always" };
  const { lines } = wrapJob(
    { initContainers: [native], containers: [main] },
    {},
    options([OPTIONS.waitMs.variable, "60s"]),
  );
  assertMatch(lines.join("\n"), /^unneeded: .*\nnote: --wait changes nothing here/);
  const entrypoint = ask({ entrypoints: new Map([["main", ["/app"]]]) });
  assertMatch(
    wrapJob({ containers: [main] }, {}, entrypoint).lines.join("\n"),
    /note: container main: --entrypoint changes nothing here, because it has a command/,
  );
});

Deno.test("a sidecar that is refused by its label or annotation is named as such", () => {
  const why = (metadata: object) =>
    wrapJob({ containers: [main] }, metadata).lines.find((line) => line.includes("=auto")) ?? "";
  const undecided = why({});
  assertMatch(undecided, /WRAPPER_HOOKS=auto: nothing in the manifest tells which sidecar comes$/);
  for (
    const [metadata, refused] of [
      [
        { labels: { "sidecar.istio.io/inject": "false" } },
        "Istio's sidecar does not come (sidecar.istio.io/inject)",
      ],
      [
        { annotations: { "linkerd.io/inject": "disabled" } },
        "Linkerd's proxy does not come (linkerd.io/inject)",
      ],
      [
        {
          annotations: {
            "vault.hashicorp.com/agent-inject": "true",
            "vault.hashicorp.com/agent-pre-populate-only": "true",
          },
        },
        "Vault's agent does not come (vault.hashicorp.com/agent-pre-populate-only)",
      ],
    ] as const
  ) assertStringIncludes(why(metadata), `WRAPPER_HOOKS=auto: ${refused}; nothing`);
});

Deno.test("a kind in the wrong case, a wrong apiVersion, or a mistyped restartPolicy is left with what was meant", () => {
  const spec = "spec: {restartPolicy: Never, containers: [{name: m, image: x, command: [/a]}]}";
  const jobSpec = `spec: {template: {${spec}}}`;
  for (
    const [text, advice] of [
      [`apiVersion: batch/v1\nkind: job\n${jobSpec}\n`, /^kind "job": did you mean Job\?$/],
      [`apiVersion: batch/v1\nkind: Cronjob\n${jobSpec}\n`, /did you mean CronJob\?$/],
      [`apiVersion: batch/v1\nkind: Jobs\n${jobSpec}\n`, /did you mean Job\?$/],
      [`apiVersion: v1\nkind: pod\n${spec}\n`, /did you mean Pod\?$/],
      [`apiVersion: v1\nkind: list\nitems: []\n`, /did you mean List\?$/],
      [`apiVersion: v1\nkind: Job\n${jobSpec}\n`, /^apiVersion "v1": expected batch\/v1$/],
      [`apiVersion: batch\nkind: Job\n${jobSpec}\n`, /^apiVersion "batch": expected batch\/v1$/],
      [`kind: Job\n${jobSpec}\n`, /^its apiVersion is missing: expected batch\/v1$/],
      [`apiVersion: batch/v1\n${jobSpec}\n`, /^its kind is missing: expected Job or CronJob$/],
      [
        `apiVersion: v1\nkind: Pod\n${spec.replace("Never", "never")}\n`,
        /^restartPolicy "never": did you mean Never\?$/,
      ],
    ] as const
  ) {
    const { text: after, report, isLeft } = wrapText(text, REQUEST);
    assertEquals([after, isLeft, report.length, report[0]?.kind], [text, true, 1, "left"], text);
    assertMatch(report[0]?.text ?? "", advice);
  }
  for (
    const other of [
      "apiVersion: v1\nkind: Node\nspec: {}\n",
      "apiVersion: apps/v1\nkind: Deployment\nspec: {}\n",
      "apiVersion: nomad.example.com/v1\nkind: Job\nspec: {}\n",
      "kind: job\nname: not of Kubernetes\n",
    ]
  ) assertEquals(wrapText(other, REQUEST).report, [], other);
  // As the API server itself lists them.
  const listed =
    `apiVersion: batch/v1\nkind: JobList\nitems:\n- {metadata: {name: a}, ${jobSpec}}\n`;
  assertStringIncludes(wrapText(listed, REQUEST).text, "/shared/wrapper");
});

Deno.test("what is left names the container and its line", () => {
  const text = (container: string) =>
    `apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec:\n  template:\n    spec:\n` +
    `      restartPolicy: Never\n      containers:\n      - name: main\n        image: x\n${container}`;
  for (
    const [container, where, reason] of [
      ["        command: /a --all\n", 11, /^container main: its command must be a list of words/],
      [
        "        command: [/a]\n        args: [1]\n",
        12,
        /^container main: its args must be a list of texts/,
      ],
      ["        args: [b]\n", 9, /^container main has no command/],
      [
        "        command: [/a]\n      - name: my-proxy\n        image: y\n",
        12,
        /^container my-proxy may/,
      ],
    ] as const
  ) {
    const [line] = wrapText(text(container), REQUEST).report;
    assertEquals([line?.kind, line?.where], ["left", `stdin:${where}: Job a`]);
    assertMatch(line?.text ?? "", reason);
  }
});

Deno.test("a name that no Job has is an option's, and what was meant is said", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".yaml" });
  try {
    Deno.writeTextFileSync(file, job({ containers: [main] }));
    const { report, isLeft } = await wrapFiles(
      ask({ files: [file], containers: ["mian"], entrypoints: new Map([["other", ["/a"]]]) }),
    );
    assertEquals(isLeft, true);
    assertEquals(report.slice(-2), [
      {
        kind: "missing",
        where: "--container mian",
        text: "no Job has a container of this name; did you mean main?",
      },
      {
        kind: "missing",
        where: "--entrypoint other",
        text: "no Job has a container of this name",
      },
    ]);
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test("a key that has nothing gets its lines below it, also as the last line of a file", () => {
  const text = (nothing: string) =>
    `apiVersion: batch/v1
kind: Job
metadata: {name: a}
spec:
  template:
    metadata:
      annotations: {linkerd.io/inject: enabled}
    spec:
      restartPolicy: Never
      initContainers:${nothing}
      containers:
        - name: main
          image: x
          command: [/a]
          volumeMounts:${nothing}
          env:${nothing}
`;
  for (const nothing of ["", " []", " null", " ~", " # none", " [] # none", "\n          # none"]) {
    for (const ending of ["\n", "\r\n"]) {
      const before = text(nothing).replaceAll("\n", ending);
      const { text: after, isLeft, report } = wrapText(before, REQUEST);
      assertEquals(isLeft, false, `${nothing}: ${report[0]?.text}`);
      const kept = nothing.replace(/^ ([[\]~]+|null)/, "");
      const own = kept.startsWith("\n") ? "" : kept;
      const env =
        `          env:${own}\n            - name: WRAPPER_HOOKS\n              value: linkerd\n`;
      assertStringIncludes(after, env.replaceAll("\n", ending), JSON.stringify(nothing));
      const [pod] = podsOf(after);
      const { volumeMounts, env: entries } = pod?.spec.containers[0] ?? {};
      assertEquals([volumeMounts?.length, entries?.length, pod?.spec.initContainers?.length], [
        1,
        2,
        1,
      ]);
      assertEquals(wrapText(after, REQUEST).text, after);
    }
  }
  // What is put behind the last key, and what belongs to that key, keep their order.
  const last = text("").replace("      restartPolicy: Never\n", "") + "      volumes:\n";
  const { text: after, isLeft } = wrapText(last, REQUEST);
  assertEquals([isLeft, podsOf(after)[0]?.spec.volumes?.length], [false, 1]);
});

Deno.test("a wrapper behind an init, or in a shell's script, is there already", () => {
  for (
    const command of [
      ["tini", "--", "/wrapper", "/my-job"],
      ["/usr/bin/dumb-init", "-v", "/shared/wrapper", "/my-job"],
      ["/usr/bin/dumb-init", "--rewrite", "15:2", "--", "/shared/wrapper", "/my-job"],
      ["tini", "-e", "143", "--", "/shared/wrapper", "/my-job"],
      ["env", "A=b", "/shared/wrapper", "/my-job"],
      ["sh", "-c", "cd /data && exec /wrapper /my-job"],
    ]
  ) {
    const { text, before, lines } = wrapJob({ containers: [{ ...main, command }] });
    assertEquals([text, lines], [before, [
      "unneeded: container main starts the wrapper already",
    ]]);
  }
  for (
    const command of [
      ["tini", "--", "/my-job"],
      ["tini", "--", "/my-job", "--", "/wrapper"],
      ["/my-job", "--", "/wrapper"],
      ["sh", "-c", "gradle wrapper && x"],
    ]
  ) {
    const { pod } = wrapJob({ containers: [{ ...main, command }] });
    assertEquals(pod.spec.containers[0]?.command?.[0], "/shared/wrapper");
  }
});

Deno.test("a script that stops a sidecar itself, and a first proxy behind a helper, are noted", () => {
  const script = (text: string) =>
    wrapJob({ containers: [{ ...main, command: ["sh", "-c", text] }] }).lines.join("\n");
  const note = /note: container main: its script tells a sidecar to quit itself/;
  for (
    const text of [
      "run; curl -X POST localhost:15020/quitquitquit",
      "run; pkill -TERM cloud_sql_proxy",
      "trap 'killall envoy' EXIT; run",
    ]
  ) assertMatch(script(text), note);
  assertEquals(note.test(script("run; pkill my-helper")), false);
  const containers = [main, {
    name: "cloudsql-proxy",
    image: "registry.example.com/sqlproxy:1.11",
    command: ["/watcher", "/cloud_sql_proxy", "-instances=p:r:i=tcp:3306"],
  }];
  const left = wrapJob({ containers });
  assertEquals(left.isLeft, true);
  assertMatch(left.lines.join(), /left: container cloudsql-proxy: version 1 .*--hook file:PATH/);
  const told = wrapJob({ containers }, {}, options([OPTIONS.hook.variable, "file:/work/done"]));
  assertEquals([told.isLeft, told.pod.spec.containers[1]?.args], [false, undefined]);
});

Deno.test("JSON with a line for each entry gets such lines", () => {
  const value = {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: "a" },
    spec: {
      template: {
        spec: { restartPolicy: "Never", containers: [{ ...main, env: [], tty: false }] },
      },
    },
  };
  for (const unit of ["  ", "    ", "\t"]) {
    const before = JSON.stringify(value, null, unit);
    const { text: after } = wrapText(before, options([OPTIONS.hook.variable, "envoy"]));
    // All of it, and in the order of its keys, is as JSON.stringify() writes it.
    assertEquals(after, JSON.stringify(JSON.parse(after), null, unit));
    const crlf = before.replaceAll("\n", "\r\n");
    const request = options([OPTIONS.hook.variable, "envoy"]);
    assertEquals(wrapText(crlf, request).text, after.replaceAll("\n", "\r\n"));
    assertEquals(wrapText(after, request).text, after);
  }
});

Deno.test("a mesh's proxy that was injected before: no other is suggested, and Linkerd's switch is set", () => {
  const istio = wrapJob({
    containers: [main, { name: "istio-proxy", image: "istio/proxyv2:1.20" }],
  });
  assertEquals(istio.variables()["WRAPPER_HOOKS"], "istio");
  assertEquals(istio.lines.filter((line) => line.startsWith("note: ")), []);
  const name = "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED";
  const withSwitch = (value: string, request = REQUEST) =>
    wrapJob(
      {
        containers: [main, {
          name: "linkerd-proxy",
          image: "cr.l5d.io/linkerd/proxy:edge-26.1.1",
          env: [{ name, value }, { name: "OTHER", value: "false" }],
        }],
      },
      {},
      request,
    );
  const elsewhere = { name, valueFrom: { configMapKeyRef: { name: "linkerd", key: "quit" } } };
  const other = wrapJob({
    containers: [main, {
      name: "linkerd-proxy",
      image: "cr.l5d.io/linkerd/proxy:edge-26.1.1",
      env: [elsewhere],
    }],
  });
  assertEquals(other.pod.spec.containers[1]?.env, [elsewhere]);
  assertMatch(
    other.lines.join("\n"),
    new RegExp(`note: container linkerd-proxy: ${name} comes from`),
  );
  const off = withSwitch("false");
  assertEquals(off.variables(1), { [name]: "true", OTHER: "false" });
  assertMatch(off.lines.join("\n"), new RegExp(`changed: container linkerd-proxy: ${name}=true: `));
  const on = withSwitch("true");
  assertEquals(on.variables(1), { [name]: "true", OTHER: "false" });
  assertEquals(on.lines.join().includes(name), false);
  const untold = withSwitch("false", options([OPTIONS.hook.variable, "signal:linkerd2-proxy"]));
  assertEquals(untold.variables(1)[name], "false");
});

Deno.test("a sidecar that may take long to end gets the time that its recipe says", () => {
  const timeout = (containers: readonly object[], request = REQUEST, env: readonly object[] = []) =>
    wrapJob(
      { securityContext: { runAsUser: 1000 }, containers: [{ ...main, env }, ...containers] },
      {},
      request,
    ).variables()["WRAPPER_SHUTDOWN_TIMEOUT"];
  const vector = { name: "vector", image: "timberio/vector:0.51.0-distroless-libc" };
  const collector = { name: "otel", image: "otel/opentelemetry-collector:0.165.0" };
  assertEquals(timeout([collector]), "30s");
  assertEquals(timeout([collector, vector]), "70s");
  assertEquals(timeout([proxy(`${SQL}:2.11.0`)]), undefined);
  assertEquals(timeout([vector], options([OPTIONS.shutdownTimeoutMs.variable, "9s"])), "9s");
  assertEquals(timeout([vector], options([OPTIONS.hook.variable, "none"])), undefined);
  const there = [{ name: "WRAPPER_SHUTDOWN_TIMEOUT", value: "2m" }];
  assertEquals(timeout([vector], REQUEST, there), "2m");
});
