/**
 * The table of options: one entry each, from which its type, its default, parsing, validation,
 * `--help`, `--print-config`, the error messages and the README's table follow. The one other place
 * of an option is its documented field in `RunOptions`.
 *
 * @module
 */

import { LOG_LEVELS } from "./log/log.ts";
import { nearest } from "./nearest.ts";
import { processId } from "./platform/mod.ts";
import { findSignal, isPassedOn, SIGNAL_NAMES, type SignalRewrites } from "./platform/signals.ts";
import { formatDuration, LONGEST_MS, parseDuration } from "./time.ts";

/**
 * The TARGETs of the hooks that run if the operator names none.
 *
 * @example
 * ```ts
 * import { DEFAULT_TARGETS, parseHook } from "@k8s-job/wrapper";
 *
 * console.log(DEFAULT_TARGETS.map((target) => parseHook(target)?.address));
 * ```
 */
export const DEFAULT_TARGETS: readonly string[] = ["istio"];

/**
 * How long a sidecar is expected that the injector has announced, in milliseconds. The kubelet pulls
 * one image after the other, so that on a new node a sidecar can be minutes late.
 */
export const INJECTED_WINDOW_MS = 600_000;

/** How long `--wait-for` waits if `--wait` is not set, in milliseconds. */
export const WAIT_FOR_MS = 300_000;

/** Looks up a variable of the environment. */
export type Environment = (name: string) => string | undefined;

/** How a value is read, shown and checked. */
export interface Kind<Value> {
  /** What stands for the value in `--help`; an empty string for an option that needs none. */
  readonly placeholder: string;
  /** What is expected, for an error message. */
  readonly expected: string;
  /** Whether an empty variable means something; everywhere else it counts as not set. */
  readonly takesEmpty?: boolean;
  /** Splits a variable that has several values, if the option may be repeated. */
  split?(text: string): readonly string[];
  /** Reads a value that a person typed; undefined if it is not of this kind. */
  parse(text: string): Value | undefined;
  /** What was probably meant by a value that is not of this kind, as it should have been typed. */
  suggest?(text: string): string | undefined;
  /** Shows a value as it could have been typed. */
  format(value: Value): string;
  /** Checks a value that a program passed; undefined if it is of this kind. */
  check(value: unknown): Mismatch | undefined;
  /** Adds another value to the previous ones, if the option may be repeated. */
  add?(before: Value, value: Value): Value;
}

/** Why a value is not of its kind. */
export interface Mismatch {
  /** Whether the type is wrong, or only the value. */
  readonly wrong: "type" | "value";
  /** What was expected. */
  readonly expected: string;
}

/** One option. */
export interface Option<Value> {
  /** The option without its hyphens: `startup-window`. */
  readonly name: string;
  /** Its environment variable. */
  readonly variable: string;
  /** How its value is read. */
  readonly kind: Kind<Value>;
  /** Its value if nothing was set; it may depend on the environment. */
  readonly defaultValue: (environment: Environment) => Value;
  /** The default in words, for `--help` and the README, where the value does not say it. */
  readonly defaultText?: string;
  /** The library's default, where it is another. */
  readonly libraryDefault?: Value;
  /** What it does, in one line. */
  readonly help: string;
}

/** A duration of at least this many milliseconds. Where 0 does not mean "off", it is a mistake. */
function duration(leastMs: 0 | 1): Kind<number> {
  const examples = leastMs === 0 ? "2h or 0, at most" : "2h, above 0 and at most";
  const isInRange = (ms: number) => ms >= leastMs && ms <= LONGEST_MS;
  return {
    placeholder: "DURATION",
    expected: `a duration such as 500ms, 30s, 1m30s, ${examples} ${formatDuration(LONGEST_MS)}`,
    parse(text) {
      const ms = parseDuration(text);
      return ms !== undefined && isInRange(ms) ? ms : undefined;
    },
    suggest(text) {
      // `5 min`, `1h 30m`, `10 Seconds`
      const short = text.toLowerCase().replaceAll(/[\s_]/g, "").replaceAll(
        /(\d)(ms|milli|[smhd])[a-z]*/g,
        (_, digit, unit) => digit + (unit === "milli" ? "ms" : unit),
      );
      const ms = parseDuration(short);
      return ms !== undefined && isInRange(ms) ? short : undefined;
    },
    format: (ms) => ms === 0 ? "0" : ms % 100 === 0 ? formatDuration(ms) : `${ms}ms`,
    check(value) {
      if (typeof value !== "number") return wrongType("a number of milliseconds");
      return isInRange(value)
        ? undefined
        : wrongValue(`milliseconds from ${leastMs} to ${LONGEST_MS}`);
    },
  };
}

