/**
 * `--wrap` in a cluster: each manifest of `examples/` in its form before the wrapper hangs, and is Complete
 * when it went through `wrapper --wrap`.
 */

import { stringify } from "yaml";
import { isObject } from "../../src/http/page.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { type Document, EXAMPLES } from "../support/examples.ts";
import { wrapStdin } from "../support/wrapper.ts";
import { withInjectors } from "./injectors.ts";
import { NEEDED, RUNS } from "./runs.ts";
import { containerOf, exitCodes, mustKubectl, testInNamespace } from "./support.ts";

/** What the wrapper, or its sidecar for its sake, has in the examples. */
const OWN_KEYS =
  /^(config\.linkerd\.io\/proxy-admin-shutdown|vault\.hashicorp\.com\/agent-enable-quit)$/;
const OWN_WORDS = /^(\/wrapper|\/shared\/wrapper|--quitquitquit|--health-check)$/;
const OWN_NAMES = /^(WRAPPER_\w+|DAPR_API_TOKEN|install-wrapper|wrapper)$/;

/** A manifest as it was before somebody put the wrapper into it. */
function before(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .filter((item) => typeof item !== "string" || !OWN_WORDS.test(item))
      .filter((item) => !isObject(item) || !OWN_NAMES.test(String(item["name"])))
      .map(before);
  }
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([key]) => !OWN_KEYS.test(key)).map(([key, one]) => [
      key,
      // The names of the objects themselves stay.
      key === "metadata" && isObject(one) && "name" in one ? one : before(one),
    ]),
  );
}

const textOf = (documents: readonly Document[]) =>
  documents.map((document) => stringify(before(document))).join("---\n");

const named = (documents: readonly Document[], kind: string) =>
  documents.filter((document) => document.kind === kind).map(({ metadata }) => metadata.name);

for (const [file, sidecars, work = ["main"]] of RUNS) {
  const documents = EXAMPLES.filter((example) => example.file === file)
    .map(({ document }) => document);

  testInNamespace(`${file}: without the wrapper its Job hangs`, async (here) => {
    await using _injectors = await withInjectors();
    await here.apply(...NEEDED, textOf(documents.filter(({ kind }) => kind !== "CronJob")));
    for (const job of named(documents, "Job")) {
      await here.pod(
        job,
        (pod) =>
          work.every((name) => containerOf(pod, name)?.state.terminated?.exitCode === 0) &&
          sidecars.every((name) => containerOf(pod, name)?.state.running !== undefined),
      );
    }
  });

  testInNamespace(`${file}: put through --wrap, its Job and CronJob are Complete`, async (here) => {
    await using _injectors = await withInjectors();
    const wrapped = await wrapStdin(textOf(documents));
    assertEquals(wrapped.code, 0, wrapped.stderr);
    const { stdout: manifest } = wrapped;
    assertEquals((await wrapStdin(manifest)).stdout, manifest, "twice is the same");

    await here.apply(...NEEDED);
    const strict = ["apply", "--validate=strict", "--filename=-"];
    const trial = await here.kubectl([...strict, "--dry-run=server"], manifest);
    assertEquals([trial.code, trial.stderr], [0, ""]);
    const first = await here.kubectl(strict, manifest);
    assertEquals([first.code, first.stderr], [0, ""]);
    const second = await here.kubectl(strict, (await wrapStdin(textOf(documents))).stdout);
    assertEquals([second.code, second.stderr], [0, ""]);
    const unchanged = second.stdout.trim().split("\n").map((line) => line.split(" ").at(-1));
    assertEquals(unchanged, documents.map(() => "unchanged"));
    const diff = await here.kubectl(["diff", "--filename=-"], manifest);
    assertEquals([diff.code, diff.stdout], [0, ""], diff.stderr);

    const jobs = named(documents, "Job");
    for (const name of named(documents, "CronJob")) {
      const args = ["create", "job", `by-${name}`, `--from=cronjob/${name}`];
      await mustKubectl(["--namespace", here.name, ...args]);
      jobs.push(`by-${name}`);
    }
    assert(jobs.length > 0);
    for (const job of jobs) {
      const { result, pods } = await here.ended(job);
      assertEquals(result, "Complete", job);
      const codes = Object.fromEntries([...work, ...sidecars].map((name) => [name, 0]));
      const sorted = (all: object) => Object.entries(all).toSorted();
      assertEquals(pods.map((pod) => sorted(exitCodes(pod))), pods.map(() => sorted(codes)));
    }
  });
}
