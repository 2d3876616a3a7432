/**
 * The command line's options: one table from which parsing, `--help`, `--print-config`, the error
 * messages and the README's table follow.
 *
 * @module
 */

import { formatDuration, LONGEST_MS, parseDuration } from "./time.ts";
import { LOG_LEVELS, type LogFormat, type LogLevel } from "./log/log.ts";
import { processId } from "./platform/mod.ts";
import type { OnWaitTimeout, RunHooksOn } from "./job/run.ts";
import { defaultStartupWindowMs } from "./job/sidecar.ts";

export type { LogFormat, LogLevel, OnWaitTimeout, RunHooksOn };

/** What the operator has set, each with its default where nothing was said. */
export interface Settings {
  /** TARGETs of the hooks. */
  readonly hook: readonly string[];
  /** When hooks run. */
  readonly on: RunHooksOn;
  /** How long to wait for the sidecars before COMMAND, in milliseconds; 0 is off. */
  readonly wait: number;
  /** What follows when they are not ready. */
  readonly onWaitTimeout: OnWaitTimeout;
  /** How long a sidecar that never answered is expected, in milliseconds. */
  readonly startupWindow: number;
  /** One attempt at one request, in milliseconds. */
  readonly requestTimeout: number;
  /** The whole of a hook, in milliseconds. */
  readonly shutdownTimeout: number;
  /** Further attempts after the first. */
  readonly retries: number;
  /** Whether a failed hook fails the job. */
  readonly strict: boolean;
  /** Longest run of COMMAND, in milliseconds; 0 is off. */
  readonly timeout: number;
  /** From a passed-on signal to SIGKILL, in milliseconds; 0 is off. */
  readonly killAfter: number;
  /** Whether COMMAND leads a session of its own. */
  readonly processGroup: boolean;
  /** Whether orphans are reaped. */
  readonly reap: boolean;
  /** Where the summary of the job is written; an empty string is nowhere. */
  readonly terminationLog: string;
  /** The least important level that is logged. */
  readonly logLevel: LogLevel;
  /** The form of log lines. */
  readonly logFormat: LogFormat;
}

/** How a value is read and shown. */
export interface Kind<Value> {
  /** What stands for the value in `--help`; an empty string for an option that needs none. */
  readonly placeholder: string;
  /** Reads a value; undefined if it is not of this kind. */
  parse(text: string): Value | undefined;
  /** Shows a value as it could have been typed. */
  format(value: Value): string;
  /** What is expected, for an error message. */
  readonly expected: string;
  /** Adds a further value to the ones before, where an option may be repeated. */
  add?(before: Value, value: Value): Value;
}

/** One option. */
export interface Option<Value> {
  /** The option without its hyphens: `startup-window`. */
  readonly name: string;
  /** Its environment variable. */
  readonly variable: string;
  /** How its value is read. */
  readonly kind: Kind<Value>;
  /** Its value where nothing was said; it may depend on the environment. */
  readonly defaultValue: (environment: Environment) => Value;
  /** The default in words, for `--help` and the README, where its value does not say it. */
  readonly defaultText?: string;
  /** What it does, in one line. */
  readonly help: string;
}

/** Looks up a variable of the environment. */
export type Environment = (name: string) => string | undefined;

const duration: Kind<number> = {
  placeholder: "DURATION",
  parse: parseDuration,
  format: (ms) => ms === 0 ? "0" : ms % 100 === 0 ? formatDuration(ms) : `${ms}ms`,
  expected: `a duration such as 500ms, 30s, 1m30s, 2h or 0, at most ${formatDuration(LONGEST_MS)}`,
};

/** Within no time no sidecar can be told to quit: where 0 does not mean "off" it is a slip. */
const positiveDuration: Kind<number> = {
  ...duration,
  parse: (text) => parseDuration(text) || undefined,
  expected: duration.expected.replace("2h or 0, at most", "2h, above 0 and at most"),
};

const boolean: Kind<boolean> = {
  placeholder: "",
  parse: (text) => ({ true: true, "1": true, false: false, "0": false })[text],
  format: String,
  expected: "true, false, 1 or 0",
};

const count: Kind<number> = {
  placeholder: "N",
  parse: (text) => /^\d{1,6}$/.test(text) ? Number(text) : undefined,
  format: String,
  expected: "a whole number from 0 to 999999",
};

const targets: Kind<readonly string[]> = {
  placeholder: "TARGET",
  parse: (text) => text.trim() === "" ? undefined : [text.trim()],
  format: (list) => list.join(","),
  expected: "a TARGET",
  add: (before, value) => [...new Set([...before, ...value])],
};

const path: Kind<string> = {
  placeholder: "PATH",
  parse: (text) => text === "" ? undefined : text,
  format: String,
  expected: "a path",
};