const boolean: Kind<boolean> = {
  placeholder: "",
  expected: "true, false, 1 or 0",
  parse: (text) => ({ true: true, "1": true, false: false, "0": false })[text],
  suggest(text) {
    if (/^(true|t|yes|y|on|enabled?)$/i.test(text)) return "true";
    return /^(false|f|no|n|off|disabled?|none)$/i.test(text) ? "false" : undefined;
  },
  format: String,
  check: (value) => typeof value === "boolean" ? undefined : wrongType("a boolean"),
};

/** What an injector wrote down about a pod: nothing, if it put no sidecar there. */
const injection: Kind<boolean | undefined> = {
  placeholder: "VALUE",
  expected: "what the injector wrote down, or nothing",
  takesEmpty: true,
  parse: (text) => !/^(0|false)?$/i.test(text),
  format: (value) => value === undefined ? "not set" : String(value),
  check: (value) => typeof value === "boolean" ? undefined : wrongType("a boolean"),
};

const count: Kind<number> = {
  placeholder: "N",
  expected: "a whole number from 0 to 999999",
  parse: (text) => /^\d{1,6}$/.test(text) ? Number(text) : undefined,
  format: String,
  check(value) {
    if (typeof value !== "number") return wrongType("a number");
    return Number.isSafeInteger(value) && value >= 0
      ? undefined
      : wrongValue("a whole number from 0");
  },
};

const countFromOne: Kind<number> = {
  ...count,
  expected: "a whole number from 1 to 999999",
  parse: (text) => count.parse(text) || undefined,
  check: (value) => value === 0 ? wrongValue("a whole number from 1") : count.check(value),
};

const targets: Kind<readonly string[]> = {
  placeholder: "TARGET",
  expected: "a TARGET",
  parse: (text) => text.trim() === "" ? undefined : [text.trim()],
  split: splitTargets,
  format: (list) => list.join(","),
  check: (value) => Array.isArray(value) ? undefined : wrongType("an array of TARGETs"),
  add: (before, value) => [...new Set([...before, ...value])],
};

/**
 * Splits a list of TARGETs at commas and blanks. An HTTP method in capitals belongs to the URL after
 * it.
 */
function splitTargets(value: string): readonly string[] {
  const words = splitWords(value);
  const targets: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    const next = words[index + 1];
    if (/^[A-Z]+$/.test(word) && next?.includes("://")) {
      targets.push(`${word} ${next}`);
      index++;
    } else {
      targets.push(word);
    }
  }
  return targets;
}

function splitWords(value: string): readonly string[] {
  return value.split(/[\s,]+/).filter((word) => word !== "");
}

const NO_PATHS: readonly string[] = [];

const paths: Kind<readonly string[]> = {
  placeholder: "PATH",
  expected: "a path: /secrets/env, or ./env",
  split: splitWords,
  // A blank or a comma in a URL would split it in the middle of a secret, and the rest look like a path.
  parse: (text) => /^$|^[^./].*(:|\/\/)/s.test(text) ? undefined : [text],
  format: (list) => list.join(","),
  check: (value) =>
    Array.isArray(value) && value.every((path) => typeof path === "string" && path !== "")
      ? undefined
      : wrongType("an array of paths"),
  add: (before, value) => [...before, ...value],
};

