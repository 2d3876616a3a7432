/**
 * Several work containers in one pod, each as another user with strict settings: only the last of them
 * to end stops the sidecar.
 */

import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { testWith } from "../support/needs.ts";
import {
  BASES,
  HARD_SETTINGS,
  makeImages,
  must,
  PILOT_AGENT_IMAGE,
  PODMAN,
  startPod,
} from "./support.ts";

const NAMES = ["first", "second", "third"] as const;

/** In turn one of each order, ended by the job itself (SIGTERM to it alone) or by SIGKILL. */
const ENDINGS: readonly (readonly [name: (typeof NAMES)[number], signal: "TERM" | "KILL"])[][] = [
  [["first", "TERM"], ["second", "TERM"], ["third", "TERM"]],
  [["third", "KILL"], ["first", "TERM"], ["second", "TERM"]],
  [["second", "TERM"], ["third", "KILL"], ["first", "TERM"]],
];

testWith(
  PODMAN,
  "three containers of three users: the stop request comes once, at the end",
  async () => {
    await makeImages();
    const [base] = BASES;
    if (base === undefined) throw new Error("no base image");
    for (const ends of ENDINGS) {
      const folder = Deno.makeTempDirSync();
      // As the kubelet makes an emptyDir.
      Deno.chmodSync(folder, 0o777);
      await using pod = await startPod();
      await pod.start("pilot-agent", PILOT_AGENT_IMAGE, "0", "10000");
      for (const [index, name] of NAMES.entries()) {
        const user = 65_532 + index;
        await pod.start(
          name,
          ...HARD_SETTINGS.filter((text) => !text.startsWith("--user=")),
          `--user=${user}:${user}`,
          // That of the image belongs to its own user.
          "--workdir=/",
          `--volume=${folder}:/run/wrapper`,
          "--env=KUBERNETES_SERVICE_HOST=10.0.0.1",
          `--env=WRAPPER_CONTAINERS=${NAMES.length}`,
          base.jobImage,
          ...["wait", "0"],
        );
        await pod.waitForLog(name, "job: waiting");
      }
      for (const [index, [name, signal]] of ends.entries()) {
        await must("podman", ["kill", `--signal=${signal}`, `${pod.name}-${name}`]);
        assertEquals(await pod.exitCode(name), signal === "KILL" ? 137 : 0);
        const isLast = index === ends.length - 1;
        if (isLast) assertStringIncludes(await pod.log(name), "istio: told to quit (200 OK)");
        else if (signal === "TERM") {
          const others = ends.length - index - 1;
          const left = others === 1 ? "1 other container" : `${others} other containers`;
          assertStringIncludes(await pod.log(name), `left the sidecars to ${left} of this pod`);
        }
        const quits = (await pod.log("pilot-agent")).match(/pilot-agent: quits/g)?.length ?? 0;
        if (!isLast) assertEquals(quits, 0, name);
      }
      assertEquals(await pod.exitCode("pilot-agent"), 0);
      assertEquals((await pod.log("pilot-agent")).match(/pilot-agent: quits/g)?.length, 1);
      Deno.removeSync(folder, { recursive: true });
    }
  },
);
