import os from "node:os";
import { CATCHABLE, signalNumber, SIGNALS } from "./signals.ts";
import { assertEquals } from "../../tests/support/assert.ts";

Deno.test("the numbers of signals are those of this machine", () => {
  const numbers = new Map<string, number>(Object.entries(os.constants.signals));
  // Other names of SIGABRT, SIGIO and SIGSYS.
  for (const other of ["SIGIOT", "SIGPOLL", "SIGUNUSED"]) numbers.delete(other);
  const ours = new Map<string, number>(SIGNALS.map(({ name, number }) => [name, number]));
  assertEquals(ours, numbers);
  for (const { name, number } of SIGNALS) assertEquals(signalNumber(name), number);
});

Deno.test("the runtime takes listeners for exactly the signals that count as catchable", () => {
  const listener = () => {};
  const taken = SIGNALS.map(({ name }) => name).filter((name) => {
    try {
      Deno.addSignalListener(name, listener);
      Deno.removeSignalListener(name, listener);
      return true;
    } catch {
      return false;
    }
  });
  assertEquals(taken, [...CATCHABLE]);
});
