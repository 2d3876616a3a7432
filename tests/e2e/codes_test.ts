/** `--success-codes`, `--rewrite`, and the two exit codes in the summary, beside tini and dumb-init. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { run } from "../../mod.ts";
import { C_COMPILER, compileFixture } from "../support/fixtures.ts";
import { DUMB_INIT, testWith, TINI } from "../support/needs.ts";
import { freePort, startSidecar } from "../support/sidecar.ts";
import { BINARY, type Ended, runWrapper, startProgram, startWrapper } from "../support/wrapper.ts";

interface Summary {
  readonly exitCode: number;
  readonly commandExitCode?: number;
}

/** Runs a wrapper to its end, and returns its exit code along with the two of its summary. */
async function codesOf(args: readonly string[]): Promise<readonly (number | undefined)[]> {
  const log = await Deno.makeTempFile();
  const { code } = await runWrapper("binary", { args: [`--termination-log=${log}`, ...args] });
  const { exitCode, commandExitCode }: Summary = JSON.parse(await Deno.readTextFile(log));
  await Deno.remove(log);
  return [code, exitCode, commandExitCode];
}

const NONE = undefined;
const CODES: readonly (readonly [
  args: readonly string[],
  code: number,
  commandExitCode: number | undefined,
])[] = [
  [["sh", "-c", "exit 3"], 3, NONE],
  [["--success-codes=3", "sh", "-c", "exit 3"], 0, 3],
  [["--success-codes=143,3", "sh", "-c", "kill -TERM $$"], 0, 143],
  [["--success-codes=143,3", "sh", "-c", "exit 4"], 4, NONE],
  [["--success-codes=3", "true"], 0, NONE],
  [["--success-codes=3", "--success-codes=4", "sh", "-c", "exit 3"], 3, NONE],
  // COMMAND's own code, and the wrapper's for the same number.
  [["--success-codes=127", "sh", "-c", "exit 127"], 0, 127],
  [["--success-codes=126,127", "/no/such/program"], 127, NONE],
  [["--success-codes=126,127", "/tmp"], 126, NONE],
  [["--success-codes=124,143", "--timeout=100ms", "sleep", "60"], 124, 143],
  [["--timeout=100ms", "sh", "-c", "trap 'exit 7' TERM; sleep 60 >/dev/null 2>&1 & wait"], 124, 7],
];

for (const [args, code, commandExitCode] of CODES) {
  Deno.test(`${args.join(" ")}: exit code ${code}, COMMAND's ${commandExitCode ?? code}`, async () => {
    assertEquals(await codesOf(["--hook=none", ...args]), [code, code, commandExitCode]);
  });
}

Deno.test("--success-codes: success for --on, and --strict keeps COMMAND's code in the summary", async () => {
  await using sidecar = startSidecar();
  const hook = `--hook=${sidecar.origin}/quit`;
  const job = ["--success-codes=3", "sh", "-c", "exit 3"];
  assertEquals(await codesOf(["--on=success", hook, ...job]), [0, 0, 3]);
  assertEquals(sidecar.posts().length, 1);
  assertEquals(await codesOf(["--on=failure", hook, ...job]), [0, 0, 3]);
  assertEquals(sidecar.posts().length, 1);
  await using broken = startSidecar([404]);
  const fails = `--hook=${broken.origin}/quit`;
  assertEquals(await codesOf(["--strict", fails, ...job]), [125, 125, 3]);
  await using another = startSidecar([404]);
  assertEquals(await codesOf(["--strict", `--hook=${another.origin}/quit`, "true"]), [125, 125, 0]);
});

