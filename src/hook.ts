/**
 * The contract between a hook and a job: a hook knows how to find one sidecar and how to stop it; the
 * job decides when, how often, and what the result means.
 *
 * @module
 */

/** What one probe of a sidecar found. */
export interface Probe {
  /**
   * - `ready`: it answers, and says that it is ready
   * - `present`: it answers, but is not ready
   * - `absent`: nothing is there
   */
  readonly state: "ready" | "present" | "absent";
  /** What was seen, in a few words for a person: `200 OK`, `connection refused`. */
  readonly answer: string;
}

/** The result of telling a sidecar to quit. */
export interface Stop {
  /**
   * - `stopped`: it accepted the request
   * - `absent`: nothing is there; the caller decides what that means
   * - `unneeded`: it is there and does not have to be told, because something else stops it
   * - `failed`: it is there and did not accept the request
   */
  readonly state: "stopped" | "absent" | "unneeded" | "failed";
  /** What was seen, in a few words for a person: `200 OK`, `no answer within 5s`. */
  readonly answer: string;
  /** What the operator can do about it, as a sentence without its period. */
  readonly hint?: string;
}

/** What is known of the job when hooks run. */
export interface JobSummary {
  /** The first word of COMMAND only, because arguments may hold secrets. */
  readonly command: string;
  /** The exit code that the job has so far; with `strict`, a hook that fails can still change it. */
  readonly exitCode: number;
  /** The signal that ended COMMAND, if one did. */
  readonly signal?: string;
  /** How long COMMAND ran, in milliseconds; 0 if it never started. */
  readonly durationMs: number;
  /** COMMAND's process ID, if it was started. */
  readonly pid?: number;
}

/**
 * What a hook is given each time it is called.
 *
 * @example
 * ```ts
 * import type { HookContext, Stop } from "@k8s-job/wrapper";
 *
 * async function stop({ job, signal, debug }: HookContext): Promise<Stop> {
 *   debug(`the job ended with ${job?.exitCode}`);
 *   signal.throwIfAborted();
 *   await Promise.resolve();
 *   return { state: "stopped", answer: "done" };
 * }
 * console.log(stop.name);
 * ```
 */
export interface HookContext {
  /** Aborted when the hook has to give up: its deadline has passed, or the user will not wait. */
  readonly signal: AbortSignal;
  /** The longest that one attempt at one request may take, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** The longest that this whole call may take, in milliseconds; `signal` is aborted then. */
  readonly deadlineMs: number;
  /** How often a failed attempt may be repeated. */
  readonly retries: number;
  /** Whether the sidecar has ever given a sign of life. */
  readonly wasSeen: () => boolean;
  /** To be called at the sidecar's first sign of life. */
  readonly markSeen: () => void;
  /** Writes a line to the log at level `debug`, after the hook's name. */
  readonly debug: (text: string) => void;
  /** COMMAND's process ID, while it runs. */
  readonly commandPid?: number;
  /** The job, once COMMAND has ended; undefined before that. */
  readonly job?: JobSummary;
}

/**
 * One sidecar: how to see whether it is there, and how to make it quit.
 *
 * A hook only reports what it saw. The startup window, log lines and exit codes are the job's. A
 * refused connection that a hook throws counts as `absent`, and any other error as a failure with
 * that error's message.
 *
 * @example
 * ```ts
 * import type { SidecarHook } from "@k8s-job/wrapper";
 *
 * const lockFile: SidecarHook = {
 *   name: "lock-file",
 *   address: "/shared/lock",
 *   probe: () => Promise.resolve({ state: "ready", answer: "always" }),
 *   stop: async () => {
 *     await Deno.remove("/shared/lock");
 *     return { state: "stopped", answer: "removed" };
 *   },
 * };
 * console.log(lockFile.name);
 * ```
 */
export interface SidecarHook {
  /** What the operator calls it; it is part of each log line. */
  readonly name: string;
  /** Where the sidecar is told to quit, for people to read. Without credentials or query. */
  readonly address: string;
  /** Where {@linkcode SidecarHook.probe} looks, if that is another place than `address`. */
  readonly readyAddress?: string;
  /** Looks once, without side effects, whether the sidecar is there and ready. */
  probe(context: HookContext): Promise<Probe>;
  /**
   * Looks once, without side effects, whether the sidecar is there, at the very address that will be
   * told to quit, so that the connection is open when it is needed. Without it,
   * {@linkcode SidecarHook.probe} is used.
   */
  warmUp?(context: HookContext): Promise<Probe>;
  /** Tells the sidecar to quit; repeats failed attempts itself, as `context` allows. */
  stop(context: HookContext): Promise<Stop>;
}

