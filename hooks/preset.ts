/**
 * Hooks that can be asked for by name, and the form that most of them have: well-known addresses of
 * an HTTP sidecar.
 *
 * @module
 */

import type { SidecarHook } from "../src/hook.ts";
import type { StopFailure } from "../src/http/exchange.ts";
import type { Get } from "../src/http/page.ts";
import { redactValue } from "../src/log/redact.ts";
import { httpHook } from "./http.ts";

/**
 * Decides from harmless pages whether a sidecar is there, and not another program on its port. `auto`
 * stops only what was recognized. Throwing means no.
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

/** What a preset's function takes. */
export interface PresetOptions {
  /** The origin of the preset's paths: `http://127.0.0.1:16020`. */
  readonly baseUrl?: string | undefined;
}

/** A hook that can be asked for by name: `--hook NAME` or `--hook NAME=BASE_URL`. */
export interface NamedHook<Options extends PresetOptions = PresetOptions> {
  /** Makes the hook. */
  (options?: Options): SidecarHook;
  /** The NAME. */
  readonly hookName: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** How to recognize its sidecar at its usual address, for `--hook auto`. */
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

/** A preset: an HTTP sidecar's well-known addresses. */
export interface HttpPreset {
  /** The NAME in `--hook NAME`. */
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** Where the sidecar listens unless the operator says otherwise: `http://localhost:9901`. */
  readonly baseUrl: string;
  /** The path that makes it quit, and the method if it is not POST. */
  readonly stop: { readonly path: string; readonly method?: string };
  /**
   * The path that reports whether it is ready, with its origin if that is a different one. If there
   * are several, the first that answers counts.
   */
  readonly ready?: ReadyPath | readonly ReadyPath[];
  /** Which statuses mean ready; 200 alone by default. */
  readonly isReady?: (status: number) => boolean;
  /** A harmless path on the origin that is told to quit, if `ready` has a different origin. */
  readonly warmUp?: { readonly path: string };
  /** Headers for every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Which further answers to the stop request are tried again, as a 5xx is. */
  readonly isTemporary?: (status: number, headers: Headers) => boolean;
  /** Which 2xx answers to the stop request are another program's, and a failure. */
  readonly isOfAnother?: (headers: Headers) => boolean;
  /** What to do about a stop request that failed like this. */
  readonly hint?: (failure: StopFailure) => string | undefined;
  /** How the sidecar is told from others at its usual address, for `--hook auto`. */
  readonly recognize?: Recognize;
}

/** Where a preset's readiness is. */
export interface ReadyPath {
  /** The path. */
  readonly path: string;
  /** The origin, if it is not the preset's own. */
  readonly baseUrl?: string;
  /**
   * Whether it is on that origin alone. If the operator gives a base URL, the sidecar then has no
   * readiness that the preset knows.
   *
   * @default false
   */
  readonly isOnlyThere?: boolean;
}

/**
 * Makes a preset that can be asked for as `--hook NAME` or `--hook NAME=BASE_URL`. If the operator
 * gives a base URL, all paths are on that origin.
 *
 * @example
 * ```ts
 * import { httpPreset } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const mine = httpPreset({
 *   name: "mine",
 *   summary: "my own sidecar",
 *   baseUrl: "http://localhost:7777",
 *   stop: { path: "/quit" },
 *   ready: { path: "/ready", baseUrl: "http://localhost:7778" },
 * });
 * assertEquals(mine().readyAddress, "http://localhost:7778/ready");
 * assertEquals(mine({ baseUrl: "http://localhost:1234" }).address, "http://localhost:1234/quit");
 * ```
 */
export function httpPreset(preset: HttpPreset): NamedHook {
  const { name, summary, recognize } = preset;
  return nameHook(name, summary, (options) => presetHook(preset, options), recognize);
}

/** Makes the hook of a preset, on the operator's own origin if there is one. */
export function presetHook(preset: HttpPreset, options: PresetOptions = {}): SidecarHook {
  const { stop, ready, warmUp } = preset;
  const on = (path: string, baseUrl = preset.baseUrl) => ({
    url: joinUrl(options.baseUrl ?? baseUrl, path),
  });
  const readyPaths = ready === undefined ? [] : [ready].flat();
  const known = readyPaths.filter(({ isOnlyThere }) => !isOnlyThere || !options.baseUrl);
  const [unknown] = known.length > 0 ? [] : readyPaths;
  const hook = httpHook({
    name: preset.name,
    stop: { ...on(stop.path), ...(stop.method === undefined ? {} : { method: stop.method }) },
    ...(known.length > 0 && { ready: known.map(({ path, baseUrl }) => on(path, baseUrl)) }),
    ...(warmUp && { warmUp: on(warmUp.path) }),
    ...(preset.isReady && { isReady: preset.isReady }),
    ...(preset.headers && { headers: preset.headers }),
    ...(preset.isTemporary && { isTemporary: preset.isTemporary }),
    ...(preset.isOfAnother && { isOfAnother: preset.isOfAnother }),
    hint: (failure) => withAbsentAdvice(preset, failure),
  });
  if (unknown === undefined) return hook;
  const target = `${preset.name}=${redactValue(options.baseUrl ?? "")}`;
  const waitFor = `--wait-for ${unknown.baseUrl}${unknown.path}`;
  return {
    ...hook,
    waitProblem: `${target} cannot be waited for: its readiness is not at that address; ` +
      `expected ${waitFor}, or wherever it is`,
  };
}

/** What to do about a sidecar that is not there, whichever it is. */
export const ABSENT_ADVICE =
  "wrapper --check shows what is there, and --hook auto looks for every sidecar it knows";

/** What to do about a stop request that failed: what the preset knows, and how to find the sidecar. */
export function withAbsentAdvice(
  { name, hint }: Pick<HttpPreset, "name" | "hint">,
  failure: StopFailure,
): string | undefined {
  const own = hint?.(failure);
  if (failure.state !== "absent") return own;
  const start = own === undefined ? "If" : "if";
  const elsewhere = `${start} it has another port: --hook ${name}=http://localhost:PORT`;
  return [...(own === undefined ? [] : [own]), elsewhere, ABSENT_ADVICE].join("; ");
}

/**
 * Puts a path on an origin.
 *
 * @throws {TypeError} if the base URL has a path, a query or a fragment
 */
export function joinUrl(baseUrl: string, path: string): string {
  const match = /^([a-z+]+:\/\/[^/?#]+)\/?$/.exec(baseUrl);
  if (match === null) throw new TypeError("expected an origin without a path: http://HOST:PORT");
  return match[1] + path;
}