const path: Kind<string> = {
  placeholder: "PATH",
  expected: "a path",
  parse: (text) => text === "" ? undefined : text,
  format: String,
  check: (value) => typeof value === "string" ? undefined : wrongType("a path"),
};

const exitCodes: Kind<readonly number[]> = {
  placeholder: "LIST",
  expected: "exit codes from 1 to 255, separated by commas: 143,3",
  parse(text) {
    const words = splitWords(text);
    return words.length > 0 && words.every((word) => /^\d{1,3}$/.test(word) && isExitCode(+word))
      ? words.map(Number)
      : undefined;
  },
  format: (list) => list.join(","),
  check(value) {
    if (!Array.isArray(value)) return wrongType("an array of exit codes");
    return value.every(isExitCode) ? undefined : wrongValue("exit codes from 1 to 255");
  },
};

function isExitCode(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 255;
}

const rewrites: Kind<SignalRewrites> = {
  placeholder: "SIGNAL=SIGNAL",
  expected: "the signal that comes and the one that is sent: TERM=QUIT, 15:3, or HUP= for none; " +
    "not KILL, STOP, ILL, FPE, SEGV or CHLD for the first",
  parse: (text) => parseRewrites(splitWords(text), {}),
  format: (list) =>
    Object.entries(list).map(([came, sent]) => `${shortName(came)}=${shortName(sent ?? "")}`)
      .join(),
  check(value) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return wrongType("an object with the signals to send in place of others");
    }
    const isKnown = Object.entries(value).every(([came, sent]) => {
      const name = SIGNAL_NAMES.find((signal) => signal === came);
      return name !== undefined && isPassedOn(name) &&
        (sent === null || SIGNAL_NAMES.some((signal) => signal === sent));
    });
    return isKnown ? undefined : wrongValue(
      "names of signals, and null to drop one; not SIGKILL, SIGSTOP, SIGILL, SIGFPE, SIGSEGV or " +
        "SIGCHLD for the one that comes",
    );
  },
  add: (before, value) => ({ ...before, ...value }),
};

function parseRewrites(
  [word, ...others]: readonly string[],
  before: SignalRewrites,
): SignalRewrites | undefined {
  if (word === undefined) return Object.keys(before).length === 0 ? undefined : before;
  const [, cameText = "", sentText = ""] = /^([^=:]+)[=:](.*)$/.exec(word) ?? [];
  const came = findSignal(cameText);
  // dumb-init drops a signal by the number 0.
  const sent = sentText === "" || sentText === "0" ? null : findSignal(sentText);
  if (came === undefined || !isPassedOn(came) || sent === undefined) return undefined;
  return parseRewrites(others, { ...before, [came]: sent });
}

function shortName(signal: string): string {
  return signal.replace(/^SIG/, "");
}

const NO_CODES: readonly number[] = [];

const NO_REWRITES: SignalRewrites = {};

function choice<const Value extends string>(
  placeholder: string,
  values: readonly Value[],
): Kind<Value> {
  return {
    placeholder,
    expected: `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`,
    parse: (text) => values.find((value) => value === text),
    suggest(text) {
      const typed = text.toLowerCase();
      const longer = values.find((value) => typed.startsWith(value));
      const near = nearest(typed, values);
      return longer ?? (near?.isClose ? near.word : undefined);
    },
    format: String,
    check: (value) =>
      values.some((choice) => choice === value)
        ? undefined
        : wrongValue(values.map((choice) => JSON.stringify(choice)).join(" or ")),
  };
}

function wrongType(expected: string): Mismatch {
  return { wrong: "type", expected };
}

function wrongValue(expected: string): Mismatch {
  return { wrong: "value", expected };
}

/** Gives an entry the type of its own value. */
function option<const Value>(entry: Option<Value>): Option<Value> {
  return entry;
}

