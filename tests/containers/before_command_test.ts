/** `--wait-for` and `--env-file` with strict settings: a read-only root, 64 MiB, no shell. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { testWith } from "../support/needs.ts";
import {
  BASES,
  HARD_SETTINGS,
  makeImages,
  PILOT_AGENT_IMAGE,
  PODMAN,
  startPod,
} from "./support.ts";

/** An empty volume that the pod's containers share, for a file that comes late. */
function makeVolume(): { readonly path: string; [Symbol.dispose](): void } {
  const path = Deno.makeTempDirSync();
  Deno.chmodSync(path, 0o755);
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

for (const { title, jobImage } of BASES) {
  testWith(
    PODMAN,
    `${title}: COMMAND waits for a port, a page and a file, and gets the file's variables`,
    async () => {
      await makeImages();
      using volume = makeVolume();
      await using pod = await startPod();
      const env = [
        "WRAPPER_HOOKS=istio",
        "WRAPPER_WAIT_FOR=tcp://localhost:15020,http://localhost:15021/healthz/ready,file:/secrets/config",
        "WRAPPER_ENV_FILE=/secrets/config",
        "HOME=/inherited",
      ];
      await pod.start(
        "main",
        ...HARD_SETTINGS,
        ...env.map((text) => `--env=${text}`),
        `--volume=${volume.path}:/secrets:ro`,
        jobImage,
        // Prints what HOME is.
        ...["settings", "3"],
      );
      await pod.waitForLog("main", "waiting up to 5m for tcp://localhost:15020, http://localhost:");
      await pod.start("pilot-agent", PILOT_AGENT_IMAGE, "0", "10000");
      await pod.waitForLog("main", "; still waiting for file:/secrets/config\n");
      assert(!(await pod.log("main")).includes("job:"));
      Deno.writeTextFileSync(`${volume.path}/draft`, "export HOME='/from the file'\n");
      Deno.renameSync(`${volume.path}/draft`, `${volume.path}/config`);
      assertEquals(await pod.exitCode("main"), 3);
      assertEquals(await pod.exitCode("pilot-agent"), 0);
      const log = await pod.log("main");
      assertStringIncludes(log, "job: may not write to /from the file\n");
      assert(!log.includes("/inherited"), log);
    },
  );
}

testWith(
  PODMAN,
  "a file of variables of another user: 125, and the sidecar is stopped",
  async () => {
    await makeImages();
    using volume = makeVolume();
    Deno.writeTextFileSync(`${volume.path}/config`, "TOKEN=sesame\n", { mode: 0o600 });
    await using pod = await startPod();
    await pod.start("pilot-agent", PILOT_AGENT_IMAGE, "0", "10000");
    const env = ["WRAPPER_HOOKS=istio", "WRAPPER_WAIT=60s", "WRAPPER_ENV_FILE=/secrets/config"];
    await pod.start(
      "main",
      ...HARD_SETTINGS,
      ...env.map((text) => `--env=${text}`),
      `--volume=${volume.path}:/secrets:ro`,
      BASES[0]?.jobImage ?? "",
      ...["settings", "3"],
    );
    assertEquals(await pod.exitCode("main"), 125);
    assertEquals(await pod.exitCode("pilot-agent"), 0);
    const log = await pod.log("main");
    assertStringIncludes(log, "error: --env-file /secrets/config: permission denied\n");
    assert(!log.includes("sesame"), log);
  },
);
