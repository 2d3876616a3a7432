/** What a Job makes of exit codes, and many pods at once. */

import { assert, assertEquals } from "../support/assert.ts";
import {
  type EndedJob,
  exitCodes,
  type Job,
  job,
  type Namespace,
  pilotAgent,
  testInNamespace,
  unwrapped,
  wrapped,
} from "./support.ts";

/** A rule of a Job's podFailurePolicy about code 42. */
function on42(action: "FailJob" | "FailIndex" | "Ignore") {
  const onExitCodes = { containerName: "main", operator: "In", values: [42] };
  return { podFailurePolicy: { rules: [{ action, onExitCodes }] } };
}

testInNamespace(
  "podFailurePolicy FailJob: COMMAND's code 42 ends the Job at once",
  async (here) => {
    const containers = [wrapped("exit 42"), pilotAgent()];
    await here.apply(job("fail-job", containers, { backoffLimit: 3, ...on42("FailJob") }));
    const { result, reason, pods } = await here.ended("fail-job");
    assertEquals([result, reason], ["Failed", "PodFailurePolicy"]);
    assertEquals(pods.map(exitCodes), [{ main: 42, "istio-proxy": 0 }]);
  },
);

testInNamespace("podFailurePolicy FailIndex: only the index with code 42 fails", async (here) => {
  const script = '[ "$JOB_COMPLETION_INDEX" != 1 ] || exit 42';
  await here.apply(job("fail-index", [wrapped(script), pilotAgent()], {
    completionMode: "Indexed",
    completions: 3,
    parallelism: 3,
    backoffLimit: 10,
    backoffLimitPerIndex: 2,
    ...on42("FailIndex"),
  }));
  const { result, reason, pods, job: { status } } = await here.ended("fail-index");
  assertEquals([result, reason], ["Failed", "FailedIndexes"]);
  assertEquals([status.completedIndexes, status.failedIndexes], ["0,2", "1"]);
  assertEquals(pods.length, 3);
  assertEquals(pods.map((pod) => exitCodes(pod)["istio-proxy"]), [0, 0, 0]);
});

testInNamespace(
  "podFailurePolicy Ignore: a pod with code 42 is replaced, with backoffLimit 0",
  async (here) => {
    const state = {
      name: "state",
      hostPath: { path: `/run/${here.name}`, type: "DirectoryOrCreate" },
    };
    const main = wrapped("[ -e /state/tried ] || { touch /state/tried; exit 42; }", {
      volumeMounts: [{ name: "state", mountPath: "/state" }],
    });
    await here.apply(
      job("ignore", [main, pilotAgent()], { pod: { volumes: [state] }, ...on42("Ignore") }),
    );
    const { result, pods } = await here.ended("ignore");
    assertEquals(result, "Complete");
    assertEquals(pods.map(exitCodes), [
      { main: 42, "istio-proxy": 0 },
      { main: 0, "istio-proxy": 0 },
    ]);
  },
);

testInNamespace("a CronJob: its first run is Complete", async (here) => {
  const { spec } = job("", [wrapped("exit 0"), pilotAgent()]);
  await here.apply({
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name: "minutely" },
    spec: { schedule: "* * * * *", concurrencyPolicy: "Forbid", jobTemplate: { spec } },
  });
  await here.until<Job & { status: { lastSuccessfulTime?: string } }>(
    "cronjobs",
    "minutely",
    ({ status }) => status.lastSuccessfulTime !== undefined,
  );
  const [first] = await here.list<Job>("jobs");
  assert(first !== undefined);
  const { result, pods } = await here.ended(first.metadata.name);
  assertEquals([result, pods.map(exitCodes)], ["Complete", [{ main: 0, "istio-proxy": 0 }]]);
});

/** The pods that are started at once. */
const MANY = 50;

/** Starts this many Jobs at once, and returns them all once they have ended, and how long that took. */
async function atOnce(
  here: Namespace,
  name: string,
  containers: readonly object[],
  pod: object = {},
): Promise<{ ended: readonly EndedJob[]; seconds: number }> {
  const names = Array.from({ length: MANY }, (_, index) => `${name}-${index}`);
  const start = performance.now();
  await here.apply(...names.map((name) => job(name, containers, { pod })));
  const ended = await Promise.all(names.map((name) => here.ended(name)));
  return { ended, seconds: (performance.now() - start) / 1000 };
}

testInNamespace(
  "50 Jobs at once: alone, with the wrapper and a sidecar, with a native sidecar",
  async (here) => {
    const native = { initContainers: [{ ...pilotAgent(), restartPolicy: "Always" }] };
    const runs = {
      alone: await atOnce(here, "alone", [unwrapped("exit 0")]),
      wrapper: await atOnce(here, "wrapper", [wrapped("exit 0"), pilotAgent()]),
      native: await atOnce(here, "native", [unwrapped("exit 0")], native),
    };
    for (const [name, { ended, seconds }] of Object.entries(runs)) {
      // deno-lint-ignore no-console
      console.log(`${MANY} Jobs at once, ${name}: ${seconds.toFixed(1)} s`);
      assertEquals(ended.map(({ result }) => result), Array(MANY).fill("Complete"), name);
      const codes = ended.flatMap(({ pods }) => pods.map(exitCodes));
      const expected = name === "wrapper" ? { main: 0, "istio-proxy": 0 } : { main: 0 };
      assertEquals(codes, Array(MANY).fill(expected), name);
    }
  },
);
