/** The compiled binary on a real pseudo-terminal, under a real shell. */

import { assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { C_COMPILER, compileFixture } from "../support/fixtures.ts";
import { both, findProgram, type Need, ORPHANS, PROC, testWith } from "../support/needs.ts";
import { parentOf, stateOf } from "../support/processes.ts";
import { startSidecar } from "../support/sidecar.ts";
import { BINARY, type Running, startProgram, untilCaught } from "../support/wrapper.ts";

const [CTRL_C, CTRL_D, CTRL_Z, ESCAPE] = ["\x03", "\x04", "\x1a", "\x1b"];

/**
 * How long a program may run on its terminal, in seconds; many times longer than any test here takes.
 * Then it is ended with everything that it has started, and whatever waits gets an error with the
 * terminal's output.
 */
const LIMIT_S = 60;

/** Starts a program on a new terminal. */
function onTerminal(...words: string[]): Running {
  const terminal = startProgram([compileFixture("pty"), String(LIMIT_S), ...words], {
    stdin: "piped",
    detached: true,
    // Settings of this machine's shells must not matter.
    env: { PS1: "shell> ", PS2: "", ENV: "", TERM: "xterm", WRAPPER: `${BINARY} --hook=none` },
  });
  const ended = terminal.ended.then((ended) => {
    if (ended.code === 97) throw new Error(`not ended in time: ${JSON.stringify(ended.stdout)}`);
    return ended;
  });
  // A test that has already failed does not wait for its end.
  ended.catch(() => {});
  return {
    ...terminal,
    ended,
    async [Symbol.asyncDispose]() {
      try {
        // This ends the terminal with everything that runs there.
        terminal.kill("SIGTERM");
      } catch {
        // It has already ended.
      }
      await terminal.child.status;
    },
  };
}

/** The shell on whose terminal the wrapper is a job. */
const SHELL = ["bash", "--norc", "--noprofile", "--noediting", "-i"];

/** The hang-up ends the first `ps` that looks at one process, too: it is in the terminal's group. */
const HUNG_UP_PS = `#!/bin/sh
case "$*" in *-A*) ;; *) mkdir "$0.once" 2>/dev/null && kill -HUP $$ ;; esac
exec /bin/ps "$@"
`;

/** A full-screen program, and what every test on a terminal needs. */
function needsProgram(name: string, debianPackage: string): Need<string> {
  return {
    what: `${name} and a C compiler (apt-get install ${debianPackage} gcc libc6-dev)`,
    find: () => C_COMPILER.find() && findProgram(name),
  };
}

/** Waits until a process is stopped, `T`, or waits for something, `S`. */
async function untilState(pid: number, state: "S" | "T"): Promise<void> {
  for (;;) {
    // So it is once the terminal's time is up.
    const now = stateOf(pid);
    if (now === "") throw new Error(`process ${pid} has ended`);
    if (now === state) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Whether a process runs; a zombie, which process 1 may not have reaped yet, does not. */
function isThere(pid: number): boolean {
  return stateOf(pid) !== "";
}

async function makePipe(path: string): Promise<void> {
  const { success } = await new Deno.Command("mkfifo", { args: [path] }).output();
  assertEquals(success, true);
}

const recorded = (stdout: string) =>
  [...stdout.matchAll(/got (\d+)/g)].map((match) => Number(match[1]));

for (
  const [title, options] of [
    ["Ctrl-C and a new window size reach COMMAND once each", []],
    ["Ctrl-C and a new window size reach COMMAND once each, with --process-group", [
      "--process-group",
    ]],
  ] as const
) {
  testWith(C_COMPILER, title, async () => {
    const recorder = compileFixture("record_signals");
    await using terminal = onTerminal(BINARY, "--hook=none", ...options, recorder);
    await terminal.waitFor("ready");
    const command = Number(/ready (\d+)/.exec(terminal.output.stdout)?.[1]);
    const wrapper = parentOf(command);
    // What is sent only to the wrapper is passed on. After this, the wrapper is past COMMAND's start,
    // when it cannot tell whether Ctrl-C came before or after COMMAND was there.
    const sent: number[] = [];
    const startMs = performance.now();
    while (performance.now() - startMs < 50) {
      sent.push(1);
      Deno.kill(wrapper, "SIGHUP");
      await terminal.waitFor("got 1\r\n", sent.length);
    }
    const hangups = sent.length;
    for (const number of [2, 28, 2, 28, 2, 2, 28]) {
      sent.push(number);
      if (number === 2) await terminal.type(CTRL_C);
      else terminal.kill("SIGUSR1");
      const times = sent.filter((other) => other === number).length;
      await terminal.waitFor(`got ${number}\r\n`, times);
    }
    // Anything that comes twice has come before this.
    Deno.kill(wrapper, "SIGHUP");
    await terminal.waitFor("got 1\r\n", hangups + 1);
    Deno.kill(wrapper, "SIGTERM");
    const { code, stdout } = await terminal.ended;
    assertEquals(recorded(stdout), [...sent, 1, 15]);
    assertEquals(code, 5);
  });
}

testWith(C_COMPILER, "Ctrl-C ends COMMAND and not the wrapper, which runs the hooks", async () => {
  await using sidecar = startSidecar();
  await using terminal = onTerminal(BINARY, `--hook=${sidecar.origin}/quit`, "cat");
  // The terminal echoes what is typed, and then cat prints it: cat is running.
  await terminal.type("up\n");
  await terminal.waitFor("up\r\n", 2);
  await terminal.type(CTRL_C);
  const { code, stdout } = await terminal.ended;
  assertEquals(code, 130);
  assertStringIncludes(stdout, "told to quit (200 OK)");
  assertEquals(sidecar.posts().length, 1);
});

testWith(both(C_COMPILER, PROC), "Ctrl-C just before COMMAND has started is not lost", async () => {
  for (const _ of Array(10)) {
    const script = `echo pid $$ .; exec ${BINARY} --hook=none cat`;
    await using terminal = onTerminal("sh", "-c", script);
    await terminal.waitFor(" .\r\n");
    const wrapper = Number(/pid (\d+) \./.exec(terminal.output.stdout)?.[1]);
    await untilCaught(wrapper, 2);
    await terminal.type(CTRL_C);
    assertEquals((await terminal.ended).code, 130);
  }
});

for (const options of ["", "--process-group"]) {
  testWith(
    C_COMPILER,
    `Ctrl-Z stops the wrapper and COMMAND, and fg continues both ${options}`,
    async () => {
      await using terminal = onTerminal(...SHELL);
      await terminal.waitFor("shell> ");
      // COMMAND does not read the terminal. Nor does it start a process: a shell that is stopped
      // before its child has called exec hangs in vfork, with or without the wrapper.
      const folder = await Deno.makeTempDir();
      await makePipe(`${folder}/go`);
      const script = `echo up $PPID $$ .; read go <${folder}/go; exit 7`;
      await terminal.type(`$WRAPPER ${options} sh -c '${script}'\n`);
      for (const times of [1, 2]) {
        await terminal.waitFor(" .\r\n");
        const [, wrapper, command] = /up (\d+) (\d+) \./.exec(terminal.output.stdout) ?? [];
        await terminal.type(CTRL_Z);
        // The shell prints it once the wrapper has stopped, and then its prompt.
        await terminal.waitFor("Stopped", 2 * times - 1);
        await terminal.type(`jobs; echo "seen" ${times}\n`);
        await terminal.waitFor(`seen ${times}\r\n`);
        await untilState(Number(wrapper), "T");
        await untilState(Number(command), "T");
        await terminal.type("fg\n");
        await terminal.waitFor("$WRAPPER", 2);
        await untilState(Number(wrapper), "S");
        await untilState(Number(command), "S");
      }
      // Opened for reading and writing, a pipe does not wait for its other end.
      using pipe = await Deno.open(`${folder}/go`, { read: true, write: true });
      await pipe.write(new TextEncoder().encode("go\n"));
      await terminal.waitFor("exit code 7");
      await terminal.type('echo "code" $?; exit\n');
      assertStringIncludes((await terminal.ended).stdout, "code 7\r\n");
      await Deno.remove(folder, { recursive: true });
    },
  );
}

testWith(C_COMPILER, "a job in the background that reads the terminal stops until fg", async () => {
  await using terminal = onTerminal(...SHELL);
  await terminal.waitFor("shell> ");
  await terminal.type("$WRAPPER head -n 1 &\n");
  await terminal.type('while ! jobs | grep -q Stopped; do sleep 0.05; done; echo "has" stopped\n');
  await terminal.waitFor("has stopped\r\n");
  await terminal.type("fg\n");
  await terminal.type("one line\n");
  await terminal.waitFor("exit code 0");
  await terminal.type('echo "code" $?; exit\n');
  const { stdout } = await terminal.ended;
  assertStringIncludes(stdout, "code 0\r\n");
  assertMatch(stdout, /one line\r\n(.*\r\n)?one line\r\n/);
});

testWith(
  C_COMPILER,
  "a log line from the background does not cause an endless loop",
  async () => {
    await using terminal = onTerminal(...SHELL);
    await terminal.waitFor("shell> ");
    // A process that writes from the background is stopped; the wrapper writes once COMMAND has ended.
    await terminal.type("stty tostop; $WRAPPER true &\n");
    await terminal.type(
      'while ! jobs | grep -q Stopped; do sleep 0.05; done; echo "has" stopped\n',
    );
    await terminal.waitFor("has stopped\r\n");
    await terminal.type("fg\n");
    await terminal.waitFor("exit code 0");
    await terminal.type('echo "code" $?; exit\n');
    assertStringIncludes((await terminal.ended).stdout, "code 0\r\n");
  },
);

testWith(
  C_COMPILER,
  "a shell under the wrapper has the terminal and job control",
  async () => {
    await using terminal = onTerminal(BINARY, "--hook=none", ...SHELL);
    await terminal.waitFor("shell> ");
    await terminal.type("cat\nup\n");
    await terminal.waitFor("up\r\n", 2);
    await terminal.type(CTRL_Z);
    await terminal.waitFor("Stopped");
    await terminal.type("kill %1; fg; echo to the terminal >/dev/tty; exit 6\n");
    await terminal.waitFor("to the terminal\r\n");
    const { code, stdout } = await terminal.ended;
    assertEquals(code, 6);
    assertEquals(stdout.includes("no job control"), false);
  },
);

testWith(C_COMPILER, "on a terminal, COMMAND shares the wrapper's group", async () => {
  const script = "ps -o pgid= -p $$; ps -o pgid= -p $PPID; exit 2";
  await using terminal = onTerminal(BINARY, "--hook=none", "sh", "-c", script);
  const { code, stdout } = await terminal.ended;
  assertEquals(code, 2);
  assertMatch(stdout, /^ *(\d+)\r\n *\1\r\n/);
});

testWith(
  C_COMPILER,
  "a terminal that hangs up: COMMAND gets the SIGHUPs of the shell and the kernel, and none from the wrapper",
  async () => {
    const recorder = compileFixture("record_signals");
    const file = await Deno.makeTempFile();
    const record = () => Deno.readTextFileSync(file);
    const limit = AbortSignal.timeout(LIMIT_S * 1000);
    const until = async (text: string) => {
      while (!record().includes(text)) {
        if (limit.aborted) throw new Error(`no ${JSON.stringify(text)} in ${record()}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const folder = await Deno.makeTempDir();
    Deno.writeTextFileSync(`${folder}/ps`, HUNG_UP_PS, { mode: 0o755 });
    await using terminal = onTerminal(...SHELL);
    await terminal.waitFor("shell> ");
    await terminal.type(
      `PATH=${folder}:$PATH $WRAPPER --log-level=debug ${recorder} >${file} 2>&1\n`,
    );
    await until("started");
    await until("ready");
    const command = Number(/ready (\d+)/.exec(record())?.[1]);
    const wrapper = parentOf(command);
    terminal.kill("SIGUSR2");
    await until("got 1\n");
    await until("SIGHUP not passed on");
    // A hand that sends SIGHUP to the wrapper alone afterwards cannot be told apart, other signals can.
    Deno.kill(wrapper, "SIGTERM");
    await until("exit code 5");
    await terminal.ended;
    assertEquals(recorded(record()).at(-1), 15);
    assertEquals(record().includes("SIGHUP passed on"), false, record());
    await Deno.remove(file);
    await Deno.remove(folder, { recursive: true });
  },
);

testWith(
  both(C_COMPILER, ORPHANS),
  "on a terminal, --leftovers reaches what fell to the wrapper, and nothing else of the user's session",
  async () => {
    await using terminal = onTerminal(...SHELL);
    await terminal.waitFor("shell> ");
    await terminal.type("set +m; sleep 50 & set -m\n");
    const script = 'sleep 51 & echo "left $! ."; exit 3';
    await terminal.type(`$WRAPPER --leftovers=end sh -c '${script}'; echo "code" $?\n`);
    await terminal.waitFor("code 3\r\n");
    const left = Number(/left (\d+) \./.exec(terminal.output.stdout)?.[1]);
    assertEquals(isThere(left), false);
    await terminal.type('kill -0 %1 && echo "still" there; exit\n');
    await terminal.waitFor("still there\r\n");
  },
);

testWith(
  both(C_COMPILER, ORPHANS),
  "on a terminal, Ctrl-Z stops a wrapper that waits for what COMMAND left behind, and Ctrl-C reaches that",
  async () => {
    const stubborn = 'trap "" INT; echo "left $$ ."; exec sleep 50';
    await using terminal = onTerminal(...SHELL);
    await terminal.waitFor("shell> ");
    // The first is in the terminal's group, the second has left it.
    const script = '(trap "" INT; exec sleep 50) & setsid sh -c "$0" & exit 3';
    const options = "--leftovers=wait --kill-after=300ms";
    await terminal.type(`$WRAPPER ${options} sh -c '${script}' '${stubborn}'\n`);
    await terminal.waitFor("waiting for them to end");
    await terminal.waitFor(" .\r\n");
    const left = Number(/left (\d+) \./.exec(terminal.output.stdout)?.[1]);
    const wrapper = parentOf(left);
    await terminal.type(CTRL_Z);
    await terminal.waitFor("Stopped");
    await untilState(wrapper, "T");
    await terminal.type("fg\n");
    await terminal.waitFor("$WRAPPER", 3);
    await untilState(wrapper, "S");
    await terminal.type(CTRL_C);
    await terminal.waitFor("still running after 300ms: sending SIGKILL");
    await terminal.waitFor("exit code 3");
    await terminal.type('echo "code" $?; exit\n');
    await terminal.ended;
    assertEquals(isThere(left), false);
  },
);

testWith(
  both(C_COMPILER, ORPHANS),
  "on a terminal, Ctrl-C reaches what COMMAND leaves behind outside the terminal's group, and nothing twice",
  async () => {
    const count = "n=0; trap 'n=$((n + 1))' INT; echo ready .; " +
      "while [ $n = 0 ]; do sleep 0.05; done; sleep 0.3; echo heard $n $0";
    // A shell makes what it starts in the background ignore SIGINT.
    const start = "env --default-signal=INT";
    const script = `${start} sh -c "$COUNT" inside & ${start} setsid sh -c "$COUNT" outside & ` +
      'trap "sleep 0.2; exit 130" INT; while :; do sleep 0.05; done';
    await using terminal = onTerminal(
      ...["env", `COUNT=${count}`, BINARY, "--hook=none", "--leftovers=wait"],
      ...["sh", "-c", script],
    );
    await terminal.waitFor("ready .\r\n", 2);
    await terminal.type(CTRL_C);
    const { code, stdout } = await terminal.ended;
    assertEquals(code, 130, stdout);
    assertStringIncludes(stdout, "heard 1 inside");
    assertStringIncludes(stdout, "heard 1 outside");
  },
);

testWith(
  C_COMPILER,
  "on a terminal, a COMMAND that dies alone of a signal is no reason to count the user's session",
  async () => {
    const script = 'echo "pid $$ $PPID ."; sleep 30; true';
    await using terminal = onTerminal(...SHELL);
    await terminal.waitFor("shell> ");
    await terminal.type(`$WRAPPER sh -c '${script}'; echo "code" $?\n`);
    await terminal.waitFor(" .\r\n");
    Deno.kill(Number(/pid \d+ (\d+) \./.exec(terminal.output.stdout)?.[1]), "SIGTERM");
    await terminal.waitFor("code 143\r\n");
    assertEquals(terminal.output.stdout.includes("SIGTERM ended the command"), false);
  },
);

testWith(
  C_COMPILER,
  "a terminal that hangs up: SIGHUP to the wrapper as the session's leader is passed on",
  async () => {
    const file = await Deno.makeTempFile();
    const script = `trap 'echo heard >${file}; exit 3' HUP; echo up; while :; do sleep 0.1; done`;
    await using terminal = onTerminal(BINARY, "--hook=none", "sh", "-c", script);
    await terminal.waitFor("up\r\n");
    terminal.kill("SIGUSR2");
    assertEquals((await terminal.ended).code, 3);
    assertEquals(await Deno.readTextFile(file), "heard\n");
    await Deno.remove(file);
  },
);

testWith(needsProgram("vi", "vim-tiny"), "vi edits a file and is stopped in between", async () => {
  const folder = await Deno.makeTempDir();
  await using terminal = onTerminal(...SHELL);
  await terminal.waitFor("shell> ");
  await terminal.type(`$WRAPPER vi -u NONE ${folder}/file\n`);
  await terminal.waitFor('file"');
  await terminal.type(`ihello ${ESCAPE}`);
  await terminal.waitFor("hello");
  await terminal.type(CTRL_Z);
  await terminal.waitFor("Stopped");
  await terminal.type("fg\n");
  await terminal.waitFor("hello", 2);
  await terminal.type(`aworld${ESCAPE}:wq\r`);
  await terminal.waitFor("exit code 0");
  await terminal.type("exit\n");
  await terminal.ended;
  assertEquals(await Deno.readTextFile(`${folder}/file`), "hello world\n");
  await Deno.remove(folder, { recursive: true });
});

testWith(needsProgram("less", "less"), "less shows a file and is stopped in between", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, Array.from({ length: 200 }, (_, line) => `<${line}>\n`).join(""));
  await using terminal = onTerminal(...SHELL);
  await terminal.waitFor("shell> ");
  await terminal.type(`$WRAPPER sh -c 'echo pid $$ .; exec less ${file}'\n`);
  await terminal.waitFor("<22>");
  // less handles a signal that comes before it waits for a key only after a key.
  const less = Number(/pid (\d+) \./.exec(terminal.output.stdout)?.[1]);
  await terminal.waitFor(`${file}\x1b[27m`);
  await untilState(less, "S");
  await terminal.type(CTRL_Z);
  await terminal.waitFor("Stopped");
  await terminal.type("fg\n");
  await terminal.waitFor("<22>", 2);
  await terminal.type("G");
  await terminal.waitFor("<199>");
  await terminal.type("q");
  await terminal.waitFor("exit code 0");
  await terminal.type('echo "code" $?; exit\n');
  assertStringIncludes((await terminal.ended).stdout, "code 0\r\n");
  await Deno.remove(file);
});

testWith(needsProgram("top", "procps"), "top runs, and quits with q", async () => {
  await using terminal = onTerminal(BINARY, "--hook=none", "top", "-d", "1");
  await terminal.waitFor("PID");
  await terminal.type("q");
  assertEquals((await terminal.ended).code, 0);
});

testWith(C_COMPILER, "end of file on the terminal reaches COMMAND", async () => {
  await using terminal = onTerminal(BINARY, "--hook=none", "sh", "-c", "echo up; cat; exit 8");
  await terminal.waitFor("up");
  await terminal.type(`some text\n${CTRL_D}`);
  assertEquals((await terminal.ended).code, 8);
});
