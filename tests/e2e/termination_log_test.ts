/** `--termination-log` on the compiled binary. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { withFolder } from "../support/folder.ts";
import { startSidecar } from "../support/sidecar.ts";
import { runWrapper } from "../support/wrapper.ts";

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

Deno.test("what COMMAND wrote to the termination log stays, byte for byte, and the summary follows", () =>
  withFolder(async (folder) => {
    const path = `${folder}/log`;
    const run = async (script: string) => {
      Deno.writeTextFileSync(path, "from an earlier run\n");
      const args = ["--hook=none", `--termination-log=${path}`, "sh", "-c", script, path];
      assertEquals((await runWrapper("binary", { args })).code, 3);
      return new TextDecoder("latin1").decode(Deno.readFileSync(path));
    };
    const rows: readonly (readonly [script: string, before: string])[] = [
      ['echo "no route to the database" > "$0"; exit 3', "no route to the database\n"],
      ['printf "no line feed" >> "$0"; exit 3', "no line feed\n"],
      // Bytes that are not UTF-8.
      ['printf "\\377\\376x\\n" > "$0"; exit 3', "\xff\xfex\n"],
      ["exit 3", ""],
    ];
    for (const [script, before] of rows) {
      const text = await run(script);
      assertEquals(text.slice(0, before.length), before);
      assertEquals(JSON.parse(text.slice(before.length)).exitCode, 3);
    }
    const kept = await run('head -c 3900 /dev/zero | tr "\\0" x > "$0"; exit 3');
    assert(kept.length <= 4096 && kept.startsWith("x".repeat(3900)), kept);
    assertEquals(JSON.parse(kept.slice(3901)).exitCode, 3);
    const full = await run('head -c 4090 /dev/zero | tr "\\0" x > "$0"; exit 3');
    assertEquals(full, "x".repeat(4090));
    const longer = await run('head -c 9000 /dev/zero | tr "\\0" x > "$0"; exit 3');
    assertEquals(longer, "x".repeat(9000));
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