/** The options of a job, by their names in the library. */
const JOB_ENTRIES = {
  on: option({
    name: "on",
    variable: "WRAPPER_ON",
    kind: choice("WHEN", ["always", "success", "failure"]),
    defaultValue: () => "always",
    help: "when hooks run: always, success (exit code 0) or failure",
  }),
  waitMs: option({
    name: "wait",
    variable: "WRAPPER_WAIT",
    kind: duration(0),
    defaultValue: () => 0,
    defaultText: "0 (off)",
    help: "before COMMAND, wait until every sidecar is ready, at most this long",
  }),
  onWaitTimeout: option({
    name: "on-wait-timeout",
    variable: "WRAPPER_ON_WAIT_TIMEOUT",
    kind: choice("WHAT", ["fail", "start"]),
    defaultValue: () => "fail",
    help: "fail: run the hooks and exit 125; start: start COMMAND anyway",
  }),
  envFile: option({
    name: "env-file",
    variable: "WRAPPER_ENV_FILE",
    kind: paths,
    defaultValue: () => NO_PATHS,
    defaultText: "none",
    help:
      "a file of KEY=VALUE lines, read before COMMAND starts, for its environment; may be repeated",
  }),
  startupWindowMs: option({
    name: "startup-window",
    variable: "WRAPPER_STARTUP_WINDOW",
    kind: duration(0),
    // Kubernetes sets this variable in every container.
    defaultValue: (environment) => environment("KUBERNETES_SERVICE_HOST") ? 30_000 : 0,
    defaultText: "30s in a Kubernetes pod, else 0; 10m with --injected",
    help: "how long after its own start a sidecar that has never answered is expected",
  }),
  injected: option({
    name: "injected",
    variable: "WRAPPER_INJECTED",
    kind: injection,
    defaultValue: () => undefined,
    defaultText: "not set",
    help: "the injector's annotation: empty, false or 0: no sidecar comes; else one does",
  }),
  containers: option({
    name: "containers",
    variable: "WRAPPER_CONTAINERS",
    kind: countFromOne,
    defaultValue: () => 1,
    help: "how many containers of the pod, side by side, run under the wrapper: the last stops all",
  }),
  sharedDir: option({
    name: "shared-dir",
    variable: "WRAPPER_SHARED_DIR",
    kind: path,
    defaultValue: () => "/run/wrapper",
    help: "a folder that these containers share (an emptyDir), if there are several",
  }),
  requestTimeoutMs: option({
    name: "request-timeout",
    variable: "WRAPPER_REQUEST_TIMEOUT",
    kind: duration(1),
    defaultValue: () => 5000,
    help: "one attempt at one request",
  }),
  shutdownTimeoutMs: option({
    name: "shutdown-timeout",
    variable: "WRAPPER_SHUTDOWN_TIMEOUT",
    kind: duration(1),
    defaultValue: () => 15_000,
    help: "time limit for a hook once its sidecar is there, retries included",
  }),
  retries: option({
    name: "retries",
    variable: "WRAPPER_RETRIES",
    kind: count,
    defaultValue: () => 10,
    help: "further attempts after the first; delays 100ms doubling to 2s, with jitter",
  }),
  confirmMs: option({
    name: "confirm",
    variable: "WRAPPER_CONFIRM",
    kind: duration(0),
    defaultValue: () => 0,
    defaultText: "0 (off)",
    help: "after the answer, look this long until nobody listens at the sidecar's address any more",
  }),
  successCodes: option({
    name: "success-codes",
    variable: "WRAPPER_SUCCESS_CODES",
    kind: exitCodes,
    defaultValue: () => NO_CODES,
    defaultText: "none",
    help: "exit codes of COMMAND that count as success and become 0, as in 143,3",
  }),
  strict: option({
    name: "strict",
    variable: "WRAPPER_STRICT",
    kind: boolean,
    defaultValue: () => false,
    help: "COMMAND succeeded but a hook failed: exit 125",
  }),
  timeoutMs: option({
    name: "timeout",
    variable: "WRAPPER_TIMEOUT",
    kind: duration(0),
    defaultValue: () => 0,
    defaultText: "0 (off)",
    help: "time limit for COMMAND: then SIGTERM, and exit 124",
  }),
  killAfterMs: option({
    name: "kill-after",
    variable: "WRAPPER_KILL_AFTER",
    kind: duration(0),
    defaultValue: () => 0,
    defaultText: "0 (off)",
    help: "SIGKILL this long after a SIGTERM, SIGINT or SIGQUIT passed on to COMMAND",
  }),
  processGroup: option({
    name: "process-group",
    variable: "WRAPPER_PROCESS_GROUP",
    kind: boolean,
    defaultValue: () => false,
    help: "signals go to COMMAND's whole process group; it leads its own on a terminal too",
  }),
  leftovers: option({
    name: "leftovers",
    variable: "WRAPPER_LEFTOVERS",
    kind: choice("WHAT", ["ignore", "wait", "end"]),
    defaultValue: () => "ignore",
    defaultText: "end with --process-group, else ignore",
    help: "before the hooks: ignore, wait for, or end what COMMAND leaves running",
  }),
  rewrite: option({
    name: "rewrite",
    variable: "WRAPPER_REWRITE",
    kind: rewrites,
    defaultValue: () => NO_REWRITES,
    defaultText: "none",
    help: "what COMMAND gets in place of a signal, as in TERM=QUIT; TERM= drops it; repeatable",
  }),
  reap: option({
    name: "reap",
    variable: "WRAPPER_REAP",
    kind: boolean,
    defaultValue: () => processId() === 1,
    defaultText: "true as PID 1 and with --leftovers, else false",
    libraryDefault: false,
    help: "reap orphans, so that no zombies remain",
  }),
  terminationLog: option({
    name: "termination-log",
    variable: "WRAPPER_TERMINATION_LOG",
    kind: path,
    defaultValue: () => "",
    defaultText: "none",
    help:
      "write a one-line JSON summary here, after COMMAND's text; Kubernetes: /dev/termination-log",
  }),
};

