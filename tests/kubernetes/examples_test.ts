/** The manifests in `examples/`, as they stand in the files. */

import { QUIT_UNANSWERED } from "../../src/http/endpoint.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { type Document, EXAMPLES } from "../support/examples.ts";
import { withInjectors } from "./injectors.ts";
import { NEEDED, RUNS } from "./runs.ts";
import { containerOf, exitCodes, mustKubectl, summaryOf, testInNamespace } from "./support.ts";

const FOLDER = new URL("../../examples/", import.meta.url).pathname;

const files = [...new Set(EXAMPLES.map(({ file }) => file))];

function named(file: string, kind: string): readonly Document[] {
  return EXAMPLES.flatMap((example) =>
    example.file === file && example.document.kind === kind ? [example.document] : []
  );
}

for (const file of files) {
  testInNamespace(`${file}: the API server accepts it, with strict validation`, async (here) => {
    const args = ["apply", "--dry-run=server", "--validate=strict", "--filename", FOLDER + file];
    const { code, stdout, stderr } = await here.kubectl(args);
    assertEquals([code, stderr], [0, ""]);
    const count = EXAMPLES.filter((example) => example.file === file).length;
    assertEquals(stdout.match(/created \(server dry run\)/g)?.length, count, stdout);
  });
}

Deno.test("every example with a Job is run", () => {
  const withJobs = files.filter((file) => named(file, "Job").length > 0);
  assertEquals(RUNS.map(([file]) => file).toSorted(), withJobs);
});

for (const [file, sidecars, work = ["main"]] of RUNS) {
  testInNamespace(`${file}: its Job and a run of its CronJob are Complete`, async (here) => {
    await using _injectors = await withInjectors();
    await here.apply(...NEEDED);
    await mustKubectl(["--namespace", here.name, "apply", "--filename", FOLDER + file]);
    const jobs = named(file, "Job").map(({ metadata }) => metadata.name);
    assert(jobs.length > 0);
    for (const { metadata: { name } } of named(file, "CronJob")) {
      const args = ["create", "job", `by-${name}`, `--from=cronjob/${name}`];
      await mustKubectl(["--namespace", here.name, ...args]);
      jobs.push(`by-${name}`);
    }
    for (const name of jobs) {
      const { result, pods } = await here.ended(name);
      assertEquals(result, "Complete", name);
      const codes = Object.fromEntries([...work, ...sidecars].map((container) => [container, 0]));
      assertEquals(pods.map(exitCodes).map(sorted), pods.map(() => sorted(codes)));
      for (const pod of pods) {
        // Of several work containers, one has told the sidecar to quit.
        const told = work.flatMap((name) => summaryOf(pod, name).hooks)
          .filter(({ outcome, answer }) =>
            outcome === "stopped" ||
            // On a busy machine, OpenBao's agent may end before its answer has left.
            (file === "vault.yaml" && answer === QUIT_UNANSWERED)
          );
        assertEquals(told.length, sidecars.length);
        for (const { name } of pod.spec.containers) {
          assertEquals(containerOf(pod, name)?.restartCount, 0);
        }
      }
    }
  });
}

function sorted(codes: Readonly<Record<string, number | undefined>>) {
  return Object.entries(codes).toSorted();
}
