/** Scarce and odd resources: long arguments, few descriptors, a deleted folder, a stopped wrapper. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { C_COMPILER, compileFixture } from "../support/fixtures.ts";
import { COMPILED, testWith } from "../support/needs.ts";
import { stateOf } from "../support/processes.ts";
import { startSidecar } from "../support/sidecar.ts";
import { BINARY, runWrapper, startWrapper } from "../support/wrapper.ts";

const hookOf = (sidecar: { readonly origin: string }) => `--hook=${sidecar.origin}/quit`;

/** Runs a shell script in which `"$0"` is the wrapper, with a sidecar that gets exactly one POST. */
async function runScript(script: string, env: Record<string, string> = {}, cwd?: string) {
  await using sidecar = startSidecar();
  const child = new Deno.Command("bash", {
    args: ["-c", script, BINARY],
    env: { ...env, HOOK: hookOf(sidecar) },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(cwd === undefined ? {} : { cwd }),
  });
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stderr);
  assertEquals(sidecar.posts().length, 1, text);
  return { code, stdout: new TextDecoder().decode(stdout), stderr: text };
}

Deno.test("10,000 arguments arrive", async () => {
  const words = Array.from({ length: 10_000 }, (_, index) => `word ${index}`);
  await using sidecar = startSidecar();
  const { code, stdout } = await runWrapper("binary", {
    args: [hookOf(sidecar), "printf", "%s\\n", ...words],
  });
  assertEquals([code, stdout], [0, words.map((word) => `${word}\n`).join("")]);
  assertEquals(sidecar.posts().length, 1);
});

Deno.test("the longest argument that the kernel accepts arrives", async () => {
  // MAX_ARG_STRLEN is 128 KiB with the NUL at the end.
  const longest = "x".repeat(128 * 1024 - 1);
  await using sidecar = startSidecar();
  const args = [hookOf(sidecar), "sh", "-c", 'printf %s "$1" | wc -c', "sh", longest];
  const { code, stdout } = await runWrapper("binary", { args });
  assertEquals([code, stdout.trim()], [0, String(longest.length)]);
  assertEquals(sidecar.posts().length, 1);
});

Deno.test("an environment of 2 MiB arrives", async () => {
  // The kernel limits arguments and environment to a quarter of the stack's limit.
  const { code, stdout } = await runScript(
    'ulimit -s 65536; for i in {1..20}; do export "BIG$i=$(head -c 104857 /dev/zero | tr "\\0" y)"; done; exec "$0" "$HOOK" sh -c "env | grep ^BIG | wc -c"',
  );
  assertEquals(code, 0);
  assert(Number(stdout) > 2 * 1024 * 1024, stdout);
});

Deno.test("an environment that is not UTF-8 is inherited byte for byte", async () => {
  const { code, stdout } = await runScript(
    'export ODD=$(printf "\\377\\376x"); exec "$0" "$HOOK" sh -c "printf %s \\"\\$ODD\\" | od -An -tx1"',
  );
  assertEquals([code, stdout.trim()], [0, "ff fe 78"]);
});

Deno.test("a WRAPPER_ variable that is not UTF-8 does not prevent COMMAND from running", async () => {
  const { code, stderr } = await runScript(
    'export WRAPPER_RETRIES=$(printf "\\377"); exec "$0" "$HOOK" true',
  );
  assertEquals(code, 0, stderr);
});

Deno.test("32 file descriptors are enough", async () => {
  const { code } = await runScript('ulimit -n 32; exec "$0" "$HOOK" sh -c "exit 5"');
  assertEquals(code, 5);
});

Deno.test("100 hooks need no more than 64 file descriptors", async () => {
  const sidecars = Array.from({ length: 100 }, () => startSidecar());
  try {
    const { code, stderr } = await runScript(
      'ulimit -n 64; exec "$0" "$HOOK" $HOOKS sh -c "exit 5"',
      { HOOKS: sidecars.map(hookOf).join(" ") },
    );
    assertEquals(code, 5, stderr);
    assertEquals(sidecars.map((sidecar) => sidecar.posts().length), sidecars.map(() => 1), stderr);
    assertEquals(stderr.match(/told to quit \(200 OK\)/g)?.length, 101, stderr);
  } finally {
    await Promise.all(sidecars.map((sidecar) => sidecar.close()));
  }
});

Deno.test("a working directory that COMMAND deletes does not prevent the hooks from running", async () => {
  const { code } = await runScript(
    'cd "$(mktemp -d)"; exec "$0" "$HOOK" sh -c "rmdir "\$PWD"; exit 5"',
  );
  assertEquals(code, 5);
});

Deno.test("in a deleted working directory, the runtime exits with 1 before the wrapper starts", async () => {
  // Deno reads it before any code of the wrapper runs (docs/security.md).
  const child = new Deno.Command("bash", {
    args: ["-c", 'd=$(mktemp -d); cd "$d"; rmdir "$d"; exec "$0" --hook=none true', BINARY],
    stdout: "null",
    stderr: "piped",
  });
  const { code, stderr } = await child.output();
  assertEquals(code, 1);
  assertStringIncludes(new TextDecoder().decode(stderr), "No such file or directory");
});

