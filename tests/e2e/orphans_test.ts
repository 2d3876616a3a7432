/** The compiled binary as PID 1, and as the process that adopts orphans. */

import { PERMISSION } from "../../scripts/compile.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { C_COMPILER, compileFixture } from "../support/fixtures.ts";
import { both, findProgram, type Need, ORPHANS, testWith } from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";
import { BINARY, startProgram } from "../support/wrapper.ts";

/** The words that run a program as PID 1. */
const PID_1: Need<readonly string[]> = {
  what: "PID namespaces (unshare of util-linux, and the right to use them)",
  find: () => {
    const flags = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    return [[], ["--map-root-user"]].map((more) => ["unshare", ...more, ...flags]).find(works);
  },
  onlyOnLinux: true,
};

function works([file = "", ...args]: readonly string[]): boolean {
  try {
    return new Deno.Command(file, { args: [...args, "true"] }).outputSync().success;
  } catch {
    return false;
  }
}

const PS: Need<string> = {
  what: "ps (apt-get install procps)",
  find: () => findProgram("ps"),
};

const NEEDS = both(PID_1, C_COMPILER);

testWith(
  NEEDS,
  "as PID 1, the wrapper reaps 1,000 orphans, and keeps COMMAND's exit code",
  async ([asPid1]) => {
    const orphans = compileFixture("orphans");
    const ended = await startProgram([...asPid1, BINARY, "--hook=none", orphans, "1000", "60"])
      .ended;
    assertEquals([ended.stdout, ended.code], ["none of 1000 left\n", 42], ended.stderr);
  },
);

testWith(
  NEEDS,
  "with --reap=false orphans stay zombies, as the test above would notice",
  async ([asPid1]) => {
    const words = [BINARY, "--hook=none", "--reap=false", compileFixture("orphans"), "10", "2"];
    const { stdout, code } = await startProgram([...asPid1, ...words]).ended;
    assertEquals([stdout, code], ["10 left, 10 of them zombies\n", 1]);
  },
);

testWith(
  NEEDS,
  "orphans that end at the same time as COMMAND do not affect its exit code",
  async ([asPid1]) => {
    // In each round, a few of these processes end at the same moment as COMMAND.
    const script = "for i in 1 2 3 4 5 6 7 8; do (sh -c : &); done; exit 3";
    for (const _ of Array(15)) {
      const words = [...asPid1, BINARY, "--hook=none", "sh", "-c", script];
      assertEquals((await startProgram(words).ended).code, 3);
    }
  },
);

testWith(PID_1, "as PID 1, signals from outside and from COMMAND arrive", async (asPid1) => {
  await using sidecar = startSidecar();
  const script = 'trap "echo usr1" USR1; trap "echo term; exit 9" TERM; kill -USR1 1; echo up; ' +
    "while :; do read line; done";
  await using running = startProgram(
    [...asPid1, BINARY, `--hook=${sidecar.origin}/quit`, "sh", "-c", script],
    { stdin: "piped" },
  );
  await running.waitFor("up\n");
  await running.waitFor("usr1\n");
  Deno.kill(childOf(running.pid), "SIGTERM");
  const { code, stdout } = await running.ended;
  assertEquals([code, stdout.includes("term\n")], [9, true]);
  assertEquals(sidecar.posts().length, 1);
});

testWith(
  both(PS, ORPHANS),
  "with --reap the wrapper adopts orphans, even if it is not PID 1",
  async () => {
    // The wrapper asks for orphans just after COMMAND's start; earlier ones have another parent.
    const orphan = "sleep 0.1; ps -o ppid= -p $$ >&2";
    const script = 'echo $PPID; for i in 1 2 3 4 5 6; do (sh -c "$0" &); sleep 0.2; done; exit 4';
    const words = [
      BINARY,
      "--hook=none",
      "--reap",
      "--log-level=debug",
      "sh",
      "-c",
      script,
      orphan,
    ];
    const { code, stdout, stderr } = await startProgram(words).ended;
    assertEquals(code, 4);
    assertMatch(stderr, new RegExp(`^ *${stdout.trim()}$`, "m"));
    assertMatch(stderr, /reaped process \d+, whose parent had ended/);
  },
);

testWith(
  ORPHANS,
  "if libraries cannot be opened, --reap is one warning, and everything else works",
  async () => {
    await using sidecar = startSidecar();
    const cli = new URL("../../cli.ts", import.meta.url).pathname;
    // Here Deno refuses. With the binary, this happens only with another C library.
    assertEquals(PERMISSION, "--allow-all");
    const ended = await startProgram([
      Deno.execPath(),
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-all",
      "--deny-ffi",
      cli,
      "--reap",
      `--hook=${sidecar.origin}/quit`,
      ...["sh", "-c", "(sh -c : &); exit 5"],
    ]).ended;
    assertEquals(ended.code, 5, ended.stderr);
    const warnings = ended.stderr.split("\n").filter((line) => line.includes("warn"));
    assertEquals(warnings.length, 1, ended.stderr);
    assertStringIncludes(warnings[0] ?? "", "ffi");
    assertEquals(sidecar.posts().length, 1);
  },
);

/** The only child of a process. */
function childOf(parent: number): number {
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = Deno.readTextFileSync(`/proc/${name}/status`);
      if (status.includes(`\nPPid:\t${parent}\n`)) return Number(name);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`no child of ${parent}`);
}