function choice<Value extends string>(placeholder: string, values: readonly Value[]): Kind<Value> {
  return {
    placeholder,
    parse: (text) => values.find((value) => value === text),
    format: String,
    expected: `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`,
  };
}

/** The options that have a value, in the order of `--help`. */
export const OPTIONS: { readonly [Key in keyof Settings]: Option<Settings[Key]> } = {
  hook: {
    name: "hook",
    variable: "WRAPPER_HOOKS",
    kind: targets,
    defaultValue: () => ["istio"],
    help: "what to stop when COMMAND is over; may be repeated",
  },
  on: {
    name: "on",
    variable: "WRAPPER_ON",
    kind: choice("WHEN", ["always", "success", "failure"]),
    defaultValue: () => "always",
    help: "when hooks run: always, success (exit code 0) or failure",
  },
  wait: {
    name: "wait",
    variable: "WRAPPER_WAIT",
    kind: duration,
    defaultValue: () => 0,
    defaultText: "0 (off)",
    help: "before COMMAND, wait until every sidecar is ready, this long at most",
  },
  onWaitTimeout: {
    name: "on-wait-timeout",
    variable: "WRAPPER_ON_WAIT_TIMEOUT",
    kind: choice("WHAT", ["fail", "start"]),
    defaultValue: () => "fail",
    help: "fail: run the hooks and exit 125; start: start COMMAND anyway",
  },
  startupWindow: {
    name: "startup-window",
    variable: "WRAPPER_STARTUP_WINDOW",
    kind: duration,
    defaultValue: defaultStartupWindowMs,
    defaultText: "30s in a Kubernetes pod, else 0",
    help: "how long after its own start a sidecar that has never answered is expected",
  },
  requestTimeout: {
    name: "request-timeout",
    variable: "WRAPPER_REQUEST_TIMEOUT",
    kind: positiveDuration,
    defaultValue: () => 5000,
    help: "one attempt at one request",
  },
  shutdownTimeout: {
    name: "shutdown-timeout",
    variable: "WRAPPER_SHUTDOWN_TIMEOUT",
    kind: positiveDuration,
    defaultValue: () => 15_000,
    help: "the whole of a hook once its sidecar is there, retries included",
  },
  retries: {
    name: "retries",
    variable: "WRAPPER_RETRIES",
    kind: count,
    defaultValue: () => 10,
    help: "further attempts after the first; delays 100ms doubling to 2s, with jitter",
  },
  strict: {
    name: "strict",
    variable: "WRAPPER_STRICT",
    kind: boolean,
    defaultValue: () => false,
    help: "COMMAND succeeded but a hook failed: exit 125",
  },
  timeout: {
    name: "timeout",
    variable: "WRAPPER_TIMEOUT",
    kind: duration,
    defaultValue: () => 0,
    defaultText: "0 (off)",
    help: "longest run of COMMAND: then SIGTERM, and exit 124",
  },
  killAfter: {
    name: "kill-after",
    variable: "WRAPPER_KILL_AFTER",
    kind: duration,
    defaultValue: () => 0,
    defaultText: "0 (off)",
    help: "SIGKILL this long after a SIGTERM, SIGINT or SIGQUIT passed on to COMMAND",
  },
  processGroup: {
    name: "process-group",
    variable: "WRAPPER_PROCESS_GROUP",
    kind: boolean,
    defaultValue: () => false,
    help: "COMMAND leads a session of its own, and signals go to its whole group",
  },
  reap: {
    name: "reap",
    variable: "WRAPPER_REAP",
    kind: boolean,
    defaultValue: () => processId() === 1,
    defaultText: "true as PID 1, else false",
    help: "take the status of orphans, so that no zombie stays",
  },
  terminationLog: {
    name: "termination-log",
    variable: "WRAPPER_TERMINATION_LOG",
    kind: path,
    defaultValue: () => "",
    defaultText: "none",
    help: "write a one-line JSON summary here; Kubernetes reads /dev/termination-log",
  },
  logLevel: {
    name: "log-level",
    variable: "WRAPPER_LOG_LEVEL",
    kind: choice("LEVEL", LOG_LEVELS),
    defaultValue: () => "info",
    help: "error, warn, info or debug",
  },
  logFormat: {
    name: "log-format",
    variable: "WRAPPER_LOG_FORMAT",
    kind: choice("FORMAT", ["text", "json"]),
    defaultValue: () => "text",
    help: "text or json, one line an event",
  },
};

/** What the command line can ask for instead of running COMMAND. */
export type Action = "print-config" | "check" | "install" | "help" | "version";

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
      "probe every hook's sidecar, print a table, exit 0 if all are ready, else 1; stops nothing",
  },
  {
    name: "install",
    argument: "PATH",
    help: "copy this program to a file or into a folder, for an init container, and exit 0",
  },
  { name: "help", short: "h", help: "print this help and exit 0" },
  { name: "version", short: "V", help: "print the version and exit 0" },
];