/** All options, in the order of `--help`. */
const ENTRIES = {
  hook: option({
    name: "hook",
    variable: "WRAPPER_HOOKS",
    kind: targets,
    defaultValue: () => DEFAULT_TARGETS,
    help: "what to stop when COMMAND has ended; may be repeated",
  }),
  waitTargets: option({
    name: "wait-for",
    variable: "WRAPPER_WAIT_FOR",
    kind: targets,
    defaultValue: (): readonly string[] => [],
    defaultText: "what the hooks are for",
    help: "what --wait waits for instead (5m without --wait); may be repeated",
  }),
  ...JOB_ENTRIES,
  logLevel: option({
    name: "log-level",
    variable: "WRAPPER_LOG_LEVEL",
    kind: choice("LEVEL", LOG_LEVELS),
    defaultValue: () => "info",
    help: "error, warn, info or debug",
  }),
  logFormat: option({
    name: "log-format",
    variable: "WRAPPER_LOG_FORMAT",
    kind: choice("FORMAT", ["text", "json"]),
    defaultValue: () => "text",
    help: "text or json, one line an event",
  }),
};

type ValuesOf<Entries> = {
  readonly [Key in keyof Entries]: Entries[Key] extends Option<infer Value> ? Value : never;
};

/** An entry for each setting. */
export type OptionsFor<Values> = { readonly [Key in keyof Values]: Option<Values[Key]> };

/** What an operator can set for a job; durations in milliseconds. */
export type JobSettings = ValuesOf<typeof JOB_ENTRIES>;

/** What an operator can set on the command line; durations in milliseconds. */
export type Settings = ValuesOf<typeof ENTRIES>;

/** The options of a job, by their names in the library. */
export const JOB_OPTIONS: OptionsFor<JobSettings> = JOB_ENTRIES;

/** The options that have a value, in the order of `--help`. */
export const OPTIONS: OptionsFor<Settings> = ENTRIES;

