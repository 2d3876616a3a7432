/** Signals that pass through the compiled binary. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { C_COMPILER, compileFixture } from "../support/fixtures.ts";
import { both, findProgram, LINUX_SIGNALS, type Need, PROC, testWith } from "../support/needs.ts";
import { endedBy, parentOf } from "../support/processes.ts";
import { freePort, startSidecar } from "../support/sidecar.ts";
import { BINARY, runWrapper, startProgram, startWrapper, untilCaught } from "../support/wrapper.ts";

/** Every signal that can be caught and is of interest to COMMAND, SIGTERM last. */
const FORWARDED: readonly (readonly [Deno.Signal, number])[] = [
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGQUIT", 3],
  ["SIGTRAP", 5],
  ["SIGABRT", 6],
  ["SIGBUS", 7],
  ["SIGUSR1", 10],
  ["SIGUSR2", 12],
  ["SIGPIPE", 13],
  ["SIGALRM", 14],
  ["SIGSTKFLT", 16],
  ["SIGCONT", 18],
  ["SIGTSTP", 20],
  ["SIGTTIN", 21],
  ["SIGTTOU", 22],
  ["SIGURG", 23],
  ["SIGXCPU", 24],
  ["SIGXFSZ", 25],
  ["SIGVTALRM", 26],
  ["SIGPROF", 27],
  ["SIGWINCH", 28],
  ["SIGIO", 29],
  ["SIGPWR", 30],
  ["SIGSYS", 31],
  ["SIGTERM", 15],
];

/** A parent that ignores SIGCHLD, which a shell cannot do. */
const PYTHON: Need<string> = {
  what: "Python 3 (apt-get install python3)",
  find: () => findProgram("python3"),
};

/** Starts the wrapper without a terminal, with a COMMAND that records its signals. */
async function startRecorder(options: readonly string[] = []) {
  const recorder = compileFixture("record_signals");
  const running = startWrapper("binary", {
    args: ["--hook=none", ...options, recorder],
    detached: true,
  });
  await running.waitFor("ready");
  return running;
}

/** The signals that the recorder got. */
const recorded = (stdout: string) =>
  [...stdout.matchAll(/got (\d+)/g)].map((match) => Number(match[1]));

testWith(
  both(C_COMPILER, LINUX_SIGNALS),
  "every signal that can be caught reaches COMMAND once, in order",
  async () => {
    await using running = await startRecorder();
    const sent: number[] = [];
    // Twice, because a signal that is caught once may be lost the second time.
    for (const [name, number] of [...FORWARDED.slice(0, -1), ...FORWARDED]) {
      sent.push(number);
      // SIGCHLD is about the wrapper's own children, and is not for COMMAND.
      running.kill("SIGCHLD");
      running.kill(name);
      const times = sent.filter((other) => other === number).length;
      await running.waitFor(`got ${number}\n`, times);
    }
    const { code, stdout } = await running.ended;
    assertEquals(recorded(stdout), sent);
    assertEquals(code, 5);
  },
);

testWith(
  both(C_COMPILER, LINUX_SIGNALS),
  "a SIGTERM after 10,000 mixed signals at once arrives",
  async () => {
    await using running = await startRecorder();
    for (let index = 0; index < 10_000; index++) {
      // A step that is coprime to the list's length mixes them.
      running.kill(FORWARDED[(index * 7) % (FORWARDED.length - 1)]?.[0] ?? "SIGUSR1");
    }
    running.kill("SIGTERM");
    const { code, stdout } = await running.ended;
    assertEquals(code, 5);
    const got = recorded(stdout);
    assertEquals(got.at(-1), 15);
    assert(got.length > 1, stdout);
  },
);

