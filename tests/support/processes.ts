/** What every system has about processes: `ps`, and the numbers of its own signals. */

import os from "node:os";

/** A column of a process, such as `ppid`; an empty string if there is no such process. */
export function psOf(pid: number, column: string): string {
  const { stdout } = new Deno.Command("ps", { args: ["-o", `${column}=`, "-p", String(pid)] })
    .outputSync();
  return new TextDecoder().decode(stdout).trim();
}

/** The state of a process, such as `S` and `T`; an empty string if it has ended. */
export function stateOf(pid: number): string {
  const [state = ""] = psOf(pid, "stat");
  return state === "Z" ? "" : state;
}

/** The parent of a process. */
export function parentOf(pid: number): number {
  return Number(psOf(pid, "ppid"));
}

/** The exit code of a program that a signal ended: USR1 is 10 on Linux, and 30 on macOS. */
export function endedBy(signal: "SIGUSR1" | "SIGUSR2"): number {
  return 128 + os.constants.signals[signal];
}
