/** A pod that is told to end: COMMAND gets its time, and then nothing is waited for. */

import { assert, assertEquals } from "../support/assert.ts";
import {
  containerOf,
  endOfContainer,
  exitCodes,
  job,
  type Namespace,
  pilotAgent,
  type Pod,
  secondsBetween,
  summaryOf,
  testInNamespace,
  wrapped,
} from "./support.ts";

/** A sidecar that would use its whole grace period if nobody told it to quit. */
const DRAINING = pilotAgent({ drainMs: 60_000 });

/** Waits until COMMAND says that it runs. */
async function running(here: Namespace, name: string): Promise<Pod> {
  const pod = await here.pod(
    name,
    ({ status: { containerStatuses = [] } }) =>
      containerStatuses.length > 0 &&
      containerStatuses.every(({ state }) => state.running !== undefined),
  );
  const log = ["logs", "--follow", pod.metadata.name, "--container=main"];
  const child = new Deno.Command("kubectl", {
    args: ["--namespace", here.name, ...log],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; !text.includes("command runs");) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`COMMAND ended: ${text}`);
    text += value;
  }
  child.kill();
  await reader.cancel();
  await child.status;
  return pod;
}

/** Deletes a Job; returns its pod's last state, and the seconds from the request until it was gone. */
async function deleted(here: Namespace, name: string): Promise<{ pod: Pod; seconds: number }> {
  const { metadata } = await running(here, name);
  const start = performance.now();
  const [pod] = await Promise.all([
    here.gone<Pod>("pods", metadata.name),
    here.kubectl(["delete", "job", name, "--wait=false"]),
  ]);
  assert(pod !== undefined);
  return { pod, seconds: (performance.now() - start) / 1000 };
}

/** COMMAND of these tests: says that it runs, and goes on until a signal. */
const sleeps = (onSigterm: string) =>
  `trap '${onSigterm}' TERM; echo command runs; sleep 1000 & wait`;

testInNamespace(
  "activeDeadlineSeconds: SIGTERM reaches COMMAND, and the sidecar is told to quit",
  async (here) => {
    await here.apply(
      job("deadline", [wrapped(sleeps("exit 9")), DRAINING], { activeDeadlineSeconds: 5 }),
    );
    const { metadata } = await running(here, "deadline");
    const pod = await here.gone<Pod>("pods", metadata.name);
    assert(pod !== undefined);
    assertEquals(exitCodes(pod), { main: 9, "istio-proxy": 0 });
    assertEquals(summaryOf(pod).hooks.map(({ outcome }) => outcome), ["stopped"]);
    const { result, reason } = await here.ended("deadline");
    assertEquals([result, reason], ["Failed", "DeadlineExceeded"]);
  },
);

testInNamespace(
  "kubectl delete job: the pod is gone as soon as COMMAND has ended",
  async (here) => {
    await here.apply(job("deleted", [wrapped(sleeps("exit 0")), DRAINING]));
    const { pod, seconds } = await deleted(here, "deleted");
    assertEquals(exitCodes(pod), { main: 0, "istio-proxy": 0 });
    assert(seconds < 15, `${seconds} s`);
  },
);

testInNamespace(
  "a COMMAND that needs 5 s after SIGTERM gets them, with its sidecar",
  async (here) => {
    const script = sleeps("sleep 5; exit 7");
    await here.apply(job("slow", [wrapped(script), DRAINING]));
    const { pod, seconds } = await deleted(here, "slow");
    assertEquals(exitCodes(pod), { main: 7, "istio-proxy": 0 });
    assertEquals(summaryOf(pod).exitCode, 7);
    assert(seconds >= 5 && seconds < 20, `${seconds} s`);
  },
);

testInNamespace(
  "a grace period of 3 s: --kill-after 2s leaves time for the summary and the hook",
  async (here) => {
    const main = wrapped("trap '' TERM; echo command runs; while :; do sleep 1; done", {
      env: { WRAPPER_KILL_AFTER: "2s" },
    });
    await here.apply(job("short", [main, DRAINING], { pod: { terminationGracePeriodSeconds: 3 } }));
    const { pod } = await deleted(here, "short");
    assertEquals(exitCodes(pod), { main: 137, "istio-proxy": 0 });
    const { exitCode, hooks } = summaryOf(pod);
    assertEquals([exitCode, hooks.map(({ outcome }) => outcome)], [137, ["stopped"]]);
  },
);

testInNamespace(
  "deletion while a sidecar that never came is expected: its end within a grace period of 5 s",
  async (here) => {
    const main = wrapped("echo command runs");
    await here.apply(job("alone", [main], { pod: { terminationGracePeriodSeconds: 5 } }));
    const { pod } = await deleted(here, "alone");
    assertEquals([exitCodes(pod), pod.status.phase], [{ main: 0 }, "Succeeded"]);
    assertEquals(summaryOf(pod).hooks.map(({ outcome }) => outcome), ["no-sidecar"]);
  },
);

testInNamespace(
  "deletion while --wait waits: COMMAND is not started, exit code 143",
  async (here) => {
    const main = wrapped("echo command runs", { env: { WRAPPER_WAIT: "10m" } });
    await here.apply(job("waits", [main]));
    const { metadata } = await here.pod(
      "waits",
      (pod) => containerOf(pod, "main")?.state.running !== undefined,
    );
    const log = new Deno.Command("kubectl", {
      args: ["--namespace", here.name, "logs", "--follow", metadata.name],
      stdout: "piped",
    }).spawn();
    const reader = log.stdout.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; !text.includes("wait");) text += (await reader.read()).value ?? "";
    log.kill();
    await reader.cancel();
    await log.status;
    const [pod] = await Promise.all([
      here.gone<Pod>("pods", metadata.name),
      here.kubectl(["delete", "job", "waits", "--wait=false"]),
    ]);
    assert(pod !== undefined);
    assertEquals(exitCodes(pod), { main: 143 });
    const { startedAt, finishedAt } = endOfContainer(pod, "main");
    assert(secondsBetween(startedAt, finishedAt) < 20, `${startedAt} to ${finishedAt}`);
  },
);
