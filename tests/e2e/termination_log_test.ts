/** `--termination-log` on the compiled binary. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { startSidecar } from "../support/sidecar.ts";
import { runWrapper } from "../support/wrapper.ts";

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync();
  try {
    await body(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("--termination-log reports how COMMAND ended and each hook's outcome", () =>
  withFolder(async (folder) => {
    await using sidecar = startSidecar();
    await using deaf = startSidecar([404]);
    const path = `${folder}/log`;
    // Kubernetes creates the file before the container starts, and mounts it: it must stay that file.
    Deno.writeTextFileSync(path, "x".repeat(5000));
    const { ino } = Deno.statSync(path);
    const { code } = await runWrapper("binary", {
      args: [
        `--hook=envoy=http://me:secret@127.0.0.1:${sidecar.port}`,
        `--hook=${deaf.origin}/quit?token=secret`,
        `--termination-log=${path}`,
        "sh",
        "-c",
        "kill -TERM $$",
        "secret",
      ],
    });
    assertEquals(code, 143);
    assertEquals(Deno.statSync(path).ino, ino);
    const text = Deno.readTextFileSync(path);
    assert(!text.includes("secret"), text);
    const { durationMs, hooks, ...rest } = JSON.parse(text);
    assertEquals(rest, { command: "sh", exitCode: 143, signal: "SIGTERM", timedOut: false });
    assert(Number.isInteger(durationMs) && durationMs >= 0);
    const outcomes = hooks.map(({ hook, outcome }: Record<string, unknown>) => [hook, outcome]);
    assertEquals(outcomes, [["envoy", "stopped"], [`127.0.0.1:${deaf.port}`, "failed"]]);
  }));

Deno.test("--termination-log reports a job that did not start, and --strict", () =>
  withFolder(async (folder) => {
    await using deaf = startSidecar([404]);
    const path = `${folder}/log`;
    const read = () => JSON.parse(Deno.readTextFileSync(path));
    const env = { WRAPPER_TERMINATION_LOG: path, WRAPPER_HOOKS: `${deaf.origin}/quit` };
    await runWrapper("binary", { args: ["/nope"], env });
    assertEquals([read().exitCode, read().command], [127, "/nope"]);
    await runWrapper("binary", { args: ["--strict", "true"], env });
    assertEquals([read().exitCode, read().hooks[0].outcome], [125, "failed"]);
    await runWrapper("binary", { args: ["--retries=many", "true"], env });
    assertEquals(read().exitCode, 125);
    assertStringIncludes(read().problems[0], '--retries "many"');
  }));

Deno.test("a termination log that cannot be written is a warning, and the exit code is kept", () =>
  withFolder(async (folder) => {
    const pipe = `${folder}/pipe`;
    new Deno.Command("mkfifo", { args: [pipe] }).outputSync();
    const rows = [
      [`${folder}/no/such`, "no such file or folder"],
      [folder, "is a folder"],
      ["/dev/full", "no space left on the disk"],
      // Opening it would block forever, because nothing reads it.
      [pipe, "is a pipe; expected a file"],
    ] as const;
    for (const [path, reason] of rows) {
      const args = ["--hook=none", `--termination-log=${path}`, "sh", "-c", "exit 4"];
      const { code, stderr } = await runWrapper("binary", { args });
      assertEquals(code, 4);
      assertStringIncludes(stderr, `warn: cannot write the termination log ${path}: ${reason}`);
    }
  }));
