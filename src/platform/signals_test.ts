import os from "node:os";
import { CATCHABLE, signalNumber, SIGNALS } from "./signals.ts";
import { assertEquals } from "../../tests/support/assert.ts";
import { LINUX_SIGNALS, testWith } from "../../tests/support/needs.ts";

testWith(LINUX_SIGNALS, "the numbers of signals are those of this machine", () => {
  const numbers = new Map<string, number>(Object.entries(os.constants.signals));
  // Other names of SIGABRT, SIGIO and SIGSYS.
  for (const other of ["SIGIOT", "SIGPOLL", "SIGUNUSED"]) numbers.delete(other);
  assertEquals(new Map<string, number>(SIGNALS.map(({ name, number }) => [name, number])), numbers);
  for (const { name, number } of SIGNALS) assertEquals(signalNumber(name), number);
});

testWith(
  LINUX_SIGNALS,
  "the runtime accepts listeners for exactly the signals that can be caught",
  async () => {
    // In its own process: after the last listener for SIGPIPE is removed, the runtime no longer ignores
    // that signal, and a broken pipe ends the process.
    const script = `
    const accepted = ${JSON.stringify(SIGNALS.map(({ name }) => name))}.filter((name) => {
      try {
        Deno.addSignalListener(name, () => {});
        return true;
      } catch {
        return false;
      }
    });
    console.log(JSON.stringify(accepted));
    Deno.exit();
  `;
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", script] }).output();
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)), [...CATCHABLE]);
  },
);
