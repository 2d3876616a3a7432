/** A parent that has blocked signals. */

import { assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { both, findProgram, type Need, SIGNAL_MASK, testWith } from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";
import { BINARY, startProgram } from "../support/wrapper.ts";

const PYTHON: Need<string> = {
  what: "Python, which can block signals before it executes a program (apt-get install python3)",
  find: () => findProgram("python3"),
};

/** PID 1 of a namespace of its own. */
const OWN_PIDS: Need<readonly string[]> = {
  what: "PID namespaces (unshare of util-linux, and the right to use them)",
  find: () => {
    const [file = "", ...args] = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"];
    try {
      return new Deno.Command(file, { args: [...args, "true"] }).outputSync().success
        ? [file, ...args]
        : undefined;
    } catch {
      return undefined;
    }
  },
  onlyOnLinux: true,
};

/** The words that start a program with all signals blocked, of which some are pending already. */
function blocked(python: string, ...pending: readonly string[]): readonly string[] {
  const script = [
    "import os, signal, sys",
    "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))",
    ...pending.map((name) => `os.kill(os.getpid(), signal.${name})`),
    "os.execv(sys.argv[1], sys.argv[1:])",
  ].join("\n");
  return [python, "-c", script];
}

/** Prints its mask, and then each signal that it gets, until SIGTERM ends it. */
const RECORDER = [
  "bash",
  "-c",
  "trap 'echo got USR1' USR1; trap 'echo got TERM; kill %%; exit 7' TERM; " +
  "grep SigBlk /proc/self/status; echo ready; " +
  "while :; do sleep 60 >/dev/null 2>&1 & wait $!; kill %% 2>/dev/null; done",
];

testWith(
  both(PYTHON, SIGNAL_MASK),
  "signals that the wrapper's parent had blocked reach COMMAND, unblocked",
  async ([python]) => {
    await using program = startProgram([...blocked(python), BINARY, "--hook=none", ...RECORDER]);
    await program.waitFor("ready");
    program.kill("SIGUSR1");
    await program.waitFor("got USR1");
    program.kill("SIGTERM");
    const { code, stdout, stderr } = await program.ended;
    assertEquals(code, 7, stderr);
    // Those that nobody can catch stay as they were: SIGILL, SIGFPE, SIGSEGV, and real-time signals.
    const [, mask = ""] = /SigBlk:\t([0-9a-f]{16})/.exec(stdout) ?? [];
    const left = BigInt(`0x${mask}`) & 0x7fffffffn;
    const bits = [4n, 8n, 11n].reduce((sum, signal) => sum | (1n << (signal - 1n)), 0n);
    assertEquals(left & ~bits, 0n, mask);
  },
);

testWith(
  both(PYTHON, SIGNAL_MASK),
  "without the wrapper, the same COMMAND would never hear of them",
  async ([python]) => {
    await using program = startProgram([
      ...blocked(python),
      ...RECORDER.with(0, findProgram("bash") ?? ""),
    ]);
    await program.waitFor("ready");
    assertMatch(program.output.stdout, /SigBlk:\tf{7}/);
  },
);

testWith(
  both(PYTHON, SIGNAL_MASK),
  "a SIGTERM that was pending is held for COMMAND, or ends the wait before it",
  async ([python]) => {
    await using sidecar = startSidecar();
    const hook = `--hook=${sidecar.origin}/quit`;
    const words = [...blocked(python, "SIGTERM"), BINARY, hook, "--log-level=debug"];
    const { code, stderr } = await startProgram([...words, "sleep", "60"]).ended;
    assertEquals(code, 143, stderr);
    assertStringIncludes(stderr, "SIGTERM passed on to the command");
    assertEquals(sidecar.posts().length, 1);
  },
);

testWith(
  both(PYTHON, OWN_PIDS),
  "as PID 1: blocked signals reach COMMAND, and no zombie stays",
  async ([python, pids]) => {
    const script = "(sh -c 'exit 0' & ) ; sleep 0.3; cat /proc/[0-9]*/stat | grep -c ' Z '; " +
      "trap 'exit 5' TERM; echo ready; kill -TERM 1; while :; do sleep 0.05; done";
    await using program = startProgram([
      ...[...pids, ...blocked(python), BINARY, "--hook=none", "--log-level=debug"],
      ...["sh", "-c", script],
    ]);
    const { code, stdout, stderr } = await program.ended;
    assertEquals([code, stdout], [5, "0\nready\n"], stderr);
    assertStringIncludes(stderr, "reaped process");
  },
);
