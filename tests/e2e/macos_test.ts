/** The wrapper on macOS, as far as a Linux machine can show it: from source, in a simulation. */

import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { C_COMPILER, compileFixture } from "../support/fixtures.ts";
import { startSidecar } from "../support/sidecar.ts";
import { both, LINUX_SIGNALS, testWith } from "../support/needs.ts";
import { onMacOs, PRELOAD_MACOS, startProgram } from "../support/wrapper.ts";
import { DISGUISES, MACOS_SIGNALS } from "../macos/signals.ts";
import { CATCHABLE, ONLY_ON_MACOS, signalNumber } from "../../src/platform/signals.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

const run = (...args: readonly string[]) => startProgram([...onMacOs(), ...args]).ended;

testWith(LINUX_SIGNALS, "on macOS: COMMAND's exit code, and the stop request", async () => {
  await using sidecar = startSidecar([200]);
  const { code, stderr } = await run(`--hook=${sidecar.origin}/quit`, "sh", "-c", "exit 3");
  assertEquals(code, 3, stderr);
  assertStringIncludes(stderr, "told to quit (200 OK)");
  const missing = await run("--hook=none", "no-such-program");
  assertEquals(missing.code, 127, missing.stderr);
});

testWith(
  both(C_COMPILER, LINUX_SIGNALS),
  "on macOS: every signal that it has reaches COMMAND, in order",
  async () => {
    await using running = startProgram(
      [...onMacOs(), "--hook=none", compileFixture("record_signals")],
      { detached: true },
    );
    await running.waitFor("ready");
    const sent: number[] = [];
    const wanted = [...CATCHABLE, ...ONLY_ON_MACOS].filter((name) =>
      // SIGCHLD is about the wrapper's own children. SIGTERM ends the recorder, and comes last.
      MACOS_SIGNALS.has(name) && name !== "SIGCHLD" && name !== "SIGTERM"
    );
    assertEquals(wanted.length, 24);
    for (const name of [...wanted, "SIGTERM" as const]) {
      const real = CATCHABLE.find((other) => other === (DISGUISES.get(name) ?? name)) ?? "SIGTERM";
      sent.push(signalNumber(real));
      running.kill(real);
      await running.waitFor(`got ${signalNumber(real)}\n`);
    }
    const { code, stdout } = await running.ended;
    assertEquals([...stdout.matchAll(/got (\d+)/g)].map(([, number]) => Number(number)), sent);
    assertEquals(code, 5);
  },
);

testWith(LINUX_SIGNALS, "on macOS: what needs Linux says so in one sentence", async () => {
  const reap = await run("--hook=none", "--reap", "sh", "-c", "exit 4");
  assertEquals(reap.code, 4);
  assertStringIncludes(reap.stderr, "wrapper: warn: cannot reap orphans: this needs Linux\n");
  const signal = await run("--hook=signal:nginx", "sh", "-c", "exit 5");
  assertEquals(signal.code, 5);
  assertStringIncludes(signal.stderr, "finding processes by name needs Linux");
  for (const target of ["process:nginx", "signal:nginx"]) {
    const option = target.startsWith("process") ? "--wait-for" : "--hook";
    const wait = await run("--wait=1h", `${option}=${target}`, "true");
    assertEquals(wait.code, 125);
    const sentence = `${target} cannot be waited for: finding processes by name needs Linux`;
    assertStringIncludes(wait.stderr, sentence);
  }
  const install = await run("--install=/nowhere/wrapper");
  assertEquals(install.code, 125);
  assertStringIncludes(install.stderr, "cannot install to /nowhere/wrapper: this needs Linux");
  const check = await run("--check", "--hook=signal:nginx");
  assertEquals(check.code, 1, check.stderr);
  assertStringIncludes(check.stdout, "finding processes by name needs Linux");
});

testWith(LINUX_SIGNALS, "on macOS: deno task demo", async () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  const [deno, verb, ...args] = tasks.demo.command.split(" ");
  assertEquals([deno, verb], ["deno", "run"]);
  const words = [Deno.execPath(), verb, "--preload", PRELOAD_MACOS, ...args];
  const { code, stdout, stderr } = await startProgram(words, { cwd: ROOT }).ended;
  assertEquals(code, 0, stdout + stderr);
  assertStringIncludes(stdout, "exits with code 3, the job's own");
});
