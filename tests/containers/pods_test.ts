/**
 * COMMAND under the wrapper as PID 1, and sidecars, as containers of one pod: on every base image, with
 * strict settings. The images are built from the Dockerfile.
 */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { both, ENVOY, testWith } from "../support/needs.ts";
import {
  BASES,
  ENVOY_IMAGE,
  HARD_SETTINGS,
  makeImages,
  PILOT_AGENT_IMAGE,
  type Pod,
  PODMAN,
  startPod,
} from "./support.ts";

/** Kubernetes sets this in every container; the wrapper then waits for sidecars that start late. */
const IN_KUBERNETES = "--env=KUBERNETES_SERVICE_HOST=10.0.0.1";

/** pilot-agent's stand-in; it keeps running for 10 s after SIGTERM unless it is told to quit. */
async function startPilotAgent(pod: Pod, { lateMs = 0 } = {}): Promise<void> {
  await pod.start("pilot-agent", PILOT_AGENT_IMAGE, String(lateMs), "10000");
}

async function startEnvoy(pod: Pod, program: string): Promise<void> {
  const address = { socket_address: { address: "127.0.0.1", port_value: 9901 } };
  const config = JSON.stringify({ admin: { address } });
  const words = ["--log-level", "error", "--config-yaml", config];
  await pod.start("envoy", `--volume=${program}:/envoy:ro`, ENVOY_IMAGE, "/envoy", ...words);
}

const NEEDS = both(PODMAN, ENVOY);

for (const { title, jobImage } of BASES) {
  const start = (pod: Pod, env: Record<string, string>, ...words: readonly string[]) => {
    const variables = Object.entries(env).map(([name, value]) => `--env=${name}=${value}`);
    return pod.start("main", ...HARD_SETTINGS, IN_KUBERNETES, ...variables, jobImage, ...words);
  };

  testWith(
    NEEDS,
    `${title}: a pod with Envoy and pilot-agent ends after exit 0`,
    async ([, envoy]) => {
      await makeImages();
      await using pod = await startPod();
      await startEnvoy(pod, envoy);
      await startPilotAgent(pod);
      await start(pod, { WRAPPER_HOOKS: "istio,envoy", WRAPPER_WAIT: "60s" }, "exit", "0");
      assertEquals(await pod.exitCode("main"), 0);
      assertEquals(await pod.exitCode("envoy"), 0);
      assertEquals(await pod.exitCode("pilot-agent"), 0);
      const log = await pod.log("main");
      assertStringIncludes(log, "job: parent is process 1, user 65532");
      assertStringIncludes(log, "job: the orphan was reaped");
      assertStringIncludes(log, "wrapper: command ended with exit code 0");
      assertStringIncludes(log, "wrapper: istio: told to quit (200 OK)");
      assertStringIncludes(log, "wrapper: envoy: told to quit (200 OK)");
    },
  );

  testWith(
    NEEDS,
    `${title}: a pod with Envoy ends after exit 3, with that code`,
    async ([, envoy]) => {
      await makeImages();
      await using pod = await startPod();
      await startEnvoy(pod, envoy);
      await start(pod, { WRAPPER_HOOKS: "envoy" }, "exit", "3");
      assertEquals(await pod.exitCode("main"), 3);
      assertEquals(await pod.exitCode("envoy"), 0);
      assertStringIncludes(await pod.log("main"), "wrapper: envoy: told to quit (200 OK)");
    },
  );

  testWith(PODMAN, `${title}: on SIGTERM to the pod, COMMAND ends, then the sidecar`, async () => {
    await makeImages();
    await using pod = await startPod();
    await startPilotAgent(pod);
    await start(pod, { WRAPPER_LOG_LEVEL: "debug" }, "wait", "5");
    await pod.waitForLog("main", "job: waiting");
    await pod.waitForLog("main", "istio: seen at");
    await pod.stop();
    // 137 would be SIGKILL, which a pod gets if it does not end in time.
    assertEquals(await pod.exitCode("main"), 5);
    assertEquals(await pod.exitCode("pilot-agent"), 0);
    assertStringIncludes(await pod.log("main"), "job: got SIGTERM");
    assertStringIncludes(await pod.log("main"), "wrapper: istio: told to quit (200 OK)");
    assertStringIncludes(await pod.log("pilot-agent"), "pilot-agent: quits");
  });

  testWith(PODMAN, `${title}: a sidecar that starts 3 s late is stopped, too`, async () => {
    await makeImages();
    await using pod = await startPod();
    await start(pod, {}, "exit", "0");
    await pod.waitForLog("main", "istio: not there yet; expecting it for another");
    await startPilotAgent(pod, { lateMs: 3000 });
    assertEquals(await pod.exitCode("main"), 0);
    assertEquals(await pod.exitCode("pilot-agent"), 0);
    assertStringIncludes(await pod.log("main"), "wrapper: istio: told to quit (200 OK)");
  });

  testWith(
    PODMAN,
    `${title}: a tenth of a CPU, along with every other strict setting`,
    async () => {
      await makeImages();
      await using pod = await startPod();
      await startPilotAgent(pod);
      const settings = [...HARD_SETTINGS, "--cpus=0.1", IN_KUBERNETES];
      await pod.start("main", ...settings, jobImage, "settings", "3");
      assertEquals(await pod.exitCode("main"), 3);
      assertEquals(await pod.exitCode("pilot-agent"), 0);
      const log = await pod.log("main");
      for (
        const line of [
          "user 65532",
          "may not write to \n",
          "may not write to /tmp\n",
          "may not write to /var/tmp\n",
          "CapPrm is 0000000000000000",
          "CapEff is 0000000000000000",
          "CapBnd is 0000000000000000",
          "NoNewPrivs is 1",
          "memory is 67108864\n",
        ]
      ) assertStringIncludes(log, line);
      assert(/job: CPU is 10000( 100000)?\n/.test(log), log);
      // Including its home, whichever that is.
      assert(!log.includes("may write"), log);
      assertStringIncludes(log, "wrapper: istio: told to quit (200 OK)");
    },
  );
}
