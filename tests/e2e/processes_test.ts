/** COMMAND's time limits, its process group, and a machine without resources. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { findProgram, type Need, testWith } from "../support/needs.ts";
import { endedBy, stateOf } from "../support/processes.ts";
import { freePort, startSidecar } from "../support/sidecar.ts";
import { BINARY, runWrapper, startProgram, startWrapper } from "../support/wrapper.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

const start = (...args: string[]) =>
  startWrapper("binary", { args: ["--hook=none", ...args], detached: true });

/** A COMMAND that ignores SIGTERM, and reports when it runs. */
const STUBBORN = ["sh", "-c", 'trap "" TERM; echo up; exec sleep 60'];

Deno.test("--timeout ends COMMAND with SIGTERM, and 124", async () => {
  await using running = start("--timeout=200ms", "sh", "-c", "echo up; exec sleep 60");
  const { code, stderr } = await running.ended;
  assertEquals(code, 124, stderr);
  assertStringIncludes(stderr, "200ms");
});

Deno.test("--timeout and --kill-after: SIGKILL for a COMMAND that ignores SIGTERM, and 124", async () => {
  await using running = start("--timeout=1s", "--kill-after=200ms", ...STUBBORN);
  assertEquals((await running.ended).code, 124);
});

Deno.test("--kill-after also applies to a SIGTERM that was passed on, and the exit code is 137", async () => {
  await using running = start("--kill-after=200ms", ...STUBBORN);
  await running.waitFor("up");
  running.kill("SIGTERM");
  assertEquals((await running.ended).code, 137);
});

Deno.test("a COMMAND that has stopped itself is continued, and gets SIGTERM", async () => {
  const script = 'trap "echo heard; exit 3" TERM; echo up; kill -STOP $$; while :; do :; done';
  await using running = start("--timeout=1s", "sh", "-c", script);
  const { code, stdout } = await running.ended;
  assertEquals([code, stdout], [124, "up\nheard\n"]);
});

Deno.test("a time limit that is not reached does not delay the end", async () => {
  const { code, durationMs } = await runWrapper("binary", {
    args: ["--hook=none", "--timeout=60s", "--kill-after=60s", "sh", "-c", "exit 6"],
  });
  assertEquals(code, 6);
  assert(durationMs < 60_000);
});

Deno.test("--process-group: a new session; the whole group gets signals, and is ended", async () => {
  const member = 'trap "echo usr1" USR1; trap "echo term; exit" TERM; echo ready; ' +
    "while :; do sleep 1; done";
  const script = 'sh -c "$0" & sh -c "$0" & ps -o pgid= -o stat= -p $$; echo "self $$ ."; wait';
  await using running = start("--process-group", "sh", "-c", script, member);
  await running.waitFor("ready", 2);
  await running.waitFor(" .\n");
  running.kill("SIGUSR1");
  const { code, stdout, stderr } = await running.ended;
  // The signal ended the shell, which is COMMAND, and the others got SIGTERM.
  assertEquals(code, endedBy("SIGUSR1"), stderr);
  const got = stdout.split("\n").filter((line) => ["usr1", "term"].includes(line)).sort();
  assertEquals(got, ["term", "term", "usr1", "usr1"]);
  const self = /self (\d+)/.exec(stdout)?.[1] ?? "";
  // `s` marks the leader of a session.
  assertMatch(stdout, new RegExp(`^ *${self} +\\w+s`, "m"));
});

Deno.test("the rest of the group is continued, and gets SIGTERM, and SIGKILL after --kill-after", async () => {
  const stubborn = 'trap "" TERM USR1; echo "stubborn $$ ."; exec sleep 60';
  // The kernel sends SIGHUP to a group with a stopped process when the group becomes orphaned.
  const stopped = 'trap "" USR1 HUP; trap "echo heard; exit" TERM; echo up; kill -STOP $$; ' +
    "while :; do :; done";
  const script = 'trap "exit 8" USR1; sh -c "$0" & sh -c "$1" & while :; do sleep 0.1; done';
  await using running = start(
    ...["--process-group", "--kill-after=2s", "sh", "-c", script, stubborn, stopped],
  );
  await running.waitFor(" .\n");
  await running.waitFor("up\n");
  running.kill("SIGUSR1");
  const { code, stdout, stderr } = await running.ended;
  assertEquals(code, 8, stderr);
  assertStringIncludes(stdout, "heard\n");
  const pid = Number(/stubborn (\d+)/.exec(stdout)?.[1]);
  // Its parent has ended, and the process that adopted it may not have reaped it yet.
  assertEquals(stateOf(pid), "", stderr);
});

