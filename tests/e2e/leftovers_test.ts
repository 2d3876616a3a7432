/** What COMMAND leaves behind: waited for, ended or ignored, before the hooks run. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { type Need, ORPHANS, testWith } from "../support/needs.ts";
import { endedBy } from "../support/processes.ts";
import { startSidecar } from "../support/sidecar.ts";
import {
  BINARY,
  type Ended,
  type Running,
  startProgram,
  startWrapper,
} from "../support/wrapper.ts";

const start = (...args: string[]) =>
  startWrapper("binary", { args: ["--hook=none", ...args], detached: true });

/** The words that run a program as PID 1. */
const PID_1: Need<readonly string[]> = {
  what: "PID namespaces (unshare of util-linux, and the right to use them)",
  find: () => {
    const flags = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    return [[], ["--map-root-user"]].map((more) => ["unshare", ...more, ...flags])
      .find(([file = "", ...args]) => {
        try {
          return new Deno.Command(file, { args: [...args, "true"] }).outputSync().success;
        } catch {
          return false;
        }
      });
  },
  onlyOnLinux: true,
};

/** A process that says what it gets: it ends a moment after SIGTERM, in an orderly way. */
const ORDERLY = 'n=0; trap "n=\\$((n + 1)); echo term \\$n" TERM; echo "ready $$ ."; ' +
  "while [ $n = 0 ]; do sleep 0.05; done; sleep 0.3; echo orderly end after $n";

/** A process that ignores SIGTERM until it is killed. */
const STUBBORN = 'trap "" TERM; echo "ready $$ ."; exec sleep 60';

/** One that has left COMMAND's session. */
const asDaemon = (script: string) => ["sh", "-c", 'setsid sh -c "$0" & read go; exit 3', script];

/** Waits for a wrapper's end, and kills what is left: it keeps stdout open. */
async function endedWithout(running: Running): Promise<Ended> {
  await running.child.status;
  Deno.kill(Number(/ready (\d+)/.exec(running.output.stdout)?.[1]), "SIGKILL");
  return await running.ended;
}

async function endWithDaemon(script: string, ...options: string[]) {
  await using running = startProgram([BINARY, "--hook=none", ...options, ...asDaemon(script)], {
    detached: true,
    stdin: "piped",
  });
  await running.waitFor(" .\n");
  await running.type("go\n");
  return await running.ended;
}

for (
  const [what, signal, code] of [["SIGTERM", "SIGTERM", 143], ["SIGINT", "SIGINT", 130]] as const
) {
  Deno.test(`--process-group: a group that had ${what} from outside gets no second signal, and no limit`, async () => {
    await using sidecar = startSidecar();
    const member = ORDERLY.replaceAll("TERM", signal.slice(3));
    // Three generations. A shell makes what it starts in the background ignore SIGINT.
    const script = 'env --default-signal=INT sh -c "sh -c \\"\\$MEMBER\\"; true" & exec sleep 60';
    await using running = startWrapper("binary", {
      args: [`--hook=${sidecar.origin}/quit`, "--process-group", "sh", "-c", script],
      env: { MEMBER: member },
      detached: true,
    });
    await running.waitFor(" .\n");
    running.kill(signal);
    await running.waitFor("waiting for them to end");
    assertEquals(sidecar.posts().length, 0);
    const ended = await running.ended;
    assertEquals(ended.code, code, ended.stderr);
    assertEquals(ended.stdout.includes("term 2"), false, ended.stdout);
    assertEquals(sidecar.posts().length, 1);
  });
}

Deno.test("--process-group: SIGTERM reaches a pipe's members once, and each ends in its own time", async () => {
  await using running = start(
    "--process-group",
    "sh",
    "-c",
    'sh -c "$0" & sh -c "$0" & wait',
    ORDERLY,
  );
  await running.waitFor(" .\n", 2);
  running.kill("SIGTERM");
  const { code, stdout, stderr } = await running.ended;
  assertEquals(code, 143, stderr);
  assertEquals(stdout.match(/orderly end after 1/g)?.length, 2, stdout);
  assertEquals(stdout.match(/term 1/g)?.length, 2, stdout);
});

