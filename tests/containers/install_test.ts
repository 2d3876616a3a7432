/** `--install` as an init container runs it, from both targets, with strict settings. */

import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { testWith } from "../support/needs.ts";
import {
  buildTarget,
  HARD_SETTINGS,
  imageOn,
  makeImages,
  PODMAN,
  podman,
  TARGET_IMAGE,
} from "./support.ts";

const run = (...words: readonly string[]) =>
  podman("run", "--rm", "--network=none", "--timeout=60", ...HARD_SETTINGS, ...words);

async function withVolume(body: (volume: string) => Promise<void>): Promise<void> {
  const volume = `wrapper-test-${crypto.randomUUID().slice(0, 8)}`;
  await podman("volume", "create", volume);
  try {
    // As Kubernetes creates an emptyDir: every user may write to it.
    await podman("run", "--rm", "--network=none", `--volume=${volume}:/shared`, ...[
      ...["docker.io/library/busybox:latest", "chmod", "0777", "/shared"],
    ]);
    await body(volume);
  } finally {
    await podman("volume", "rm", "--force", volume);
  }
}

for (const [target, image] of Object.entries(TARGET_IMAGE)) {
  testWith(
    PODMAN,
    `${target}: what --install copies to a volume runs in another image`,
    async () => {
      await makeImages();
      await withVolume(async (volume) => {
        const at = `--volume=${volume}:/shared`;
        for (let time = 0; time < 2; time++) {
          const { code, stdout, stderr } = await run(at, image, "--install", "/shared");
          assertEquals([code, stderr], [0, ""]);
          assertStringIncludes(stdout, "installed /shared/wrapper");
        }
        // The other image has what this target needs: nothing, or a C library.
        const other = imageOn(target === "portable" ? "scratch" : "distroless cc");
        const job = ["--entrypoint=/shared/wrapper", other, "--hook=none", "/job", "exit", "3"];
        const { code, stdout } = await run(at, ...job);
        assertEquals(code, 3);
        assertStringIncludes(stdout, "job: the orphan was reaped");
      });
    },
  );

  testWith(
    PODMAN,
    `${target}: --install reports that it cannot write, or that the disk is full`,
    async () => {
      await makeImages();
      const readOnly = await run(image, "--install", "/etc");
      assertEquals(readOnly.code, 125);
      assertStringIncludes(readOnly.stderr, "cannot install to /etc: the file system is read-only");
      const small = "--tmpfs=/shared:rw,size=1m,mode=0777";
      const full = await run(small, image, "--install", "/shared");
      assertEquals(full.code, 125);
      assertStringIncludes(full.stderr, "no space left on the disk");
    },
  );

  if (target !== "wrapper" && target !== "portable") throw new Error(target);
  testWith(PODMAN, `${target}: built twice, the image is the same`, async () => {
    await makeImages();
    const first = await buildTarget(target, "--no-cache");
    assertEquals(await buildTarget(target, "--no-cache"), first);
  });
}
