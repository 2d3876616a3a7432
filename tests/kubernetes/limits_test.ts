/** Namespaces with strict rules, and little memory. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { BARE, WRAPPER } from "./images.ts";
import {
  endOfContainer,
  exitCodes,
  job,
  pilotAgent,
  RESTRICTED,
  summaryOf,
  testInNamespace,
  wrapped,
} from "./support.ts";

const ENFORCED = { "pod-security.kubernetes.io/enforce": "restricted" };

/** The container tests' COMMAND under the wrapper, with a memory limit. */
function limited(memory: string, ...command: readonly string[]) {
  return wrapped("", {
    image: BARE,
    command: [WRAPPER, "/job", ...command],
    resources: { limits: { memory } },
    ...RESTRICTED,
  });
}

for (const memory of ["64Mi", "96Mi"]) {
  testInNamespace(`the restricted Pod Security level and a limit of ${memory}`, async (here) => {
    const pod = [limited(memory, "exit", "0"), pilotAgent(RESTRICTED)];
    await here.apply(job("restricted", pod));
    const { result, pods } = await here.ended("restricted");
    assertEquals([result, pods.map(exitCodes)], ["Complete", [{ main: 0, "istio-proxy": 0 }]]);
    // The level is really enforced.
    await here.apply(job("refused", [wrapped("exit 0")]));
    const { message } = await here.event("refused", "FailedCreate");
    assertStringIncludes(message, 'violates PodSecurity "restricted');
  }, ENFORCED);
}

testInNamespace(
  "a COMMAND beyond its memory limit is killed alone, and the sidecar is told to quit",
  async (here) => {
    await here.apply(job("oom", [limited("96Mi", "memory", "300"), pilotAgent(RESTRICTED)]));
    const { result, pods: [pod] } = await here.ended("oom");
    assert(pod !== undefined);
    assertEquals([result, exitCodes(pod)], ["Failed", { main: 137, "istio-proxy": 0 }]);
    // Only a wrapper that is still alive writes it.
    assertEquals(summaryOf(pod).exitCode, 137);
    assertEquals(endOfContainer(pod, "main").exitCode, 137);
  },
);