Deno.test("a stopped wrapper continues where it was", async () => {
  await using sidecar = startSidecar();
  const wrapper = startWrapper("binary", {
    args: [hookOf(sidecar), "sh", "-c", "echo up; read line; exit 5"],
    stdin: "piped",
  });
  await wrapper.waitFor("up");
  wrapper.kill("SIGSTOP");
  const stdin = wrapper.child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode("\n"));
  await stdin.close();
  while (stateOf(wrapper.pid) !== "T") await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(sidecar.posts().length, 0);
  wrapper.kill("SIGCONT");
  assertEquals((await wrapper.ended).code, 5);
  assertEquals(sidecar.posts().length, 1);
});

Deno.test("a full or closed stderr stops neither COMMAND nor the hooks", async () => {
  assertEquals((await runScript('exec "$0" "$HOOK" sh -c "exit 5" 2>/dev/full')).code, 5);
  assertEquals((await runScript('exec "$0" "$HOOK" sh -c "exit 5" 2>&-')).code, 5);
});

Deno.test("closed stdin and stdout stop neither COMMAND nor the hooks", async () => {
  assertEquals((await runScript('exec "$0" "$HOOK" sh -c "exit 5" <&- >&-')).code, 5);
});

Deno.test("a termination log on a full disk is only a warning", async () => {
  const { code, stderr } = await runScript(
    'exec "$0" --termination-log=/dev/full "$HOOK" sh -c "exit 5"',
  );
  assertEquals(code, 5);
  assertStringIncludes(stderr, "cannot write the termination log /dev/full: no space left");
});

testWith(
  COMPILED,
  "with an argument that is not UTF-8, the runtime exits with 101 before the wrapper starts",
  async () => {
    // Deno refuses it before any code of the wrapper runs (docs/security.md).
    const child = new Deno.Command("bash", {
      args: ["-c", 'exec "$0" --hook=none true "$(printf "\\377")"', BINARY],
      stdout: "null",
      stderr: "piped",
    });
    assertEquals((await child.output()).code, 101);
  },
);

const SHUTDOWN_MS = 2000;
const HOUR_S = 3600;

/**
 * Runs a job, with a JSON log, whose clock is set by `hours` once its sidecar was told to quit.
 *
 * @param answer what the sidecar does with the nth stop request, counted from 1
 */
async function runWithClockSet(hours: number, answer: (count: number) => number | "never") {
  const folder = Deno.makeTempDirSync();
  const ended = Promise.withResolvers<void>();
  let posts = 0;
  await using sidecar = startSidecar([async () => {
    // Not at the first request, which may leave before COMMAND's end is logged and the hook's time begins.
    if (++posts === 2) Deno.writeTextFileSync(`${folder}/clock`, String(hours * HOUR_S));
    const status = answer(posts);
    if (typeof status === "number") return new Response(null, { status });
    await ended.promise;
    return new Response();
  }]);
  try {
    const { code, stderr, durationMs } = await runWrapper("binary", {
      args: [
        `--hook=${sidecar.origin}/quit`,
        "--log-format=json",
        "--request-timeout=500ms",
        `--shutdown-timeout=${SHUTDOWN_MS}ms`,
        ...["sh", "-c", "exit 5"],
      ],
      env: {
        LD_PRELOAD: compileFixture("set_clock", ["-shared", "-fPIC"]),
        SET_CLOCK: `${folder}/clock`,
      },
    });
    const [command, hook] = stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
    // Otherwise the test would pass with a clock that was never set.
    const jumpMs = Date.parse(hook.time) - Date.parse(command.time);
    assert(Math.abs(jumpMs - hours * HOUR_S * 1000) < HOUR_S * 500, stderr);
    assertEquals(code, 5);
    return { event: hook.event, durationMs, posts };
  } finally {
    ended.resolve();
    Deno.removeSync(folder, { recursive: true });
  }
}

const SLACK_MS = 30_000;

for (const [what, answer] of [["does not answer", "never"], ["is always busy", 503]] as const) {
  testWith(
    C_COMPILER,
    `setting the clock back an hour does not prolong a hook whose sidecar ${what}`,
    async () => {
      const { event, durationMs } = await runWithClockSet(-1, () => answer);
      assertEquals(event, "hook-failed");
      assert(durationMs > SHUTDOWN_MS / 2 && durationMs < SHUTDOWN_MS + SLACK_MS, `${durationMs}`);
    },
  );
}

testWith(
  C_COMPILER,
  "setting the clock forward an hour does not shorten a hook's time",
  async () => {
    const { event, posts } = await runWithClockSet(1, (count) => count < 3 ? 503 : 200);
    assertEquals([event, posts], ["hook-stopped", 3]);
  },
);

testWith(
  C_COMPILER,
  "setting the clock back does not let COMMAND run beyond --timeout",
  async () => {
    const folder = Deno.makeTempDirSync();
    try {
      const script = `echo ${-HOUR_S} > ${folder}/clock; read line`;
      const wrapper = startWrapper("binary", {
        args: ["--hook=none", "--log-format=json", "--timeout=1s", "sh", "-c", script],
        env: {
          LD_PRELOAD: compileFixture("set_clock", ["-shared", "-fPIC"]),
          SET_CLOCK: `${folder}/clock`,
        },
        stdin: "piped",
      });
      const { code, stderr, durationMs } = await wrapper.ended;
      await wrapper.child.stdin.close();
      assertEquals(code, 124);
      const [timeout] = stderr.split("\n").map((line) => JSON.parse(line || "{}"));
      assert(Date.parse(timeout.time) < Date.now() - HOUR_S * 500, stderr);
      assert(durationMs >= 1000 && durationMs < 1000 + SLACK_MS, `${durationMs}`);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
);
