/** What is particular to a pod: its termination message, its other containers, and its restarts. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import {
  containerOf,
  exitCodes,
  job,
  pilotAgent,
  summaryOf,
  testInNamespace,
  wrapped,
} from "./support.ts";

testInNamespace("the summary is the container's termination message", async (here) => {
  await here.apply(job("message", [wrapped("exit 3"), pilotAgent()]));
  const { pods: [pod] } = await here.ended("message");
  assert(pod !== undefined);
  const path = '{.status.containerStatuses[?(@.name=="main")].state.terminated.message}';
  const { stdout } = await here.kubectl([
    "get",
    "pod",
    pod.metadata.name,
    `--output=jsonpath=${path}`,
  ]);
  const { command, exitCode, hooks } = JSON.parse(stdout);
  assertEquals([command, exitCode], ["sh", 3]);
  assertEquals(hooks.length, 1);
  assertEquals(hooks[0].outcome, "stopped");
});

testInNamespace(
  "kubectl exec … /wrapper --check asks the sidecar, and stops nothing",
  async (here) => {
    const script = "while [ ! -e /tmp/go ]; do sleep 0.1; done";
    await here.apply(job("check", [wrapped(script), pilotAgent()]));
    const { metadata: { name } } = await here.pod(
      "check",
      (pod) =>
        ["main", "istio-proxy"].every((name) =>
          containerOf(pod, name)?.state.running !== undefined
        ),
    );
    const exec = (...words: string[]) =>
      here.kubectl(["exec", name, "--container=main", "--", ...words]);
    const { code, stdout, stderr } = await exec("/wrapper", "--check");
    assertEquals(code, 0, stdout + stderr);
    assertMatch(stdout, /istio +.*ready/);
    await exec("touch", "/tmp/go");
    const { result, pods: [pod] } = await here.ended("check");
    assert(pod !== undefined);
    assertEquals([result, exitCodes(pod)], ["Complete", { main: 0, "istio-proxy": 0 }]);
    const log = await here.log(pod, "istio-proxy");
    assertEquals(log.match(/POST/g)?.length, 1, log);
  },
);

testInNamespace(
  "signal: with shareProcessNamespace ends a sidecar of the same user",
  async (here) => {
    // It is found as soon as it runs, and catches signals a moment later.
    const env = {
      WRAPPER_HOOKS: "signal:pilot-agent",
      WRAPPER_WAIT_FOR: "http://localhost:15021/healthz/ready",
      WRAPPER_WAIT: "60s",
    };
    const main = wrapped("exit 0", { env });
    const pod = { shareProcessNamespace: true };
    await here.apply(job("signal", [main, pilotAgent({ drainMs: 1000 })], { pod }));
    const { result, pods } = await here.ended("signal");
    assertEquals([result, pods.map(exitCodes)], ["Complete", [{ main: 0, "istio-proxy": 0 }]]);
  },
);

testInNamespace("signal: to a sidecar of another user fails, and says why", async (here) => {
  const main = wrapped("exit 0", {
    env: { WRAPPER_HOOKS: "signal:pilot-agent" },
    securityContext: { runAsUser: 65532 },
  });
  const pod = { shareProcessNamespace: true };
  await here.apply(job("signal", [main, pilotAgent()], { pod }));
  const ended = await here.pod(
    "signal",
    (pod) => containerOf(pod, "main")?.state.terminated !== undefined,
  );
  assertEquals(exitCodes(ended), { main: 0, "istio-proxy": undefined });
  assertEquals(summaryOf(ended).hooks.map(({ outcome }) => outcome), ["failed"]);
  assertStringIncludes(await here.log(ended, "main"), "NOT stopped");
});

testInNamespace("a native sidecar needs no wrapper, and bears one", async (here) => {
  const native = { initContainers: [{ ...pilotAgent(), restartPolicy: "Always" }] };
  await here.apply(job("native", [wrapped("exit 0")], { pod: native }));
  const { result, pods: [pod] } = await here.ended("native");
  assert(pod !== undefined);
  assertEquals([result, exitCodes(pod)], ["Complete", { main: 0 }]);
  assertEquals(containerOf(pod, "istio-proxy")?.state.terminated?.exitCode, 0);
});

/** A Job whose container is started again in the same pod. */
function restarting(name: string, script: string, backoffLimit: number) {
  const main = wrapped(script, {
    env: { WRAPPER_ON: "success" },
    volumeMounts: [{ name: "state", mountPath: "/state" }],
  });
  const pod = { restartPolicy: "OnFailure", volumes: [{ name: "state", emptyDir: {} }] };
  return job(name, [main, pilotAgent()], { backoffLimit, pod });
}

testInNamespace(
  "restartPolicy OnFailure, WRAPPER_ON=success: the second attempt has its sidecar",
  async (here) => {
    const script = "[ -e /state/tried ] || { touch /state/tried; exit 1; }";
    await here.apply(restarting("twice", script, 4));
    const { result, pods: [pod], seconds } = await here.ended("twice");
    assert(pod !== undefined);
    assertEquals([result, exitCodes(pod)], ["Complete", { main: 0, "istio-proxy": 0 }]);
    const restarts = ["main", "istio-proxy"].map((name) => containerOf(pod, name)?.restartCount);
    assertEquals(restarts, [1, 0]);
    assertEquals(summaryOf(pod).hooks.map(({ outcome }) => outcome), ["stopped"]);
    assert(seconds < 25, `${seconds} s`);
  },
);

testInNamespace(
  "restartPolicy OnFailure, a COMMAND that always fails: Failed at the backoffLimit",
  async (here) => {
    await here.apply(restarting("never", "exit 1", 1));
    const { result, reason } = await here.ended("never");
    assertEquals([result, reason], ["Failed", "BackoffLimitExceeded"]);
    const [pod] = await here.list("pods", "job-name=never");
    if (pod !== undefined) await here.gone("pods", pod.metadata.name);
  },
);
