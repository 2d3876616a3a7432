/**
 * Runs a job with a sidecar that misbehaves, against a real server, and checks the requests that it
 * gets, the log, the exit code, and that it takes no longer than the settings allow.
 */

import { formatDuration } from "../../src/time.ts";
import { assert, assertEquals, assertMatch } from "./assert.ts";
import {
  answer,
  type Behavior,
  type Connection,
  type FaultySidecar,
  type Place,
  startFaultySidecar,
} from "./faulty_sidecar.ts";
import { type Running, runWrapper, startWrapper } from "./wrapper.ts";

/** The limits of one run. */
export interface Limits {
  readonly requestTimeoutMs: number;
  readonly shutdownTimeoutMs: number;
  readonly startupWindowMs?: number;
  readonly retries?: number;
}

/** For a sidecar that never answers. */
export const SHORT: Limits = { requestTimeoutMs: 300, shutdownTimeoutMs: 1500 };
/** For one that answers, on however busy a machine. */
export const PATIENT: Limits = { requestTimeoutMs: 5000, shutdownTimeoutMs: 10_000 };
/** The log line for a sidecar that never answers, with {@linkcode SHORT}. */
export const NO_ANSWER =
  /NOT stopped, the pod may not end: no answer within 300ms \(\d+ attempts? in /;
/** How often a sidecar can be asked within {@linkcode SHORT}, at least and at most. */
export const SHORT_POSTS = [
  2,
  Math.ceil(SHORT.shutdownTimeoutMs / SHORT.requestTimeoutMs),
] as const;

/** COMMAND. */
export const EXIT_3 = ["sh", "-c", "exit 3"];
/** COMMAND that runs until {@linkcode release}. */
export const HELD = ["sh", "-c", "read line; exit 3"];

/** Lets a held COMMAND end. */
export async function release(job: Running): Promise<void> {
  await job.type("\n");
}

/** One fault, and what the wrapper makes of it. */
export interface Row {
  readonly title: string;
  /** What the sidecar does; without it nothing listens there. */
  readonly behavior?: Behavior;
  readonly place?: Place;
  /** TARGET, if it is not `http://127.0.0.1:PORT/quit`. */
  readonly target?: (port: number) => string;
  readonly limits?: Limits;
  /** Options and COMMAND; `sh -c 'exit 3'` by default. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What happens while the job runs. */
  readonly during?: (job: Running, sidecar: FaultySidecar) => void | Promise<void>;
  /** How many requests other than GET the sidecar got, or how many at least and at most. */
  readonly posts: number | readonly [least: number, most: number];
  /** The hook's last line. */
  readonly log: RegExp;
  /** Further checks. */
  readonly then?: (sidecar: FaultySidecar, job: Job) => void | Promise<void>;
}

/** A job that has ended. */
export interface Job {
  readonly code: number;
  readonly stderr: string;
  readonly durationMs: number;
}

/** How long the wrapper takes on this machine, at this moment, with nothing to stop. */
const { durationMs: idleMs } = await runWrapper("binary", { args: ["--hook=none", ...EXIT_3] });

/** Twice the longest that the settings allow; the rest is for a busy machine. */
function mostMs({ shutdownTimeoutMs, startupWindowMs = 0 }: Limits): number {
  return 2 * (startupWindowMs + shutdownTimeoutMs) + 20 * idleMs;
}

function options({ requestTimeoutMs, shutdownTimeoutMs, startupWindowMs = 0, retries }: Limits) {
  return [
    `--request-timeout=${requestTimeoutMs}ms`,
    `--shutdown-timeout=${shutdownTimeoutMs}ms`,
    `--startup-window=${startupWindowMs}ms`,
    ...(retries === undefined ? [] : [`--retries=${retries}`]),
  ];
}

/** Runs a job with sidecars; fails if the job takes longer than its limits allow. */
export async function runJob(
  hooks: readonly string[],
  limits: Limits,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  during: (job: Running) => void | Promise<void> = () => {},
): Promise<Job> {
  const allArgs = [...options(limits), ...hooks.map((hook) => `--hook=${hook}`), ...args];
  await using job = startWrapper("binary", { args: allArgs, env, stdin: "piped" });
  const limitMs = mostMs(limits);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const text = `still running after ${formatDuration(limitMs)}: ${job.output.stderr}`;
      reject(new Error(text));
    }, limitMs);
  });
  try {
    const [ended] = await Promise.race([Promise.all([job.ended, during(job)]), late]);
    return ended;
  } finally {
    clearTimeout(timer);
    await job.child.stdin.close().catch(() => {});
  }
}

/** Runs a row's job and checks everything that the row expects. */
export async function runRow(row: Row): Promise<void> {
  const { behavior, limits = PATIENT, args = EXIT_3 } = row;
  await using sidecar = await startFaultySidecar(behavior ?? {}, row.place);
  if (behavior === undefined) sidecar.stopListening();
  const { port } = sidecar;
  const target = row.target?.(port) ?? `http://127.0.0.1:${port}/quit`;
  const job = await runJob([target], limits, args, row.env, (job) => row.during?.(job, sidecar));

  const { code, stderr } = job;
  assertEquals(code, 3, stderr);
  assertMatch(stderr.trimEnd().split("\n").at(-1) ?? "", row.log, stderr);
  const posts = sidecar.posts();
  const [least, most] = typeof row.posts === "number" ? [row.posts, row.posts] : row.posts;
  assert(least <= posts.length && posts.length <= most, `${posts.length} posts; ${stderr}`);
  assertEquals(posts.filter((line) => !/^POST \/quit/.test(line)), []);
  await row.then?.(sidecar, job);
}

/** An answer of 200. */
export const OK = answer("200 OK");
/** A sidecar without a fault. */
export const ANSWERING: Behavior = {
  onProbe: (connection) => connection.send(OK),
  onStop: (connection) => connection.send(OK),
};

/** Sends a text, one byte a second. */
export async function drip(connection: Connection, text: string): Promise<void> {
  for (const letter of text) {
    await connection.send(letter);
    await Promise.race([connection.closed, new Promise((resolve) => setTimeout(resolve, 1000))]);
  }
}