/**
 * Makes an object with a value for each option of a table.
 *
 * @param options the table
 * @param read finds the value of one option
 */
export function readAll<Values extends object>(
  options: OptionsFor<Values>,
  read: <Key extends keyof Values>(key: Key) => Values[Key],
): Values {
  const keys = keysOf(options);
  const values: { -readonly [Key in keyof Values]?: Values[Key] } = {};
  const isComplete = (some: Partial<Values>): some is Values => keys.every((key) => key in some);
  for (const key of keys) values[key] = read(key);
  if (!isComplete(values)) throw new TypeError("unreachable: every option has been read");
  return values;
}

/**
 * The defaults that follow from other settings.
 *
 * @param settings the settings, each with its own default
 * @param isSet whether somebody has set one
 * @param waitsForTargets whether something is named that has to be ready before COMMAND
 */
export function impliedDefaults(
  settings: JobSettings,
  isSet: (key: keyof JobSettings) => boolean,
  waitsForTargets: boolean,
): Pick<JobSettings, "leftovers" | "startupWindowMs" | "waitMs"> {
  const { processGroup, leftovers, injected, startupWindowMs, waitMs } = settings;
  return {
    leftovers: processGroup && !isSet("leftovers") ? "end" : leftovers,
    startupWindowMs: injected && !isSet("startupWindowMs") ? INJECTED_WINDOW_MS : startupWindowMs,
    waitMs: waitsForTargets && !isSet("waitMs") ? WAIT_FOR_MS : waitMs,
  };
}

/** An object's own keys, with their type. */
export function keysOf<Values extends object>(
  object: Values,
): readonly Extract<keyof Values, string>[] {
  const keys: Extract<keyof Values, string>[] = [];
  for (const key in object) if (Object.hasOwn(object, key)) keys.push(key);
  return keys;
}

/** What the command line can ask for instead of running COMMAND. */
export type Action = "print-config" | "check" | "install" | "wrap" | "help" | "version";

/** The options that ask for something else than running COMMAND. */
export const ACTIONS: readonly {
  readonly name: Action;
  /** The one letter that stands for it. */
  readonly short?: string;
  /** What it needs a value for, if it does. */
  readonly argument?: string;
  readonly help: string;
}[] = [
  { name: "print-config", help: "print the settings as JSON, each with its origin, and exit 0" },
  {
    name: "check",
    help:
      "probe every hook's sidecar and --wait-for, print a table, exit 0 if all are ready, else 1",
  },
  {
    name: "install",
    argument: "PATH",
    help: "copy this program to a file or into a folder, for an init container, and exit 0",
  },
  {
    name: "wrap",
    argument: "FILE",
    help:
      "print Kubernetes manifests (a file, a folder, or - for stdin; may be repeated) with the wrapper in front of each Job's command, exit 0 if all are wrapped, else 1",
  },
  { name: "help", short: "h", help: "print this help and exit 0" },
  { name: "version", short: "V", help: "print the version and exit 0" },
];

/** An option that means something with `--wrap` only. */
export interface WrapOption {
  readonly name: "image" | "container" | "entrypoint";
  readonly argument: string;
  readonly expected: string;
  readonly variable?: string;
  readonly defaultText?: string;
  readonly help: string;
}

/** The options that mean something with `--wrap` only. */
export const WRAP_OPTIONS: readonly WrapOption[] = [
  {
    name: "image",
    argument: "IMAGE",
    expected: "an image",
    variable: "WRAPPER_IMAGE",
    defaultText: "the release's own image",
    help: "with --wrap: the image that the init container installs the wrapper from",
  },
  {
    name: "container",
    argument: "NAME",
    expected: "a container's name",
    help: "with --wrap: a container that does work, where it cannot be told; may be repeated",
  },
  {
    name: "entrypoint",
    argument: "NAME=JSON",
    expected: `NAME=JSON, as in 'main=["/app","run"]'`,
    help:
      "with --wrap: what an image's ENTRYPOINT is, where a container has no command; may be repeated",
  },
];