Deno.test("--success-codes: success for --containers with --on success, and in a tombstone", async () => {
  await using sidecar = startSidecar();
  const folder = await Deno.makeTempDir();
  const run = (script: string): Promise<Ended> =>
    runWrapper("binary", {
      args: [
        ...["--containers=2", `--shared-dir=${folder}`, "--on=success", "--success-codes=3"],
        ...[`--hook=${sidecar.origin}/quit`, `--hook=file:${folder}/done`, "sh", "-c", script],
      ],
    });
  const both = await Promise.all([run("exit 3"), run("exit 0")]);
  assertEquals(both.map(({ code }) => code), [0, 0], both.map(({ stderr }) => stderr).join());
  assertEquals(sidecar.posts().length, 1);
  const tombstone: Summary = JSON.parse(await Deno.readTextFile(`${folder}/done`));
  assertEquals(tombstone.exitCode, 0);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("--success-codes never change a 143 of before COMMAND ran", async () => {
  await using wrapper = startWrapper("binary", {
    args: [
      ...["--hook", `http://127.0.0.1:${freePort()}/quit`, "--wait=1m", "--success-codes=143"],
      ...["--log-level=debug", "true"],
    ],
  });
  await wrapper.waitFor("waiting up to");
  wrapper.kill("SIGTERM");
  const { code, stderr } = await wrapper.ended;
  assertEquals(code, 143, stderr);
});

testWith(TINI, "--success-codes is what tini's -e is", async (tini) => {
  const script = ["sh", "-c", "kill -TERM $$"];
  assertEquals((await startProgram([tini, "-s", "-e", "143", "--", ...script]).ended).code, 0);
  assertEquals((await startProgram([tini, "-s", "--", ...script]).ended).code, 143);
});

/** Prints the signals that it gets, and ends at the last one. */
const RECORDER = [
  "bash",
  "-c",
  'for s in HUP INT QUIT TERM USR1 WINCH; do trap "echo got $s" $s; done; trap "echo got USR2; kill %%; exit 5" USR2; ' +
  "echo ready; while :; do sleep 60 >/dev/null 2>&1 & wait $!; kill %% 2>/dev/null; done",
];

const REWRITES: readonly (readonly [
  rewrite: readonly string[],
  sent: readonly Deno.Signal[],
  got: readonly string[],
])[] = [
  [[], ["SIGTERM", "SIGUSR2"], ["TERM", "USR2"]],
  [["TERM=QUIT"], ["SIGTERM", "SIGUSR2"], ["QUIT", "USR2"]],
  [["SIGTERM=SIGINT"], ["SIGTERM", "SIGUSR2"], ["INT", "USR2"]],
  [["15:3"], ["SIGTERM", "SIGUSR2"], ["QUIT", "USR2"]],
  [["term=hup,HUP=TERM"], ["SIGTERM", "SIGHUP", "SIGUSR2"], ["HUP", "TERM", "USR2"]],
  [["TERM=HUP", "HUP=TERM"], ["SIGTERM", "SIGHUP", "SIGUSR2"], ["HUP", "TERM", "USR2"]],
  [["TERM="], ["SIGTERM", "SIGUSR2"], ["USR2"]],
  [["15:0"], ["SIGTERM", "SIGUSR2"], ["USR2"]],
];

/** Starts the recorder under a program, sends it signals, and returns what it got, and the exit code. */
async function received(
  words: readonly string[],
  sent: readonly Deno.Signal[],
  got: readonly string[],
): Promise<readonly [readonly string[], number]> {
  await using program = startProgram([...words, ...RECORDER]);
  await program.waitFor("ready");
  const dropped = sent.length - got.length;
  for (const [index, signal] of sent.entries()) {
    program.kill(signal);
    // The kernel delivers pending signals in the order of their numbers: each is waited for.
    await program.waitFor(index < dropped ? "not passed on" : `got ${got[index - dropped]}`);
  }
  const { code, stdout } = await program.ended;
  return [[...stdout.matchAll(/got (\w+)/g)].map(([, name = ""]) => name), code];
}

for (const [rewrite, sent, got] of REWRITES) {
  for (const group of ["--process-group=false", "--process-group"]) {
    Deno.test(`--rewrite ${rewrite.join(" ")}: ${sent.join(", ")} become ${got.join(", ")} (${group})`, async () => {
      const words = [BINARY, "--hook=none", "--log-level=debug", group];
      const options = rewrite.flatMap((text) => ["--rewrite", text]);
      assertEquals(await received([...words, ...options], sent, got), [got, 5]);
    });
  }
}

testWith(DUMB_INIT, "--rewrite is what dumb-init's is", async (dumbInit) => {
  const sent: readonly Deno.Signal[] = ["SIGTERM", "SIGUSR2"];
  const asDumbInit = await received([dumbInit, "--rewrite", "15:3"], sent, ["QUIT", "USR2"]);
  assertEquals(asDumbInit, [["QUIT", "USR2"], 5]);
  assertEquals(
    await received([BINARY, "--hook=none", "--rewrite=15:3"], sent, ["QUIT", "USR2"]),
    asDumbInit,
  );
});

Deno.test("--rewrite: --timeout's SIGTERM and a leftover's are rewritten, but never dropped", async () => {
  const trap = "trap 'echo quit; exit 6' QUIT; trap 'echo term; exit 7' TERM; ";
  const run = (rewrite: string, ...words: readonly string[]) =>
    runWrapper("binary", { args: ["--hook=none", `--rewrite=${rewrite}`, ...words] });
  const job = ["--timeout=300ms", "sh", "-c", `${trap}sleep 60 >/dev/null 2>&1 & wait`];
  assertEquals((await run("TERM=QUIT", ...job)).stdout, "quit\n");
  assertEquals((await run("TERM=", ...job)).stdout, "term\n");
  // A shell's background job ignores SIGQUIT, and a trap cannot change that.
  const leftover =
    `(exec bash -c "trap 'echo quit; exit' USR1; trap 'echo term; exit' TERM; echo up >&3; ` +
    'sleep 60 >/dev/null 2>&1 & wait") 3>"$0" & read -r _ <"$0"';
  const fifo = `${await Deno.makeTempDir()}/fifo`;
  assert((await new Deno.Command("mkfifo", { args: [fifo] }).output()).success);
  for (const [rewrite, got] of [["TERM=USR1", "quit\n"], ["TERM=", "term\n"]] as const) {
    const { stdout, stderr } = await run(rewrite, "--process-group", "bash", "-c", leftover, fifo);
    assertEquals(stdout, got, stderr);
  }
  await Deno.remove(fifo);
});

Deno.test("--rewrite: what asks to end is decided by the signal that came", async () => {
  const script = "trap 'echo got quit' QUIT; trap 'echo got term' TERM; echo ready; i=0; " +
    "while :; do i=$((i + 1)); echo tick $i; sleep 0.05; done";
  const start = (...options: readonly string[]) =>
    startWrapper("binary", {
      args: ["--hook=none", "--kill-after=300ms", ...options, "sh", "-c", script],
    });
  // A SIGTERM starts the clock whatever it becomes.
  await using rewritten = start("--rewrite=TERM=QUIT");
  await rewritten.waitFor("ready");
  rewritten.kill("SIGTERM");
  const killed = await rewritten.ended;
  assertEquals(killed.code, 137, killed.stderr);
  assertStringIncludes(killed.stderr, "after SIGTERM (--kill-after)");
  // A dropped one does not, and neither does a SIGHUP that becomes SIGTERM.
  await using dropped = start("--rewrite=TERM=,HUP=TERM", "--log-level=debug");
  await dropped.waitFor("ready");
  dropped.kill("SIGTERM");
  await dropped.waitFor("SIGTERM not passed on to the command (--rewrite)");
  dropped.kill("SIGHUP");
  await dropped.waitFor("got term");
  // Twice as many as fit into --kill-after.
  const ticks = dropped.output.stdout.split("tick").length;
  await dropped.waitFor(`tick ${ticks + 12}`);
  dropped.kill("SIGINT");
  assertEquals((await dropped.ended).code, 130);
});

Deno.test("wrong codes and signals are settings errors that say what was expected", async () => {
  const rows: readonly (readonly [option: string, line: string])[] = [
    ["--success-codes=0", '--success-codes "0": expected exit codes from 1 to 255'],
    ["--success-codes=256", "expected exit codes from 1 to 255"],
    ["--success-codes=3;4", "expected exit codes from 1 to 255"],
    ["--rewrite=KILL=TERM", '--rewrite "KILL=TERM": expected'],
    ["--rewrite=CHLD=TERM", "expected"],
    ["--rewrite=TERM", "expected"],
    ["--rewrite=TERM=NOPE", "TERM=QUIT, 15:3, or HUP= for none"],
    ["--rewrite=15:99", "expected"],
    ["--rewrite=TERM=INT,40:3", "expected"],
  ];
  for (const [option, line] of rows) {
    const { code, stderr, stdout } = await runWrapper("binary", {
      args: ["--hook=none", option, "echo", "started"],
    });
    assertEquals([code, stdout], [125, ""], option);
    assertStringIncludes(stderr, line);
  }
});

testWith(
  C_COMPILER,
  "--rewrite: what a terminal gives to the whole group stays as it is",
  async () => {
    const script =
      "trap 'exit 3' INT; trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done";
    for (const [group, code] of [["--process-group=false", 3], ["--process-group", 4]] as const) {
      const words = [BINARY, "--hook=none", "--rewrite=INT=TERM", group, "sh", "-c", script];
      await using terminal = startProgram([compileFixture("pty"), "60", ...words], {
        stdin: "piped",
        detached: true,
      });
      await terminal.waitFor("ready");
      await terminal.type("\x03");
      // A group of its own is not the terminal's: it has the signal from the wrapper.
      assertEquals((await terminal.ended).code, code, terminal.output.stdout);
    }
  },
);

Deno.test("rewrite: an abort's SIGTERM is rewritten, but never dropped", async () => {
  for (const [to, code] of [["SIGQUIT", 131], [null, 143]] as const) {
    const abort = new AbortController();
    const { exitCode } = await run(["sleep", "60"], {
      rewrite: { SIGTERM: to },
      signal: abort.signal,
      log: ({ event }) => event === "command-started" && abort.abort(),
    });
    assertEquals(exitCode, code);
  }
});
