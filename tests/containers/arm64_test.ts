/** The images for arm64, built on this machine and run in an emulator. */

import { assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { both, findProgram, type Need, testWith } from "../support/needs.ts";
import {
  buildForArm64,
  HARD_SETTINGS,
  must,
  PODMAN,
  podman,
  PROGRAM,
  withFile,
} from "./support.ts";

const EMULATOR: Need<string> = {
  what: "qemu-aarch64-static (apt-get install qemu-user-static)",
  find: () => findProgram("qemu-aarch64-static"),
};

const LOADERS = {
  wrapper: "/lib/ld-linux-aarch64.so.1",
  portable: "/wrapper/wrapper-lib/ld-linux-aarch64.so.1",
} as const;

for (const target of ["wrapper", "portable"] as const) {
  testWith(both(PODMAN, EMULATOR), `${target}: the image for arm64 runs`, async ([, emulator]) => {
    const image = await buildForArm64(target);
    const format = "{{.Os}}/{{.Architecture}}";
    const platform = await must("podman", ["image", "inspect", "--format", format, image]);
    assertEquals(platform, "linux/arm64");
    // The emulator itself needs memory.
    const settings = HARD_SETTINGS.filter((word) => !word.startsWith("--memory"));
    // COMMAND is an arm64 program too, under its own emulator: the loader of the image, which refuses the
    // script as a program. The kernel here could not start it directly.
    using script = withFile(`#!/emulator ${LOADERS[target]}\n`, 0o755);
    const mounted = [
      "--entrypoint=/emulator",
      `--volume=${emulator}:/emulator:ro`,
      `--volume=${script.path}:/script:ro`,
    ];
    const run = (...words: readonly string[]) =>
      podman("run", "--rm", "--network=none", "--timeout=60", ...settings, ...mounted, image, ...[
        ...[PROGRAM[target], ...words],
      ]);
    const { stdout } = await run("--version");
    assertMatch(stdout, /^wrapper \S+ \(deno \S+, aarch64-unknown-linux-gnu, /);
    const { code, stderr } = await run("--hook=none", "/script");
    assertEquals(code, 127, stderr);
    assertStringIncludes(stderr, "/script: error while loading shared libraries");
    assertStringIncludes(stderr, "wrapper: command ended with exit code 127");
    // What needs the emulator is not a program of that machine.
    const foreign = await run("--hook=none", "/emulator", "--version");
    assertEquals(foreign.code, 126, foreign.stderr);
    assertStringIncludes(foreign.stderr, "not an executable of this machine");
  });
}