Deno.test("--process-group: a further signal goes to those that are waited for", async () => {
  const twice = 'n=0; trap "n=\\$((n + 1)); echo term \\$n" TERM; echo "ready ."; ' +
    "while [ $n -lt 2 ]; do sleep 0.05; done; echo heard $n";
  await using running = start("--process-group", "sh", "-c", 'sh -c "$0"; true', twice);
  await running.waitFor(" .\n");
  running.kill("SIGTERM");
  await running.waitFor("waiting for them to end");
  await running.waitFor("term 1\n");
  running.kill("SIGTERM");
  const { code, stdout } = await running.ended;
  assertEquals(code, 143);
  assertStringIncludes(stdout, "heard 2");
});

Deno.test("--process-group: --kill-after counts on after COMMAND's end", async () => {
  await using running = start(
    "--process-group",
    "--kill-after=1s",
    "sh",
    "-c",
    'sh -c "$0"; true',
    STUBBORN,
  );
  await running.waitFor(" .\n");
  const startMs = performance.now();
  running.kill("SIGTERM");
  const { code, stderr } = await running.ended;
  assertEquals(code, 143, stderr);
  assertStringIncludes(stderr, "still running after 1s: sending SIGKILL");
  assert(performance.now() - startMs < 60_000);
});

Deno.test("--process-group: what had --timeout's SIGTERM gets no second one, and --kill-after or 5 s", async () => {
  const command = ["sh", "-c", 'sh -c "$0"; true'];
  await using orderly = start("--process-group", "--timeout=1s", ...command, ORDERLY);
  const one = await orderly.ended;
  assertEquals([one.code, one.stdout.includes("orderly end after 1")], [124, true], one.stderr);
  await using stubborn = start("--process-group", "--timeout=1s", ...command, STUBBORN);
  const other = await stubborn.ended;
  assertEquals(other.code, 124, other.stderr);
  assertStringIncludes(other.stderr, "still running after 5s: sending SIGKILL");
});

Deno.test("--process-group: after another deadly signal, and after an ordinary end, the rest gets SIGTERM", async () => {
  // USR1 is ignored by the member.
  const member = `trap "" USR1; ${ORDERLY}`;
  for (const signal of ["SIGUSR1", undefined] as const) {
    await using running = startProgram([
      BINARY,
      "--hook=none",
      "--process-group",
      "sh",
      "-c",
      'sh -c "$0" & read go; exit 3',
      member,
    ], { detached: true, stdin: "piped" });
    await running.waitFor(" .\n");
    if (signal === undefined) await running.type("go\n");
    else running.kill(signal);
    const { code, stdout, stderr } = await running.ended;
    assertEquals(code, signal === undefined ? 3 : endedBy(signal), stderr);
    assertStringIncludes(stderr, "sending SIGTERM (--leftovers)");
    assertStringIncludes(stdout, "orderly end after 1");
  }
});

Deno.test("without --process-group, a COMMAND that dies alone of a signal is one warning, after the stop request", async () => {
  for (const options of [[], ["--timeout=1s"]]) {
    await using sidecar = startSidecar();
    await using running = startWrapper("binary", {
      args: [`--hook=${sidecar.origin}/quit`, ...options, "sh", "-c", 'sh -c "$0"; true', STUBBORN],
      detached: true,
    });
    await running.waitFor(" .\n");
    if (options.length === 0) running.kill("SIGTERM");
    const { code, stderr } = await endedWithout(running);
    assertEquals(code, options.length === 0 ? 143 : 124, stderr);
    const warnings = stderr.split("\n").filter((line) =>
      line.includes("SIGTERM ended the command")
    );
    assertEquals(warnings.length, 1, stderr);
    // The shell may not have become the sleeping program yet.
    assertMatch(warnings[0] ?? "", /: 1 left \((sleep|sh)\)/);
    assertStringIncludes(warnings[0] ?? "", "--process-group");
    assertEquals(sidecar.posts().length, 1);
  }
});

Deno.test("no such warning if COMMAND ends by itself, or if nothing is left", async () => {
  await using running = start("sh", "-c", 'trap "exit 4" TERM; sleep 60 & echo "ready $! ."; wait');
  await running.waitFor(" .\n");
  running.kill("SIGTERM");
  const { code, stderr } = await endedWithout(running);
  assertEquals([code, stderr.includes("--process-group")], [4, false], stderr);

  await using alone = start("sh", "-c", 'echo "ready ."; exec sleep 60');
  await alone.waitFor(" .\n");
  alone.kill("SIGTERM");
  const ended = await alone.ended;
  assertEquals([ended.code, ended.stderr.includes("--process-group")], [143, false], ended.stderr);
});

