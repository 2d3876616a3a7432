import os from "node:os";
import { CATCHABLE, SIGNAL_NAMES, signalNumber } from "./signals.ts";
import { assertEquals } from "../../tests/support/assert.ts";

Deno.test("the table has the system's own number for each signal", () => {
  const numbers: Readonly<Record<string, number>> = os.constants.signals;
  assertEquals(SIGNAL_NAMES.map(signalNumber), SIGNAL_NAMES.map((name) => numbers[name] ?? 0));
});

Deno.test("every signal below the real-time ones is in the table, and five cannot be caught", () => {
  assertEquals(SIGNAL_NAMES.map(signalNumber), Array.from({ length: 31 }, (_, index) => index + 1));
  assertEquals(
    SIGNAL_NAMES.filter((name) => !CATCHABLE.some((catchable) => catchable === name)),
    ["SIGILL", "SIGFPE", "SIGKILL", "SIGSEGV", "SIGSTOP"],
  );
});
