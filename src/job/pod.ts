/**
 * Several work containers in one pod: only the last of them to end stops the sidecars.
 *
 * Each wrapper has a file of its own in a folder that the containers share, and holds a lock on it, which
 * the kernel releases however the process ends. What is decided is decided under one lock of the folder.
 *
 * @module
 */

import type { Report } from "../log/log.ts";
import { redactPath } from "../log/redact.ts";
import { errorCode, fileErrorReason } from "../platform/errors.ts";
import {
  createLockFile,
  listFolder,
  type LockFile,
  openLockFile,
  renameFile,
} from "../platform/mod.ts";
import { backoffMs, sleep } from "../time.ts";
import { PodError } from "./errors.ts";
import type { ResolvedOptions, RunHooksOn } from "./options.ts";
import { probePauseMs } from "./sidecar.ts";

/** What one wrapper does about the sidecars at its end. */
export type Decision =
  /** It stops them; `came` is there if fewer containers have come than were expected. */
  | { readonly kind: "stop"; readonly came?: number }
  /** Nobody stops them now: `--on` says so. */
  | { readonly kind: "skip" }
  /** It leaves them to that many others. */
  | { readonly kind: "leave"; readonly others: number }
  /** Nobody else is there, but further containers are expected. */
  | { readonly kind: "wait"; readonly came: number };

/**
 * - `running`: its COMMAND has not ended
 * - `waiting`: it waits for containers that have not come
 * - `stopping`: it stops the sidecars
 * - `told`: it has stopped them
 * - `left`: it has ended, and left them to others or alone
 */
const MEMBER_STATES = ["running", "waiting", "stopping", "told", "left"] as const;

/** What a wrapper writes down about itself. */
export interface Member {
  /** How far it is. */
  readonly state: typeof MEMBER_STATES[number];
  /** Whether its COMMAND has ended with success. */
  readonly succeeded: boolean;
  /** Whether its settings were wrong: whatever `--on` says, that must not leave the pod hanging. */
  readonly wasRefused: boolean;
  /** How many containers it knows of. */
  readonly containers: number;
  /** Its place in the order in which COMMANDs have ended; 0 before. */
  readonly order: number;
  /** How many had failed when it came: it may be the next attempt of one of them. */
  readonly failuresBefore: number;
}

/** Another wrapper, as its file shows it. */
export interface Other extends Member {
  /** Its file's name. */
  readonly name: string;
  /** Whether its process lives. */
  readonly isAlive: boolean;
}

/** This wrapper among the others of its pod. */
export interface Pod {
  /**
   * Writes down that COMMAND has ended, and decides who stops the sidecars. If containers are missing, it
   * waits for them until the startup window ends.
   *
   * @param on which ends make the sidecars stop
   */
  end(
    outcome: Pick<Member, "succeeded" | "wasRefused">,
    on: RunHooksOn,
  ): Promise<Exclude<Decision, { kind: "wait" }>>;
  /** Writes down that the sidecars were told to quit, and gives up the lock. */
  close(): void;
}

/** What {@linkcode enterPod} needs to know. */
export interface PodOptions
  extends Pick<ResolvedOptions, "containers" | "sharedDir" | "containersWindowMs"> {
  /** Aborted when the job has been asked to end: no other container is expected then. */
  readonly askedToEnd: AbortSignal;
  /** Logs. */
  readonly report: Report;
}

/** Each file has this length from the start: the record at the end needs no new space on the disk. */
const RECORD_BYTES = 200;

/** The files of wrappers; nothing else in the folder is touched. */
const FILE_NAME = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json$/;

/** The lock of the folder is held for less than a millisecond, unless its holder is stopped. */
const LONGEST_LOCK_MS = 5000;

/**
 * Enters the shared folder, before COMMAND starts.
 *
 * @throws {PodError} if the folder cannot be used
 */
