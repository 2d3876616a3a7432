/**
 * `signal:NAME[:SIGNAL]`: a sidecar that has no HTTP interface is told to quit by a signal.
 *
 * @module
 */

import type { HookContext, SidecarHook, Stop } from "../src/hook.ts";
import { nearest } from "../src/nearest.ts";
import { errorReason } from "../src/platform/errors.ts";
import { IS_LINUX, kill, processId } from "../src/platform/mod.ts";
import { findSignal, SIGNAL_NAMES, type SignalName } from "../src/platform/signals.ts";
import { findByName, type Process, runs } from "../src/process/find.ts";
import { backoffMs, formatDuration, sleep } from "../src/time.ts";

/** What {@linkcode signalHook} needs. */
export interface SignalHookOptions {
  /** The base name of the sidecar's executable, as `ps` shows it. */
  readonly process: string;
  /**
   * The signal.
   *
   * @default "SIGTERM"
   */
  readonly signal?: SignalName;
  /**
   * What the operator calls the sidecar.
   *
   * @default the name of the process
   */
  readonly name?: string;
}

/** A line lists no more processes than these, and only counts the others. */
const MOST_LISTED = 5;

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 200;

const NOT_SHARED =
  "Processes of other containers can be seen only where the pod has shareProcessNamespace: true";

/**
 * Makes a hook that sends a signal to every process of a name in the pod, and waits until they are
 * gone. The pod needs `shareProcessNamespace: true`.
 *
 * It never signals this process, COMMAND or PID 1, and does not escalate: a process that is still
 * there at the deadline is a failure.
 *
 * @throws {TypeError} if the name is invalid, or there is no such signal
 *
 * @example
 * ```ts
 * import { signalHook } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(signalHook({ process: "nginx", signal: "SIGQUIT" }).address, "signal:nginx:SIGQUIT");
 * ```
 */
export function signalHook(options: SignalHookOptions): SidecarHook {
  const { process, signal = "SIGTERM" } = options;
  if (!/^[^\s/]+$/.test(process)) {
    throw new TypeError(
      `process name ${JSON.stringify(process)}: expected one without blanks or /`,
    );
  }
  if (!SIGNAL_NAMES.includes(signal)) {
    throw new TypeError(`signal ${JSON.stringify(signal)}: expected ${listOfSignals()}`);
  }
  const find = ({ commandPid, job }: HookContext) => {
    const spared = [1, processId(), commandPid, job?.pid];
    return findByName(process).filter(({ pid }) => !spared.includes(pid));
  };
  // Nothing is armed: a process may come or go until the moment of the signal.
  return {
    name: options.name ?? process,
    address: `signal:${process}:${signal}`,
    ...needsLinux(`signal:${process}`),
    probe: async (context) => {
      const found = await Promise.resolve(find(context));
      return found.length > 0
        ? { state: "ready", answer: describe(found) }
        : { state: "absent", answer: "no such process" };
    },
    stop: (context) => stop(find(context), signal, context),
    isListening: (context) => Promise.resolve(find(context).length > 0),
  };
}

/** Why a process cannot be waited for by its name, where it cannot. */
export function needsLinux(target: string): Pick<SidecarHook, "waitProblem"> {
  const reason = "finding processes by name needs Linux";
  return IS_LINUX ? {} : { waitProblem: `${target} cannot be waited for: ${reason}` };
}

/**
 * Reads `NAME[:SIGNAL]`.
 *
 * @throws {TypeError} that says what was expected
 */
export function parseSignalHook(text: string): SidecarHook {
  const [process = "", signal = "SIGTERM", ...more] = text.split(":");
  if (process === "" || more.length > 0) throw new TypeError("expected signal:NAME[:SIGNAL]");
  const known = SIGNAL_NAMES.find((name) => name === signal || name === `SIG${signal}`);
  if (known === undefined) {
    const meant = findSignal(signal) ?? nearestSignal(signal);
    const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
    throw new TypeError(`expected a signal's name: ${listOfSignals()}${hint}`);
  }
  return signalHook({ process, signal: known });
}

/** The signal that a mistyped name is likely to mean. */
function nearestSignal(text: string): string | undefined {
  const typed = text.toUpperCase();
  const near = nearest(typed.startsWith("SIG") ? typed : `SIG${typed}`, SIGNAL_NAMES);
  return near?.isClose ? near.word : undefined;
}

async function stop(
  found: readonly Process[],
  signal: SignalName,
  context: HookContext,
): Promise<Stop> {
  if (found.length === 0) return { state: "absent", answer: "no such process", hint: NOT_SHARED };
  context.markSeen();
  const startMs = performance.now();
  const denied: Process[] = [];
  for (const process of found) {
    try {
      kill(process.pid, signal);
    } catch (error) {
      context.debug(`${describe([process])}: ${errorReason(error)}`);
      denied.push(process);
    }
  }
  const told = found.filter((process) => !denied.includes(process));
  const left = await untilGone(told, context.signal);
  const took = formatDuration(performance.now() - startMs);
  if (left.length > 0) {
    return {
      state: "failed",
      answer: `${describe(left)} still there ${took} after ${signal}`,
      hint: "If it only needs longer, raise --shutdown-timeout; else name a signal that ends it",
    };
  }
  if (denied.length > 0) {
    return {
      state: "failed",
      answer: `not permitted to signal ${describe(denied)}`,
      hint: "Run this container as the sidecar's user, or as root with the capability KILL",
    };
  }
  return { state: "stopped", answer: `${signal}; ${describe(told)} gone` };
}

/** Waits until all of them are gone, or the signal is aborted; returns those that are left. */
async function untilGone(
  processes: readonly Process[],
  signal: AbortSignal,
): Promise<readonly Process[]> {
  let left = processes;
  for (let attempt = 1;; attempt++) {
    left = left.filter(runs);
    if (left.length === 0 || signal.aborted) return left;
    await sleep(backoffMs(attempt, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), signal);
  }
}

function describe(processes: readonly Process[]): string {
  const pids = processes.map(({ pid }) => pid);
  const more = pids.length > MOST_LISTED ? ` and ${pids.length - MOST_LISTED} more` : "";
  const list = pids.slice(0, MOST_LISTED).join(", ");
  return `${pids.length === 1 ? "process" : "processes"} ${list}${more}`;
}

function listOfSignals(): string {
  const names = SIGNAL_NAMES.toSorted();
  return `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}
