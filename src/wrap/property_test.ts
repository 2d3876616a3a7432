/** Random pod templates in random styles: what comes out is accepted, stable, and otherwise the same. */

import fc from "fast-check";
import { Document, isAlias, isCollection, isScalar, parse, visit } from "yaml";
import { assert, assertEquals } from "../../tests/support/assert.ts";
import { checkAndRun, programOf } from "../../tests/support/manifests.ts";
import type { WrapRequest } from "./request.ts";
import { wrapText } from "./wrap.ts";

const IMAGE = "registry.example.com/wrapper:1";

const REQUEST: WrapRequest = {
  files: [],
  image: IMAGE,
  containers: [],
  entrypoints: new Map(),
  variables: new Map(),
};

const name = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
/** Texts that YAML could take for something else. */
const text = fc.oneof(
  fc.constantFrom(
    "",
    "yes",
    "null",
    "0x1f",
    "1e3",
    "a: b",
    "# no",
    "- x",
    "it's",
    '"',
    "two\nlines\n",
    "\ttab",
    "é🙂",
    "{{ x }}",
    "*a",
    "&b",
    "| c",
    "trailing ",
    "1:30",
    "~",
  ),
  fc.string({ maxLength: 12 }),
  fc.stringMatching(/^[\w ./:-]{0,40}$/),
);
const entry = fc.record({ name: fc.stringMatching(/^[A-Z][A-Z_]{0,8}$/), value: text });
const mount = fc.record({
  name: fc.constant("data"),
  mountPath: fc.stringMatching(/^\/[a-z]{1,6}$/),
});

const container = fc.record({
  image: fc.constantFrom("x:1", "registry.example.com/a/b@sha256:0123", "é/x"),
  command: fc.array(text.filter((word) => !/(^|\/)wrapper$/.test(word)), {
    minLength: 1,
    maxLength: 4,
  }),
  args: fc.array(text, { maxLength: 3 }),
  env: fc.uniqueArray(entry, { maxLength: 3, selector: ({ name }) => name }),
  volumeMounts: fc.uniqueArray(mount, { maxLength: 2, selector: ({ mountPath }) => mountPath }),
  imagePullPolicy: fc.constantFrom("Always", "Never"),
  tty: fc.boolean(),
  workingDir: text,
}, { requiredKeys: ["image", "command"] });

const sidecar = fc.constantFrom(
  {
    name: "cloud-sql-proxy",
    image: "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2",
    args: ["p:r:i"],
  },
  { name: "proxy", image: "envoyproxy/envoy:v1.40.0" },
);

const marks = fc.record({
  labels: fc.oneof(
    fc.constant({ "sidecar.istio.io/inject": "true" }),
    fc.dictionary(name, name, { maxKeys: 2 }),
  ),
  annotations: fc.oneof(
    fc.constantFrom<Record<string, string>>({ "linkerd.io/inject": "enabled" }, {
      "dapr.io/enabled": "true",
    }),
    fc.dictionary(name, text, { maxKeys: 2 }),
  ),
}, { requiredKeys: [] });

const podSpec = fc.record({
  restartPolicy: fc.constantFrom("Never", "OnFailure"),
  containers: fc.tuple(
    fc.uniqueArray(fc.tuple(name, container), {
      minLength: 1,
      maxLength: 2,
      selector: ([name]) => name,
    }),
    fc.option(sidecar, { nil: undefined }),
  )
    .map(([work, other]) => [
      ...work.map(([name, rest]) => ({ name, ...rest })),
      ...(other === undefined ? [] : [other]),
    ]),
  initContainers: fc.array(container.map((one) => ({ name: "before", ...one })), { maxLength: 1 }),
  volumes: fc.constantFrom([], [{ name: "data", emptyDir: {} }]),
  serviceAccountName: name,
  terminationGracePeriodSeconds: fc.nat(100),
  nodeSelector: fc.dictionary(name, name, { maxKeys: 2 }),
}, { requiredKeys: ["restartPolicy", "containers"] });

const template = fc.record({ metadata: marks, spec: podSpec }, { requiredKeys: ["spec"] });

const object = fc.oneof(
  fc.tuple(name, template).map(([name, template]) => ({
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name },
    spec: { backoffLimit: 2, template },
  })),
  fc.tuple(name, template).map(([name, template]) => ({
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name },
    spec: { schedule: "0 0 * * *", jobTemplate: { spec: { template } } },
  })),
);

const STYLES = ["PLAIN", "QUOTE_DOUBLE", "QUOTE_SINGLE", "BLOCK_LITERAL", "BLOCK_FOLDED"];