testWith(
  both(C_COMPILER, PROC),
  "a signal just before COMMAND has started is neither lost nor doubled",
  async () => {
    const recorder = compileFixture("record_signals");
    for (const _ of Array(10)) {
      await using running = startProgram([BINARY, "--hook=none", recorder], { detached: true });
      // As soon as the wrapper catches the signal, long before COMMAND runs.
      await untilCaught(running.pid, 10);
      running.kill("SIGUSR1");
      const hasGot = await running.waitFor("got 10\n").then(() => true, () => false);
      if (hasGot) running.kill("SIGTERM");
      const { code, stdout } = await running.ended;
      // It ends COMMAND if it comes before COMMAND has set its handler.
      if (code !== 128 + 10) assertEquals([code, recorded(stdout)], [5, [10, 15]]);
    }
  },
);

Deno.test("a signal that comes before COMMAND has started is delivered once it runs", async () => {
  const port = freePort();
  await using running = startWrapper("binary", {
    args: [
      `--hook=http://127.0.0.1:${port}/quit`,
      "--wait=60s",
      "sleep",
      "60",
    ],
    detached: true,
  });
  await running.waitFor("waiting up to 1m");
  running.kill("SIGUSR1");
  running.kill("SIGWINCH");
  await using _sidecar = startSidecar([200], { port });
  assertEquals((await running.ended).code, endedBy("SIGUSR1"));
});

Deno.test("SIGTERM during --wait: COMMAND is not started, the hooks run, exit 143", async () => {
  // It is there, and never ready.
  await using sidecar = startSidecar([200], { get: 503 });
  await using running = startWrapper("binary", {
    args: [
      ...[`--hook=envoy=${sidecar.origin}`, "--wait=60s", "--log-level=debug"],
      ...["echo", "started"],
    ],
    detached: true,
  });
  await running.waitFor("envoy: seen at ");
  running.kill("SIGTERM");
  const { code, stdout } = await running.ended;
  assertEquals([code, stdout], [143, ""]);
  assertEquals(sidecar.posts().length, 1);
});

testWith(
  C_COMPILER,
  "a closed stderr neither ends the wrapper nor sends SIGPIPE to COMMAND, and the hooks run",
  async () => {
    await using sidecar = startSidecar();
    const recorder = compileFixture("record_signals");
    const file = await Deno.makeTempFile();
    // The reader of stderr ends at once; at level debug, each signal is then a line that cannot be written.
    const script = '{ "$@" 2>&1 >"$0"; echo "code $?" >>"$0"; } | true';
    await using running = startProgram(
      [
        "bash",
        "-c",
        script,
        file,
        BINARY,
        `--hook=${sidecar.origin}/quit`,
        "--log-level=debug",
        recorder,
      ],
      { detached: true },
    );
    const record = () => Deno.readTextFileSync(file);
    const until = async (text: string) => {
      while (!record().includes(text)) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await until("ready");
    const command = Number(/ready (\d+)/.exec(record())?.[1]);
    const wrapper = parentOf(command);
    for (const [name, number] of [["SIGUSR1", 10], ["SIGUSR2", 12], ["SIGTERM", 15]] as const) {
      Deno.kill(wrapper, name);
      await until(`got ${number}\n`);
    }
    await until("code");
    assertEquals(recorded(record()), [10, 12, 15]);
    assertStringIncludes(record(), "code 5");
    assertEquals(sidecar.posts().length, 1);
    await running.ended;
    await Deno.remove(file);
  },
);

Deno.test("exit codes 0 to 255 are kept", async () => {
  const codes = [...Array(256).keys()];
  // Two at a time: the machine is busy.
  async function take() {
    for (let code = codes.pop(); code !== undefined; code = codes.pop()) {
      const ended = await runWrapper("binary", {
        args: ["--hook=none", "sh", "-c", `exit ${code}`],
      });
      assertEquals(ended.code, code, ended.stderr);
    }
  }
  await Promise.all([take(), take()]);
});

testWith(LINUX_SIGNALS, "the exit code is 128 + N for each signal that ends COMMAND", async () => {
  const deadly = [
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    24,
    25,
    26,
    27,
    29,
    30,
    31,
  ];
  for (const number of [...deadly, 34, 50, 64]) {
    const script = `ulimit -c 0; kill -${number} $$`;
    const { code, stderr } = await runWrapper("binary", {
      args: ["--hook=none", "sh", "-c", script],
    });
    assertEquals(code, 128 + number, stderr);
  }
});

testWith(
  PYTHON,
  "COMMAND's exit code is kept if the wrapper's parent ignores SIGCHLD",
  async (python) => {
    const script = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); " +
      "os.execv(sys.argv[1], sys.argv[1:])";
    const words = [python, "-c", script, BINARY, "--hook=none", "sh", "-c", "exit 3"];
    assertEquals((await startProgram(words).ended).code, 3);
  },
);

