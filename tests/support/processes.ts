/** What `ps` shows of processes, which every system has. */

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
