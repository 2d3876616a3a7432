/**
 * What `ps` reports about processes, for systems without `/proc`. It takes some milliseconds, and its
 * end is a SIGCHLD for this process.
 *
 * @module
 */

import { runApart, runProgram } from "../platform/mod.ts";
import type { ProcessState } from "./state.ts";

const COLUMNS = "pid=,ppid=,pgid=,tpgid=,tty=,stat=,lstart=,comm=";

/** The same columns: lstart is a date such as `Wed Nov 25 13:54:30 2026`. */
const LINE =
  /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(-?\d+)\s+(\S+)\s+(\w)(\S*)\s+(\w+\s+\w+\s+\d+\s+[\d:]+\s+\d+)\s+(.*)$/;

/** A process, by its id. */
interface Listed {
  readonly pid: number;
  readonly process: ProcessState;
}

const words = (options: readonly string[]) => ["env", "LC_ALL=C", "ps", "-o", COLUMNS, ...options];

/**
 * The processes that `ps` shows with these options. Not for a process on a terminal: Ctrl-Z would stop
 * `ps`, and who waits for it.
 *
 * @returns undefined if it cannot be run, or a signal has ended it
 */
export function processesByPs(...options: readonly string[]): readonly Listed[] | undefined {
  const text = runProgram(words(options));
  return text === undefined ? undefined : parse(text);
}

/** All processes, on a terminal, too; none if `ps` cannot be run. */
export async function allByPs(): Promise<ReadonlyMap<number, ProcessState>> {
  const listed = parse(await runApart(words(["-A"])) ?? "");
  return new Map(listed.map(({ pid, process }) => [pid, process]));
}

function parse(text: string): readonly Listed[] {
  return text.split("\n").flatMap((line) => {
    const fields = LINE.exec(line)?.slice(1);
    if (fields === undefined) return [];
    const [pid, parent, group, foreground, terminal = "", state = "", flags = "", start = ""] =
      fields;
    const program = fields.at(-1) ?? "";
    return [{
      pid: Number(pid),
      process: {
        // macOS shows the whole path.
        comm: program.slice(program.lastIndexOf("/") + 1),
        state,
        parent: Number(parent),
        group: Number(group),
        // Only a session's leader is marked.
        session: flags.includes("s") ? Number(pid) : undefined,
        terminal,
        hasTerminal: !/^[?-]/.test(terminal),
        foregroundGroup: Number(foreground),
        startTime: String(Date.parse(start)),
      },
    }];
  });
}
