/** How a Job ends: without the wrapper never, with it as COMMAND does. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import {
  containerOf,
  endOf,
  endOfContainer,
  exitCodes,
  type Job,
  job,
  pilotAgent,
  secondsBetween,
  summaryOf,
  testInNamespace,
  unwrapped,
  wrapped,
} from "./support.ts";

testInNamespace(
  "without the wrapper, a Job with a sidecar hangs; with it, it is Complete",
  async (here) => {
    await here.apply(job("hangs", [unwrapped("exit 0"), pilotAgent()]));
    const pod = await here.pod(
      "hangs",
      (pod) => containerOf(pod, "main")?.state.terminated !== undefined,
    );
    // Twice as long as the wrapper needs.
    for (const name of ["first", "second"]) {
      await here.apply(job(name, [wrapped("exit 0"), pilotAgent()]));
      const { result, pods, seconds } = await here.ended(name);
      assertEquals(result, "Complete");
      assertEquals(pods.map(exitCodes), [{ main: 0, "istio-proxy": 0 }]);
      assert(seconds < 30, `${seconds} s`);
    }
    const hangs = await here.get<Job>("jobs", "hangs");
    assertEquals([endOf(hangs), hangs.status.active], [undefined, 1]);
    const [still] = await here.list<typeof pod>("pods", "job-name=hangs");
    assert(still !== undefined && containerOf(still, "istio-proxy")?.state.running !== undefined);
    assertEquals(still.status.phase, "Running");
  },
);

testInNamespace("exit code 3 fails the Job, and the sidecar ends with 0", async (here) => {
  await here.apply(job("fails", [wrapped("exit 3"), pilotAgent()]));
  const { result, reason, pods } = await here.ended("fails");
  assertEquals([result, reason], ["Failed", "BackoffLimitExceeded"]);
  assertEquals(pods.map(exitCodes), [{ main: 3, "istio-proxy": 0 }]);
});

testInNamespace(
  "a sidecar that listens 5 s after COMMAND's end is still told to quit",
  async (here) => {
    await here.apply(job("late", [wrapped("exit 0"), pilotAgent({ lateMs: 5000 })]));
    const { result, pods: [pod] } = await here.ended("late");
    assert(pod !== undefined);
    assertEquals([result, exitCodes(pod)], ["Complete", { main: 0, "istio-proxy": 0 }]);
    assertStringIncludes(await here.log(pod, "istio-proxy"), "pilot-agent: POST /quitquitquit");
  },
);

testInNamespace(
  "a pod without a sidecar ends with COMMAND's code at the end of the startup window",
  async (here) => {
    await here.apply(job("alone", [wrapped("exit 3")]));
    const { result, pods: [pod] } = await here.ended("alone");
    assert(pod !== undefined);
    assertEquals([result, exitCodes(pod)], ["Failed", { main: 3 }]);
    assertEquals(summaryOf(pod).hooks.map(({ outcome }) => outcome), ["no-sidecar"]);
    const { startedAt, finishedAt } = endOfContainer(pod, "main");
    const seconds = secondsBetween(startedAt, finishedAt);
    assert(seconds >= 28 && seconds < 50, `${seconds} s`);
  },
);