testWith(
  ORPHANS,
  "--leftovers wait: the hooks run when a daemon has ended, and the code is COMMAND's",
  async () => {
    await using sidecar = startSidecar();
    const daemon = 'echo "ready ."; read -r go <"$FIFO"; echo daemon over';
    const folder = await Deno.makeTempDir();
    const fifo = `${folder}/fifo`;
    assertEquals((await new Deno.Command("mkfifo", { args: [fifo] }).output()).success, true);
    await using running = startProgram(
      [
        BINARY,
        `--hook=${sidecar.origin}/quit`,
        "--leftovers=wait",
        "sh",
        "-c",
        'setsid sh -c "$0" & exit 3',
        daemon,
      ],
      { detached: true, env: { FIFO: fifo } },
    );
    await running.waitFor(" .\n");
    await running.waitFor("waiting for them to end");
    assertEquals(sidecar.posts().length, 0);
    await Deno.writeTextFile(fifo, "go\n");
    const { code, stdout } = await running.ended;
    assertEquals([code, stdout.includes("daemon over")], [3, true]);
    assertEquals(sidecar.posts().length, 1);
    await Deno.remove(folder, { recursive: true });
  },
);

testWith(
  ORPHANS,
  "--leftovers end: SIGTERM, then SIGKILL, also for a daemon outside COMMAND's session",
  async () => {
    const orderly = await endWithDaemon(ORDERLY, "--leftovers=end");
    assertEquals(
      [orderly.code, orderly.stdout.includes("orderly end after 1")],
      [3, true],
      orderly.stderr,
    );
    const stubborn = await endWithDaemon(STUBBORN, "--leftovers=end", "--kill-after=300ms");
    assertEquals(stubborn.code, 3);
    assertStringIncludes(stubborn.stderr, "still running after 300ms: sending SIGKILL");
  },
);

testWith(
  ORPHANS,
  "--leftovers wait: --timeout ends what is left, and the code is COMMAND's",
  async () => {
    const { code, stdout, stderr } = await endWithDaemon(
      ORDERLY,
      "--leftovers=wait",
      "--timeout=2s",
    );
    assertEquals([code, stdout.includes("orderly end after 1")], [3, true], stderr);
    assertStringIncludes(stderr, "still running at --timeout");
  },
);

testWith(ORPHANS, "--leftovers wait: signals reach what is left, and --kill-after", async () => {
  for (const early of [true, false]) {
    await using running = startProgram(
      [BINARY, "--hook=none", "--leftovers=wait", "--kill-after=500ms", ...asDaemon(STUBBORN)],
      { detached: true, stdin: "piped" },
    );
    await running.waitFor(" .\n");
    // Before COMMAND's end, which it causes, or after it.
    if (early) {
      running.kill("SIGTERM");
    } else {
      await running.type("go\n");
      await running.waitFor("waiting for them to end");
      running.kill("SIGTERM");
    }
    const { code, stderr } = await running.ended;
    assertEquals(code, early ? 143 : 3, stderr);
    assertStringIncludes(stderr, "still running after 500ms: sending SIGKILL");
  }
});

testWith(
  ORPHANS,
  "--leftovers: --timeout that ends COMMAND ends what is left, too, and the code is 124",
  async () => {
    const daemon = 'setsid sh -c "$0" & trap "exit 9" TERM; while :; do sleep 0.05; done';
    await using running = start(
      ...["--leftovers=wait", "--timeout=1s", "--kill-after=500ms", "sh", "-c", daemon, STUBBORN],
    );
    const { code, stderr } = await running.ended;
    assertEquals(code, 124, stderr);
    assertStringIncludes(stderr, "still running after 500ms: sending SIGKILL");
  },
);

testWith(
  ORPHANS,
  "--leftovers end: a daemon that starts itself again and again does not keep the wrapper",
  async () => {
    const daemon = 'trap "" TERM; sleep 0.05; [ "$N" -lt 200 ] || { echo last; exit; }; ' +
      'N=$((N + 1)) setsid sh -c "$DAEMON" & exit';
    await using running = startWrapper("binary", {
      args: [
        ...["--hook=none", "--leftovers=end", "--kill-after=500ms"],
        ...["sh", "-c", 'N=0 setsid sh -c "$DAEMON" & sleep 0.2; exit 3'],
      ],
      env: { DAEMON: daemon },
      detached: true,
    });
    const { code } = await running.child.status;
    // The daemon goes on until it has started itself 200 times, after 10 s.
    assertEquals([code, running.output.stdout], [3, ""], running.output.stderr);
    await running.ended;
  },
);