/** The same value in one of the many ways in which it can be written. */
function write(value: unknown, random: () => number): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, (key, node) => {
    if (isCollection(node)) {
      if (random() < 0.15) node.flow = true;
      if (random() < 0.1 && key !== "key") node.commentBefore = " a comment";
    } else if (isScalar(node)) {
      const type = STYLES[Math.floor(random() * 8)];
      if (typeof node.value === "string" && type !== undefined && key !== "key") {
        Object.assign(node, { type });
      }
      if (random() < 0.05 && key !== "key") node.comment = " beside";
    }
    assert(!isAlias(node));
  });
  const indentSeq = random() < 0.5;
  const flowCollectionPadding = random() < 0.5;
  const written = document.toString({
    indentSeq,
    flowCollectionPadding,
    lineWidth: random() < 0.5 ? 0 : 60,
    indent: random() < 0.5 ? 2 : 4,
  });
  const ended = random() < 0.1 ? written.trimEnd() : written;
  return random() < 0.2 ? ended.replaceAll("\n", "\r\n") : ended;
}

const styled = fc.tuple(object, fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })))
  .map(([value, stream]) => {
    const numbers = stream[Symbol.iterator]();
    const written = write(value, () => Number(numbers.next().value ?? 0));
    return written;
  });

interface Loose {
  [key: string]: unknown;
}

const isLoose = (value: unknown): value is Loose => typeof value === "object" && value !== null;

/** Takes everything away that `--wrap` may add, wherever it is. */
function unwrapped(value: unknown, key = ""): unknown {
  if (Array.isArray(value)) {
    const own = value.filter((item) => !isLoose(item) || !isAdded(item)).map((item) =>
      unwrapped(item)
    );
    if (key === "command" && /^\/shared(-\d+)?\/wrapper$/.test(String(own[0]))) {
      return own[1] === "--" && String(value[2] ?? "").startsWith("-")
        ? own.slice(2)
        : own.slice(1);
    }
    return own.filter((word) => word !== "--quitquitquit");
  }
  if (!isLoose(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== "config.linkerd.io/proxy-admin-shutdown")
      .map(([key, one]) => [key, unwrapped(one, key)] as const)
      .filter(([, one]) => !Array.isArray(one) || one.length > 0),
  );
}

function isAdded({ name, image }: Loose): boolean {
  return image === IMAGE || /^(WRAPPER_|INJECTED_BY_|wrapper(-shared)?(-\d+)?$)/.test(String(name));
}

Deno.test("random templates: twice is the same, and everything else is equal, most of it line by line", () => {
  let done = 0;
  fc.assert(
    fc.property(styled, (text) => {
      const before = parse(text);
      const { text: after, isLeft, report } = wrapText(text, REQUEST);
      if (isLeft) {
        // What may be left is a template that is not, or a container like a server.
        assertEquals(after, text);
        const reasons = report.filter(({ kind }) => kind === "left").map(({ text }) => text).join();
        assert(/may be work/.test(reasons), `${reasons}\n${text}`);
        return;
      }
      done++;
      assertEquals(unwrapped(parse(after)), unwrapped(before), text);
      const twice = wrapText(after, REQUEST);
      assertEquals([twice.text, twice.isLeft], [after, false]);
      assertEquals(/(?<!\r)\n/.test(after) && text.includes("\r\n"), false, "line endings");
      // Only a line with brackets, or the last one before a closing bracket, may change.
      const rest = after.split(/\r?\n/);
      for (const line of text.split(/\r?\n/)) {
        const at = rest.indexOf(line);
        if (at >= 0) rest.splice(at, 1);
        const withComma = `${line.replace(/\s+# .*$/, "")},`;
        const isChanged = /[[\]{},]|^\s*$/.test(line) || rest.includes(withComma);
        assert(at >= 0 || isChanged, `lost: ${line}\n${text}\n=>\n${after}`);
      }
    }),
    { numRuns: 400 },
  );
  assert(done > 200, String(done));
});

Deno.test("random templates: what comes out is valid for Kubernetes' schema", async () => {
  const documents = fc.sample(object, { numRuns: 60, seed: 7 })
    .map((value) => wrapText(JSON.stringify(value), REQUEST))
    .filter(({ isLeft }) => !isLeft)
    .map(({ text }) => JSON.parse(text));
  assert(documents.length > 30);
  const { code, stderr } = await checkAndRun(programOf(documents));
  assertEquals(code, 0, stderr);
});