/**
 * Any number of sidecars under one name: whichever of them are there are stopped. Each is tracked by
 * itself, and the log says nothing about those that never come.
 */
export interface HookGroup {
  /** What the operator calls the group; it is part of its log lines. */
  readonly name: string;
  /** Where the sidecars are told to quit, for people to read. */
  readonly address: string;
  /** A hook for each sidecar that may be there. */
  readonly candidates: readonly SidecarHook[];
}

/** What a job stops: one sidecar, or whichever sidecars of a group are there. */
export type Hook = SidecarHook | HookGroup;

/**
 * What a harmless GET brought.
 *
 * @example
 * ```ts
 * import type { Page } from "@k8s-job/wrapper";
 *
 * const isEnvoy = ({ headers }: Page) => headers.get("server") === "envoy";
 * console.log(isEnvoy({ status: 200, headers: new Headers({ server: "envoy" }), text: "LIVE" }));
 * ```
 */
export interface Page {
  /** The status. */
  readonly status: number;
  /** The headers. */
  readonly headers: Headers;
  /** The body, or as much of a long one as anybody needs. */
  readonly text: string;
}

/**
 * Gets a page, once.
 *
 * @returns undefined if nobody listens there
 * @throws if somebody listens and does not answer as a web server in time
 *
 * @example
 * ```ts
 * import type { Get } from "@k8s-job/wrapper";
 *
 * async function version(get: Get): Promise<string | undefined> {
 *   return (await get("http://localhost:7777/version"))?.text;
 * }
 * console.log(version.name);
 * ```
 */
export type Get = (
  url: string,
  headers?: Readonly<Record<string, string>>,
) => Promise<Page | undefined>;

/**
 * Says from harmless pages whether a sidecar is there: it, and not something else on its port. Only
 * then is it told to quit by a hook that looks for whatever is there. Throwing means no.
 *
 * @example
 * ```ts
 * import type { Recognize } from "@k8s-job/wrapper";
 *
 * const recognize: Recognize = async (get) => {
 *   const page = await get("http://localhost:7777/version");
 *   return page?.text.startsWith("agent ") ?? false;
 * };
 * console.log(recognize.name);
 * ```
 */
export type Recognize = (get: Get) => Promise<boolean>;

/**
 * What a preset's function takes.
 *
 * @example
 * ```ts
 * import { istio, type PresetOptions } from "@k8s-job/wrapper";
 *
 * const elsewhere: PresetOptions = { baseUrl: "http://127.0.0.1:16020" };
 * console.log(istio(elsewhere).address);
 * ```
 */
export interface PresetOptions {
  /** The origin that the preset's paths are on: `http://127.0.0.1:16020`. */
  readonly baseUrl?: string | undefined;
}

/**
 * A hook that can be asked for by name: `--hook NAME` or `--hook NAME=BASE_URL`.
 *
 * @example
 * ```ts
 * import { envoy, istio, type NamedHook } from "@k8s-job/wrapper";
 *
 * const meshes: readonly NamedHook[] = [istio, envoy];
 * console.log(meshes.map(({ hookName }) => hookName).join(", "));
 * ```
 */
export interface NamedHook<Options extends PresetOptions = PresetOptions> {
  /** Makes the hook. */
  (options?: Options): SidecarHook;
  /** The NAME. */
  readonly hookName: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** How its sidecar is told from others at its usual address, for `--hook auto`. */
  readonly recognize?: Recognize;
}

/**
 * Gives a function that makes hooks a name, so that a command line can ask for it.
 *
 * @param hookName the NAME in `--hook NAME`: small letters, digits and hyphens
 * @param summary one line for `--help`
 * @param create makes the hook
 * @param recognize how its sidecar is told from others at its usual address, for `--hook auto`
 * @throws {TypeError} if the name has another form
 *
 * @example
 * ```ts
 * import { nameHook } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const mine = nameHook("mine", "my own sidecar", () => ({
 *   name: "mine",
 *   address: "nowhere",
 *   probe: () => Promise.resolve({ state: "absent", answer: "never there" }),
 *   stop: () => Promise.resolve({ state: "absent", answer: "never there" }),
 * }));
 * assertEquals(mine().name, "mine");
 * ```
 */
export function nameHook<Options extends PresetOptions = PresetOptions>(
  hookName: string,
  summary: string,
  create: (options: Options | undefined) => SidecarHook,
  recognize?: Recognize,
): NamedHook<Options> {
  if (!/^[a-z][a-z0-9-]*$/.test(hookName)) {
    throw new TypeError(
      `hook name ${JSON.stringify(hookName)}: expected small letters, digits and hyphens`,
    );
  }
  return Object.assign((options?: Options) => create(options), {
    hookName,
    summary,
    ...(recognize && { recognize }),
  });
}
