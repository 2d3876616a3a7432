/** COMMAND's own session and process group, beside tini and dumb-init, which give it a group too. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { C_COMPILER, compileFixture } from "../support/fixtures.ts";
import {
  both,
  COMPILED,
  DUMB_INIT,
  findProgram,
  type Need,
  testWith,
  TINI,
} from "../support/needs.ts";
import { stateOf } from "../support/processes.ts";
import { startSidecar } from "../support/sidecar.ts";
import { BINARY, type Running, startProgram, startWrapper } from "../support/wrapper.ts";

/** The other programs of this kind. */
const OTHERS = both(TINI, DUMB_INIT);

const SETPRIV: Need<string> = {
  what: "setpriv (apt-get install util-linux)",
  find: () => findProgram("setpriv"),
  onlyOnLinux: true,
};

const recorded = (stdout: string) =>
  [...stdout.matchAll(/got (\d+)/g)].map((match) => Number(match[1]));

Deno.test("COMMAND leads a session and a process group of its own", async () => {
  const script = "ps -o pgid= -o stat= -p $$; echo $$; exit 2";
  await using running = startWrapper("binary", {
    args: ["--hook=none", "sh", "-c", script],
    detached: true,
  });
  const { code, stdout } = await running.ended;
  assertEquals(code, 2);
  // `s` marks the leader of a session.
  assertMatch(stdout, /^ *(\d+) +\w+s\S*\n\1\n$/);
});

Deno.test("without --process-group, a signal goes to COMMAND alone", async () => {
  const member = 'trap "echo member heard" USR1; echo "member ready"; while :; do sleep 0.1; done';
  const script = 'sh -c "$0" & trap "kill -9 $!; exit 3" USR1; while :; do sleep 0.1; done';
  await using running = startWrapper("binary", {
    args: ["--hook=none", "sh", "-c", script, member],
    detached: true,
  });
  await running.waitFor("member ready");
  running.kill("SIGUSR1");
  const { code, stdout } = await running.ended;
  assertEquals([code, stdout], [3, "member ready\n"]);
});

for (
  const [what, leftover] of [
    ["sends SIGTERM to group 0 twice", "kill -TERM 0; sleep 0.2; kill -TERM 0"],
    ["sends SIGKILL to group 0", "kill -KILL 0"],
  ] as const
) {
  testWith(
    OTHERS,
    `a leftover of COMMAND that ${what} does not hit the wrapper`,
    async (others) => {
      await using sidecar = startSidecar();
      const script = `trap "" TERM; sh -c '${leftover}' & sleep 0.5; exit 4`;
      const command = ["sh", "-c", script];
      const [tini, dumbInit] = others;
      await using running = startWrapper("binary", {
        args: [`--hook=${sidecar.origin}/quit`, ...command],
        detached: true,
      });
      const ended = await running.ended;
      // SIGKILL ends COMMAND, too.
      const expected = leftover.includes("KILL") ? 137 : 4;
      assertEquals(ended.code, expected, ended.stderr);
      assertEquals(sidecar.posts().length, 1, ended.stderr);
      for (const other of [[tini, "-s", "--"], [dumbInit]]) {
        await using program = startProgram([...other, ...command], { detached: true });
        assertEquals((await program.ended).code, expected);
      }
    },
  );
}

Deno.test("a script can signal its own group by its process id", async () => {
  const script = 'trap "exit 6" TERM; kill -- -$$; sleep 5; exit 1';
  await using running = startWrapper("binary", {
    args: ["--hook=none", "sh", "-c", script],
    detached: true,
  });
  const { code, stderr } = await running.ended;
  assertEquals(code, 6, stderr);
});

testWith(
  both(C_COMPILER, OTHERS),
  "a parent that signals the wrapper's whole group: COMMAND gets each signal once, also with --process-group",
  async ([_, [tini, dumbInit]]) => {
    const recorder = compileFixture("record_signals");
    const parents = [[tini, "-s", "-g", "--"], [dumbInit]];
    for (const group of ["--process-group=false", "--process-group"]) {
      for (const parent of parents) {
        await using running = startProgram([...parent, BINARY, "--hook=none", group, recorder], {
          detached: true,
        });
        await running.waitFor("ready");
        for (const [signal, number] of [["SIGUSR1", 10], ["SIGHUP", 1], ["SIGUSR1", 10]] as const) {
          const times = recorded(running.output.stdout).filter((got) => got === number).length + 1;
          running.kill(signal);
          await running.waitFor(`got ${number}\n`, times);
        }
        running.kill("SIGTERM");
        const { code, stdout } = await running.ended;
        assertEquals([code, recorded(stdout)], [5, [10, 1, 10, 15]], `${parent[0]} ${group}`);
      }
    }
  },
);

