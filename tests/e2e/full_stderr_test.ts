/** A pipe behind stderr that is full, and that nobody reads: no line holds up the job. */

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { findProgram, type Need, STDERR_OPENED_AGAIN, testWith } from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";
import { BINARY } from "../support/wrapper.ts";

/**
 * Fills the pipe behind stderr until it takes nothing more, whatever its size is, and becomes the
 * program in its arguments.
 */
const FILL = `exec 3>&2
fill() { dd if=/dev/zero of=/proc/self/fd/3 oflag=nonblock conv=notrunc bs="$1" count=1 2>/dev/null; }
while fill 4096; do :; done
while fill 1; do :; done
exec 3>&-
exec "$@"`;

/** Starts a wrapper whose stderr is full; it is killed at the end of an `await using` block. */
function startWithFullStderr(...args: readonly string[]) {
  return startWords(BINARY, "--log-level=debug", ...args);
}

function startWords(...words: readonly string[]) {
  const startMs = performance.now();
  const child = new Deno.Command("sh", {
    args: ["-c", FILL, "sh", ...words],
    // A warning, before COMMAND is there.
    env: { WRAPPER_PLUGIN_PATH: "/a-warning" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdout = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  return {
    child,
    kill: (signal: Deno.Signal) => child.kill(signal),
    /** The next text on stdout. */
    next: async () => (await stdout.read()).value,
    async ended() {
      const { code } = await child.status;
      return { code, durationMs: performance.now() - startMs };
    },
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has already ended.
      }
      await child.status;
      await stdout.cancel();
      if (!child.stdin.locked) await child.stdin.close().catch(() => {});
      if (!child.stderr.locked) await child.stderr.cancel();
    },
  };
}

testWith(
  STDERR_OPENED_AGAIN,
  "COMMAND starts, --kill-after ends it, and the sidecar is told again after a 503",
  async () => {
    await using sidecar = startSidecar([503, 200]);
    const deaf = 'trap "" TERM; echo ready; exec sleep 60';
    const hook = `--hook=${sidecar.origin}/quit`;
    await using running = startWithFullStderr(hook, "--kill-after=200ms", "sh", "-c", deaf);
    assertEquals(await running.next(), "ready\n");
    running.kill("SIGTERM");
    const { code } = await running.ended();
    assertEquals(code, 137);
    assertEquals(sidecar.posts().length, 2);
  },
);

testWith(STDERR_OPENED_AGAIN, "the end waits for a second, and not for a second time", async () => {
  await using running = startWithFullStderr("--hook=none", "sh", "-c", "date +%s%N");
  const startedMs = Number(await running.next()) / 1e6;
  const { code } = await running.ended();
  const tookMs = Date.now() - startedMs;
  assertEquals(code, 0);
  // One wait of a second, and the time that a busy machine takes.
  assert(tookMs >= 1000 && tookMs < 2000, `${tookMs} ms`);
});

testWith(STDERR_OPENED_AGAIN, "wrong settings are an error at once, too", async () => {
  await using sidecar = startSidecar();
  await using running = startWithFullStderr(
    `--hook=${sidecar.origin}/quit`,
    "--timeout=often",
    "true",
  );
  assertEquals((await running.ended()).code, 125);
  assertEquals(sidecar.posts().length, 1);
});

/** Says which signal it got, and exits with 3 at SIGTERM. */
const TELLS = `for signal in USR1 USR2 HUP; do trap "echo $signal" $signal; done
trap 'exit 3' TERM
echo ready
while :; do sleep 0.01; done`;

testWith(STDERR_OPENED_AGAIN, "every line is there, in order, once somebody reads", async () => {
  await using running = startWithFullStderr("--hook=none", "sh", "-c", TELLS);
  assertEquals(await running.next(), "ready\n");
  for (const signal of ["USR1", "USR2", "HUP"] as const) {
    running.kill(`SIG${signal}`);
    assertEquals(await running.next(), `${signal}\n`);
  }
  running.kill("SIGTERM");
  const text = await new Response(running.child.stderr).text();
  const { code } = await running.ended();
  assertEquals(code, 3);
  const expected = [
    /warn: WRAPPER_PLUGIN_PATH is ignored/,
    /started/,
    /SIGUSR1/,
    /SIGUSR2/,
    /SIGHUP/,
    /SIGTERM/,
    /ended with exit code 3/,
  ];
  const lines = text.replaceAll("\0", "").trimEnd().split("\n");
  assertEquals(lines.length, expected.length, text);
  for (const [index, line] of lines.entries()) assertMatch(line, expected[index] ?? /^$/);
});

const OTHER_USER: Need<string> = {
  what: "root, to become another user (setpriv of util-linux)",
  find: () => Deno.uid() === 0 ? findProgram("setpriv") : undefined,
  onlyOnLinux: true,
};

testWith(OTHER_USER, "the same where the pipe is another user's", async (setpriv) => {
  const folder = await Deno.makeTempDir();
  await Deno.chmod(folder, 0o755);
  await Deno.copyFile(BINARY, `${folder}/wrapper`);
  const as = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"];
  const wrapper = [`${folder}/wrapper`, "--hook=none", "--log-level=debug", "sh", "-c", TELLS];
  await using running = startWords(...as, ...wrapper);
  assertEquals(await running.next(), "ready\n");
  running.kill("SIGUSR1");
  assertEquals(await running.next(), "USR1\n");
  running.kill("SIGTERM");
  assertEquals((await running.ended()).code, 3);
  await Deno.remove(folder, { recursive: true });
});
