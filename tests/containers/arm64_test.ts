/** The images for arm64, built on this machine and run in an emulator. */

import { assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { both, findProgram, type Need, testWith } from "../support/needs.ts";
import { buildForArm64, HARD_SETTINGS, must, PODMAN, podman, PROGRAM } from "./support.ts";

const EMULATOR: Need<string> = {
  what: "qemu-aarch64-static (apt-get install qemu-user-static)",
  find: () => findProgram("qemu-aarch64-static"),
};

for (const target of ["wrapper", "portable"] as const) {
  testWith(both(PODMAN, EMULATOR), `${target}: the image for arm64 runs`, async ([, emulator]) => {
    const image = await buildForArm64(target);
    const format = "{{.Os}}/{{.Architecture}}";
    const platform = await must("podman", ["image", "inspect", "--format", format, image]);
    assertEquals(platform, "linux/arm64");
    // The emulator itself needs memory.
    const settings = HARD_SETTINGS.filter((word) => !word.startsWith("--memory"));
    const mounted = ["--entrypoint=/emulator", `--volume=${emulator}:/emulator:ro`];
    const run = (...words: readonly string[]) =>
      podman("run", "--rm", "--network=none", "--timeout=60", ...settings, ...mounted, image, ...[
        ...[PROGRAM[target], ...words],
      ]);
    const { stdout } = await run("--version");
    assertMatch(stdout, /^wrapper \S+ \(deno \S+, aarch64-unknown-linux-gnu, /);
    const { code, stderr } = await run("--hook=none", "/emulator", PROGRAM[target], "--nonsense");
    assertEquals(code, 125);
    assertStringIncludes(stderr, "wrapper: command ended with exit code 125");
  });
}