Deno.test("--leftovers: children that were there before COMMAND are neither waited for nor ended", async () => {
  for (const what of ["wait", "end"]) {
    // The pipe keeps the second program waiting for as long as the first runs.
    const script = 'sleep 60 & echo "earlier $! ."; exec "$@"';
    const words = [BINARY, "--hook=none", `--leftovers=${what}`, "sh", "-c", "sleep 0.2; exit 3"];
    await using running = startProgram(["sh", "-c", script, "sh", ...words], { detached: true });
    await running.waitFor(" .\n");
    await running.child.status;
    const earlier = Number(/earlier (\d+)/.exec(running.output.stdout)?.[1]);
    Deno.kill(earlier, "SIGKILL");
    assertEquals((await running.ended).code, 3);
  }
});

testWith(
  ORPHANS,
  "with --reap=false, --leftovers reaches COMMAND's session alone, and says so",
  async () => {
    await using unseen = startProgram(
      [BINARY, "--hook=none", "--leftovers=wait", "--reap=false", ...asDaemon(STUBBORN)],
      { detached: true, stdin: "piped" },
    );
    await unseen.waitFor(" .\n");
    await unseen.type("go\n");
    const { code, stderr } = await endedWithout(unseen);
    assertEquals(code, 3, stderr);
    assertStringIncludes(stderr, "only processes of the command's session count");

    await using running = start(
      "--leftovers=end",
      "--reap=false",
      "sh",
      "-c",
      'sh -c "$0" & sleep 0.3; exit 3',
      ORDERLY,
    );
    const ended = await running.ended;
    assertEquals(
      [ended.code, ended.stdout.includes("orderly end after 1")],
      [3, true],
      ended.stderr,
    );
  },
);

testWith(PID_1, "as PID 1, --leftovers wait and end reach daemons", async (asPid1) => {
  for (
    const [what, script, expected] of [
      ["wait", 'echo "ready ."; sleep 0.5; echo over', "over"],
      ["end", ORDERLY, "orderly end after 1"],
    ] as const
  ) {
    await using running = startProgram(
      // Group 0 of a process in the namespace reaches out of it without a session of its own.
      [...asPid1, "setsid", BINARY, "--hook=none", `--leftovers=${what}`, ...asDaemon(script)],
      { stdin: "piped" },
    );
    await running.waitFor(" .\n");
    await running.type("go\n");
    const { code, stdout, stderr } = await running.ended;
    assertEquals([code, stdout.includes(expected)], [3, true], stderr);
  }
});

testWith(ORPHANS, "--leftovers wait: of 150 double forks none is missed", async () => {
  // Each of them ends at another moment, up to a second after COMMAND.
  const script =
    'i=0; while [ $i -lt 150 ]; do (setsid sh -c "sleep 0.$((i % 10))$((i % 7)); echo over" &); i=$((i + 1)); done; exit 3';
  await using running = start("--leftovers=wait", "sh", "-c", script);
  const { code, stdout, stderr } = await running.ended;
  assertEquals([code, stdout.match(/over\n/g)?.length], [3, 150], stderr);
});

testWith(
  ORPHANS,
  "--leftovers wait: a SIGINT that COMMAND has survived does not reach what it leaves behind",
  async () => {
    const daemon = 'n=0; trap "n=\\$((n + 1))" INT; echo "ready ."; sleep 0.5; echo over after $n';
    // A shell makes what it starts in the background ignore SIGINT.
    const script = 'env --default-signal=INT setsid sh -c "$0" & trap "echo survived" INT; ' +
      "while ! read -r go; do :; done; exit 3";
    await using running = startProgram(
      [BINARY, "--hook=none", "--leftovers=wait", "sh", "-c", script, daemon],
      { detached: true, stdin: "piped" },
    );
    await running.waitFor(" .\n");
    running.kill("SIGINT");
    await running.waitFor("survived\n");
    await running.type("go\n");
    const { code, stdout } = await running.ended;
    assertEquals([code, stdout.includes("over after 0")], [3, true], stdout);
  },
);