/** Words that run a command as an ordinary user: the limit of processes does not apply to root. */
const ORDINARY_USER: Need<readonly string[]> = {
  what: "setpriv and prlimit (apt-get install util-linux)",
  find: () => {
    if (findProgram("prlimit") === undefined || findProgram("setpriv") === undefined) return;
    return Deno.uid() === 0
      ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
      : ["env"];
  },
  onlyOnLinux: true,
};

testWith(
  ORDINARY_USER,
  "if no more processes can be started: a clear error, 125, and the hooks run",
  async (asUser) => {
    const port = freePort();
    // This user may not have access to the repository's folder.
    const folder = await Deno.makeTempDir();
    await Deno.chmod(folder, 0o755);
    await Deno.copyFile(BINARY, `${folder}/wrapper`);
    const hook = `--hook=http://localhost:${port}/quit`;
    await using running = startProgram(
      [...asUser, `${folder}/wrapper`, hook, "--wait=60s", "true"],
    );
    await running.waitFor("waiting up to 1m");
    const limit = [...asUser, "prlimit", "--pid", String(running.pid), "--nproc=1:1"];
    assertEquals((await startProgram(limit).ended).code, 0);
    await using sidecar = startSidecar([200], { port });
    const { code, stderr } = await running.ended;
    assertEquals(code, 125, stderr);
    assertStringIncludes(stderr, "cannot start true: no more processes can be started here");
    assertEquals(sidecar.posts().length, 1);
    await Deno.remove(folder, { recursive: true });
  },
);

testWith(
  ORDINARY_USER,
  "COMMAND keeps a working directory below a folder that is closed to its user",
  async (asUser) => {
    const folder = await Deno.makeTempDir();
    await Deno.mkdir(`${folder}/closed/open`, { recursive: true });
    await Deno.copyFile(BINARY, `${folder}/wrapper`);
    const startFrom = (cwd: string) => {
      // The shell enters it before the folder is closed, as a container runtime does.
      const script = `cd ${cwd} && chmod 711 ${folder} && chmod 0 ${folder}/closed && exec "$@"`;
      const command = [...asUser, `${folder}/wrapper`, "--hook=none", "sh", "-c", "pwd -P; exit 5"];
      return startProgram(["sh", "-c", script, "sh", ...command]).ended;
    };
    const below = await startFrom(`${folder}/closed/open`);
    assertEquals([below.code, below.stdout], [5, `${folder}/closed/open\n`], below.stderr);
    await Deno.chmod(`${folder}/closed`, 0o755);
    const inside = await startFrom(`${folder}/closed`);
    assertEquals(inside.code, 126, inside.stderr);
    assertStringIncludes(inside.stderr, "the working directory is closed to this user");
    await Deno.chmod(`${folder}/closed`, 0o755);
    await Deno.remove(folder, { recursive: true });
  },
);

for (const redirection of [">&- 2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"]) {
  Deno.test(`with ${redirection} the wrapper works, and the hooks run`, async () => {
    await using sidecar = startSidecar();
    const script = `exec "$@" ${redirection}`;
    const hook = `--hook=${sidecar.origin}/quit`;
    const words = ["sh", "-c", script, "sh", BINARY, hook, "--log-level=debug"];
    const { code } = await startProgram([...words, "sh", "-c", "exit 5"]).ended;
    assertEquals(code, 5);
    assertEquals(sidecar.posts().length, 1);
  });
}

/** A custom wrapper, with a hook that does this when it probes its sidecar. */
const faultyWrapper = (probe: string) => `
  import { main, nameHook } from ${JSON.stringify(`${ROOT}mod.ts`)};
  const faulty = nameHook("faulty", "throws", () => ({
    name: "faulty",
    address: "nowhere",
    probe() { ${probe} },
    stop: () => Promise.resolve({ state: "stopped", answer: "done" }),
  }));
  Deno.exit(await main(Deno.args, { hooks: [faulty] }));
`;