testWith(PROC, "COMMAND has the same surroundings as without the wrapper", async () => {
  const script = [
    "pwd -P",
    "umask",
    "ulimit -a",
    // Without those that the shell itself opens.
    "for fd in /proc/self/fd/*; do [ -e $fd ] && readlink $fd; done",
    "grep -E '^(SigBlk|NoNewPrivs|Groups|Uid|Gid|Cap)' /proc/self/status",
    // Signals 32 and 33 belong to the C library.
    "grep '^SigIgn' /proc/self/status | sed 's/[0-9a-f]\\{8\\}$//; s/.*/ignored/'",
    "grep -o 'SigIgn:.*' /proc/self/status | tail -c 8",
    "env | grep -v '^_=' | sort",
    "cat /proc/self/oom_score_adj; nice",
  ].join("\n");
  const cwd = await Deno.realPath(await Deno.makeTempDir());
  const inner = ["sh", "-c", `umask 027; "$@"`, "sh"];
  const world = async (words: readonly string[]) => {
    const { stdout, stderr } = await startProgram([...inner, ...words, "sh", "-c", script], { cwd })
      .ended;
    assertEquals(stderr.replaceAll(/^wrapper: .*\n/gm, ""), "");
    return stdout.replaceAll(/pipe:\[\d+\]/g, "pipe");
  };
  const bare = await world([]);
  assertStringIncludes(bare, cwd);
  assertEquals(await world([BINARY, "--hook=none"]), bare);
  await Deno.remove(cwd);
});

Deno.test("a reader that stops reading ends COMMAND, as without the wrapper", async () => {
  const pipeline = (words: string) =>
    startProgram(["bash", "-c", `${words}; echo "\${PIPESTATUS[*]}"`, BINARY]).ended;
  assertMatch((await pipeline('"$0" --hook=none yes | head -n 1')).stdout, /^y\n141 0\n$/);
  assertMatch((await pipeline('"$0" --hook=none sh -c "yes | head -n 1"')).stdout, /^y\n0\n$/);
});

Deno.test("a child that COMMAND leaves in the background does not delay the wrapper", async () => {
  const script = 'sleep 60 >/dev/null 2>&1 & echo "$!"; exit 4';
  const { code, stdout, durationMs } = await runWrapper("binary", {
    args: ["--hook=none", "sh", "-c", script],
  });
  Deno.kill(Number(stdout), "SIGKILL");
  assertEquals(code, 4);
  assert(durationMs < 60_000);
});

Deno.test("a SIGTERM at the very end does not take the place of COMMAND's exit code", async () => {
  for (let run = 0; run < 30; run++) {
    await using sidecar = startSidecar();
    await using running = startWrapper("binary", {
      args: [`--hook=${sidecar.origin}/quit`, "sh", "-c", "exit 3"],
      detached: true,
    });
    await running.waitFor("command ended");
    let hasEnded = false;
    running.ended.then(() => hasEnded = true);
    while (!hasEnded) {
      try {
        running.kill("SIGTERM");
      } catch {
        // It has ended a moment ago.
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const { code, stderr } = await running.ended;
    assertEquals(code, 3, stderr);
  }
});