/** A COMMAND that ignores SIGTERM, and reports its process id. */
const STUBBORN = ["sh", "-c", 'trap "" TERM; echo "pid $$ ."; exec sleep 60'];

/** Waits until STUBBORN runs, and returns its process id. */
async function pidOf(running: Running): Promise<number> {
  await running.waitFor(" .\n");
  return Number(/pid (\d+) \./.exec(running.output.stdout)?.[1]);
}

testWith(
  both(OTHERS, SETPRIV),
  "COMMAND survives SIGKILL to the wrapper, to its group and by timeout -k, as under tini and dumb-init",
  async ([[tini, dumbInit], setpriv]) => {
    const killed: readonly (readonly [string, (pid: number) => void])[] = [
      ["wrapper", (pid) => Deno.kill(pid, "SIGKILL")],
      ["group", (pid) => Deno.kill(-pid, "SIGKILL")],
      ["timeout", () => {}],
    ];
    for (const [what, kill] of killed) {
      const before = what === "timeout" ? ["timeout", "-k", "0.3", "0.3"] : [];
      const programs = [[BINARY, "--hook=none"], [tini, "-s", "--"], [dumbInit]];
      for (const program of programs) {
        await using running = startProgram([...before, ...program, ...STUBBORN], {
          detached: true,
        });
        const pid = await pidOf(running);
        kill(running.pid);
        await running.child.status;
        assert(stateOf(pid) !== "", `${what}: ${program.join(" ")}`);
        Deno.kill(pid, "SIGKILL");
      }

      // The remedy.
      const tied = [BINARY, "--hook=none", setpriv, "--pdeathsig", "KILL", ...STUBBORN];
      await using running = startProgram([...before, ...tied], { detached: true });
      const pid = await pidOf(running);
      kill(running.pid);
      await running.child.status;
      while (stateOf(pid) !== "") await new Promise((resolve) => setTimeout(resolve, 5));
    }
  },
);

/** Runs a wrapper with a log that cannot grow; the result is the shell's. */
async function withFullLog(...args: string[]) {
  const log = await Deno.makeTempFile();
  // The shell's own output is a pipe, which has no limit.
  const script = `ulimit -f 0; log=$1; shift; "$@" 2>"$log"; echo "code $?"`;
  const env = { WRAPPER_PLUGIN_PATH: "/a-warning" };
  const { stdout } = await startProgram(["bash", "-c", script, "bash", log, BINARY, ...args], {
    env,
  }).ended;
  await Deno.remove(log);
  return stdout;
}

testWith(
  both(C_COMPILER, COMPILED),
  "SIGXFSZ that a log line causes is not COMMAND's",
  async () => {
    await using sidecar = startSidecar();
    const hook = `--hook=${sidecar.origin}/quit`;
    // Several times: a signal may come at any moment until the end.
    for (const round of [1, 2, 3, 4, 5]) {
      const script = "sleep 0.1; exit 5";
      assertEquals(await withFullLog(hook, "--log-level=debug", "sh", "-c", script), "code 5\n");
      assertEquals(sidecar.posts().length, round);
    }
  },
);

testWith(
  COMPILED,
  "SIGXFSZ does not end the wrapper with wrong settings: the hooks run",
  async () => {
    await using sidecar = startSidecar();
    const hook = `--hook=${sidecar.origin}/quit`;
    assertEquals(await withFullLog(hook, "--timeout=often", "true"), "code 125\n");
    assertEquals(sidecar.posts().length, 1);
  },
);

Deno.test("warnings about variables come before everything else", async () => {
  await using running = startWrapper("binary", {
    args: ["--hook=none", "--timeout=often", "true"],
    env: { WRAPPER_PLUGIN_PATH: "/a-warning" },
    detached: true,
  });
  const { stderr } = await running.ended;
  assertStringIncludes(stderr.split("\n")[0] ?? "", "WRAPPER_PLUGIN_PATH is ignored");
});