for (
  const [where, probe] of [
    [
      "in a callback",
      'setTimeout(() => { throw new Error("oh no"); }); ' +
      'return Promise.resolve({ state: "ready", answer: "ok" });',
    ],
    [
      "in a promise that nothing awaits",
      'Promise.reject(new Error("oh no")); ' +
      'return Promise.resolve({ state: "ready", answer: "ok" });',
    ],
  ] as const
) {
  Deno.test(`an error in the wrapper itself, thrown ${where}: COMMAND keeps running, hooks run, 125`, async () => {
    await using sidecar = startSidecar();
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    await Deno.writeTextFile(file, faultyWrapper(probe));
    const words = [Deno.execPath(), "run", "--quiet", "--no-check", "--allow-all"];
    words.push(`--config=${ROOT}deno.json`, file, "--hook=faulty", `--hook=${sidecar.origin}/quit`);
    words.push("sh", "-c", "read line; echo over; exit 5");
    await using running = startProgram(words, { stdin: "piped" });
    await running.waitFor("error in the wrapper itself: Error at ");
    await running.type("go on\n");
    const { code, stdout, stderr } = await running.ended;
    assertEquals([code, stdout], [125, "over\n"], stderr);
    assertStringIncludes(stderr, "faulty: told to quit");
    assertEquals(sidecar.posts().length, 1);
    await Deno.remove(file);
  });
}

Deno.test("a hook whose probe throws has found nothing, and is still asked to stop its sidecar", async () => {
  await using sidecar = startSidecar();
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, faultyWrapper('throw new Error("oh no");'));
  const words = [Deno.execPath(), "run", "--quiet", "--no-check", "--allow-all"];
  words.push(`--config=${ROOT}deno.json`, file, "--hook=faulty", `--hook=${sidecar.origin}/quit`);
  const { code, stderr } = await startProgram([...words, "sh", "-c", "exit 5"]).ended;
  assertEquals(code, 5, stderr);
  assertStringIncludes(stderr, "faulty: told to quit");
  assertEquals(sidecar.posts().length, 1);
  await Deno.remove(file);
});

Deno.test("a program that ran a job with its signals caught survives a broken pipe later", async () => {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(
    file,
    `
    import { run } from ${JSON.stringify(`${ROOT}mod.ts`)};
    await run(["true"], { forwardSignals: true });
    for (;;) {
      try {
        Deno.stdout.writeSync(new TextEncoder().encode("x\\n"));
      } catch {
        Deno.exit(7);
      }
    }
  `,
  );
  const deno = [Deno.execPath(), "run", "--quiet", "--no-check", "--allow-all"];
  const words = [...deno, `--config=${ROOT}deno.json`, file];
  const script = '"$@" | head -n 1; echo "${PIPESTATUS[0]}"';
  const { stdout, stderr } = await startProgram(["bash", "-c", script, "bash", ...words]).ended;
  assertEquals(stdout, "x\n7\n", stderr);
  await Deno.remove(file);
});

Deno.test("several run() at a time: none takes another's COMMAND for an orphan", async () => {
  // In a process of its own: whoever reaps there takes the children of every thread.
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(
    file,
    `
    import { run } from ${JSON.stringify(`${ROOT}mod.ts`)};
    const started = Promise.withResolvers<void>();
    const others = started.promise.then(() =>
      Promise.all([run(["sh", "-c", "exit 4"]), run(["sh", "-c", "sleep 1; exit 5"])])
    );
    const first = run(["sh", "-c", "sleep 0.5; exit 3"], {
      leftovers: "end",
      log: ({ event }) => event === "command-started" && started.resolve(),
    });
    const results = [await first, ...await others];
    console.log(results.map(({ exitCode }) => exitCode).join());
    `,
  );
  const words = [Deno.execPath(), "run", "--quiet", "--no-check", "--allow-all"];
  const { stdout, stderr } = await startProgram([...words, `--config=${ROOT}deno.json`, file])
    .ended;
  assertEquals(stdout, "3,4,5\n", stderr);
  await Deno.remove(file);
});