export async function enterPod(options: PodOptions): Promise<Pod> {
  const { sharedDir, askedToEnd, report } = options;
  const name = `${crypto.randomUUID()}.json`;
  const { folder, file } = openFiles(sharedDir, name);

  async function withLock<Value>(action: () => Value): Promise<Value> {
    const endMs = performance.now() + LONGEST_LOCK_MS;
    for (let attempt = 1; !folder.tryLock(); attempt++) {
      if (performance.now() >= endMs) throw new Error("another process keeps it locked");
      await sleep(backoffMs(attempt, 1, 50), new AbortController().signal);
    }
    try {
      return action();
    } finally {
      folder.unlock();
    }
  }

  const look = () =>
    listFolder(sharedDir).filter((other) => FILE_NAME.test(other) && other !== name)
      .flatMap((other) => readOther(sharedDir, other) ?? []);

  let own: Member = {
    state: "running",
    succeeded: false,
    wasRefused: false,
    containers: options.containers,
    order: 0,
    failuresBefore: 0,
  };
  function write(changes: Partial<Member>): void {
    own = { ...own, ...changes };
    file.write(JSON.stringify(own).padEnd(RECORD_BYTES - 1) + "\n");
  }

  let before: readonly Other[];
  try {
    before = await withLock(() => {
      const others = look();
      const alive = others.filter(isRunning).length + 1;
      write({
        containers: Math.max(own.containers, alive),
        failuresBefore: others.filter(hasFailed).length,
      });
      renameFile(`${sharedDir}/${name}.new`, `${sharedDir}/${name}`);
      return others;
    });
  } catch (error) {
    file.close();
    folder.close();
    throw unusable(sharedDir, fileErrorReason(error));
  }
  /** Warns if there are more than were expected; the larger number counts. */
  function compare(count: number): void {
    if (count <= options.containers) return;
    const containers = String(options.containers);
    report("containers-too-many", { count: String(count), containers });
  }
  compare(own.containers);
  const known = before.filter(({ state }) => state === "told" || state === "stopping")
    .map(({ name }) => name);
  if (known.length > 0) report("containers-late", {});

  const numbersOf = (count: number) => (
    { count: String(count), containers: String(own.containers) }
  );

  async function end(
    outcome: Pick<Member, "succeeded" | "wasRefused">,
    on: RunHooksOn,
  ): Promise<Exclude<Decision, { kind: "wait" }>> {
    for (let attempt = 1;; attempt++) {
      const leftMs = askedToEnd.aborted
        ? 0
        : Math.max(0, options.containersWindowMs - performance.now());
      const { decision, succeeded, counted } = await withLock(() => {
        const others = look();
        const order = own.order || Math.max(0, ...others.map(({ order }) => order)) + 1;
        const self = { ...own, ...outcome, order };
        const decision = decide(self, others, { on, known, isLastChance: leftMs === 0 });
        write({ ...outcome, order, state: STATES[decision.kind] });
        const all = [self, ...others];
        return {
          decision,
          succeeded: all.filter((one) => one.succeeded).length,
          counted: Math.max(...all.map(({ containers }) => containers)),
        };
      });
      // Whoever counted more at its start has warned.
      if (attempt === 1 && counted === options.containers) compare(succeeded);
      if (decision.kind === "stop" && decision.came !== undefined && !askedToEnd.aborted) {
        report("containers-missing", numbersOf(decision.came));
      }
      if (decision.kind !== "wait") return decision;
      if (attempt === 1) {
        report("containers-expected", { ...numbersOf(decision.came), remainingMs: leftMs });
      }
      await sleep(Math.min(probePauseMs(attempt), leftMs), askedToEnd);
    }
  }

  return {
    async end(outcome, on) {
      try {
        return await end(outcome, on);
      } catch (error) {
        // The sidecars stopped too early are a smaller harm than a pod that never ends.
        const reason = fileErrorReason(error);
        report("shared-dir-failed", { path: redactPath(sharedDir), reason });
        return { kind: "stop" };
      }
    },
    close() {
      try {
        if (own.state === "stopping") write({ state: "told" });
      } catch {
        // Nobody needs to know any more.
      }
      file.close();
      folder.close();
    },
  };
}

const STATES: Readonly<Record<Decision["kind"], Member["state"]>> = {
  stop: "stopping",
  skip: "left",
  leave: "left",
  wait: "waiting",
};

function isRunning({ state, isAlive }: Other): boolean {
  return state === "running" && isAlive;
}

/** Whether its COMMAND has ended without success; a wrapper that was killed counts as that. */
function hasFailed(other: Other): boolean {
  return !isRunning(other) && !other.succeeded;
}

/**
 * Decides who stops the sidecars, from what all have written down.
 *
 * @param own this wrapper, whose COMMAND has ended
 * @param known the files of those that had told the sidecars before this one came
 *
 * @example
 * ```ts
 * import { decide } from "./pod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const own = { state: "running", succeeded: true, containers: 2, order: 1, failuresBefore: 0, wasRefused: false } as const;
 * const other = { ...own, order: 0, name: "other", succeeded: false, isAlive: true };
 * const how = { on: "always", known: [], isLastChance: false } as const;
 * assertEquals(decide(own, [other], how), { kind: "leave", others: 1 });
 * assertEquals(decide(own, [{ ...other, isAlive: false }], how), { kind: "stop" });
 * ```
 */
export function decide(
  own: Member,
  others: readonly Other[],
  { on, known, isLastChance }: {
    readonly on: RunHooksOn;
    readonly known: readonly string[];
    readonly isLastChance: boolean;
  },
): Decision {
  const running = others.filter(isRunning).length;
  if (running > 0) return { kind: "leave", others: running };
  const taken = others.filter(({ name, state, isAlive, order }) =>
    !known.includes(name) &&
    (state === "told" || (isAlive && (state === "stopping" ||
      // Of those that wait for further containers, the last to end stays.
      (state === "waiting" && order > own.order))))
  );
  if (taken.length > 0) return { kind: "leave", others: taken.length };

  const all = [own, ...others];
  const containers = Math.max(...all.map((one) => one.containers));
  const succeeded = all.filter((one) => one.succeeded).length;
  if (on === "success" && !all.some((one) => one.wasRefused)) {
    if (!own.succeeded) return { kind: "skip" };
    if (succeeded >= containers) return { kind: "stop" };
    // A container that was started again has come once, however many attempts it took.
    const came = all.length - Math.max(...all.map(({ failuresBefore }) => failuresBefore));
    return came < containers ? missing(came) : { kind: "skip" };
  }
  if (all.length < containers && !isLastChance) return missing(all.length);
  if (on === "failure" && succeeded === all.length) return { kind: "skip" };
  return all.length < containers ? missing(all.length) : { kind: "stop" };

  function missing(came: number): Decision {
    return { kind: isLastChance ? "stop" : "wait", came };
  }
}

function openFiles(sharedDir: string, name: string): { folder: LockFile; file: LockFile } {
  let folder: LockFile | undefined;
  try {
    folder = openLockFile(sharedDir, "folder");
    if (folder === undefined) throw new Error("is not there");
    const file = createLockFile(`${sharedDir}/${name}.new`);
    if (!file.tryLock()) throw new Error("its files cannot be locked");
    return { folder, file };
  } catch (error) {
    folder?.close();
    throw unusable(sharedDir, fileErrorReason(error));
  }
}

function unusable(sharedDir: string, reason: string): PodError {
  const path = redactPath(sharedDir);
  return new PodError(
    `--shared-dir ${
      JSON.stringify(path)
    }: ${reason}: expected a folder that the pod's containers share: ` +
      `in the pod, volumes: [{name: wrapper, emptyDir: {}}], and in each of these containers, ` +
      `volumeMounts: [{name: wrapper, mountPath: ${path}}]`,
  );
}

/** Another wrapper's file; undefined for what is none, or is a link. */
function readOther(sharedDir: string, name: string): Other | undefined {
  let file: LockFile | undefined;
  try {
    file = openLockFile(`${sharedDir}/${name}`, "file");
  } catch (error) {
    // A wrapper's file can be read by everyone: this is another program's.
    if (errorCode(error) !== "EACCES") throw error;
  }
  if (file === undefined) return undefined;
  try {
    const member = parseMember(file.read(RECORD_BYTES));
    return member && { ...member, name, isAlive: !file.tryLock() };
  } finally {
    file.close();
  }
}

function parseMember(text: string): Member | undefined {
  let value: Partial<Member>;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { state, succeeded, wasRefused, containers = 1, order = 0, failuresBefore = 0 } = value;
  const numbers = [containers, order, failuresBefore];
  return state !== undefined && MEMBER_STATES.includes(state) && numbers.every(Number.isSafeInteger)
    ? {
      state,
      succeeded: succeeded === true,
      wasRefused: wasRefused === true,
      containers,
      order,
      failuresBefore,
    }
    : undefined;
}
