/**
 * Every line that the wrapper can log, in one place: one vocabulary, and one source for the page
 * in `docs/` that explains them.
 *
 * @module
 */

import { formatDuration } from "../time.ts";

/** How important a line is. */
export type LogLevel = "error" | "warn" | "info" | "debug";

/** One kind of log line. */
export interface Message {
  /** From which `--log-level` on it is shown. */
  readonly level: LogLevel;
  /**
   * The line, with `{field}` where a field's value goes. A field named `…Ms` is a number of
   * milliseconds, and shown as a duration.
   */
  readonly text: string;
  /** What it means for the pod, and what to do, for the page in `docs/`. */
  readonly meaning: string;
}

/** All messages by their event name, which is stable: alerts may be built on it. */
export const MESSAGES = {
  "settings-error": {
    level: "error",
    text: "{problem}",
    meaning:
      "An option or a variable is wrong, or COMMAND is missing. COMMAND is not started; the hooks that could be read run, so that the pod ends; exit code 125. Mend the manifest: the line names the option or variable, its value, and what was expected.",
  },
  "settings-warning": {
    level: "warn",
    text: "{problem}",
    meaning:
      "A variable is ignored, because its value is none that this program or the one that it comes from would take. The job runs all the same. Mend or remove the variable; `--print-config` shows what holds.",
  },
  "command-not-started": {
    level: "error",
    text: "cannot start {command}: {reason} (exit code {code})",
    meaning:
      "COMMAND did not run. 127: it is not found; look at the image's PATH and the spelling. 126: it cannot be executed; look at the file's mode, its architecture and its first line. 125: the settings are wrong (the line before says which), or the system had no room for another process. The hooks run all the same, so that the pod ends.",
  },
  "command-aborted": {
    level: "warn",
    text: "aborted before the command was started (exit code {code})",
    meaning:
      "Only as a library: the caller's AbortSignal was aborted already. COMMAND is not started and the hooks run.",
  },
  "command-started": {
    level: "debug",
    text: "started {command} as process {pid}",
    meaning: "COMMAND runs.",
  },
  "command-ended": {
    level: "info",
    text: "command ended with exit code {code} after {durationMs}",
    meaning:
      "COMMAND is over. 128 + N stands for the end by signal N: 137 is SIGKILL, which is often the kernel's answer to a memory limit; 143 is SIGTERM. The hooks run next, then the wrapper exits with this code.",
  },
  "command-timeout": {
    level: "warn",
    text: "command still runs after {limitMs} (--timeout): sending SIGTERM",
    meaning:
      "COMMAND ran longer than it may. It is told to end, then the hooks run, and the exit code will be 124. If it takes longer than it should to heed SIGTERM, set --kill-after.",
  },
  "command-killed": {
    level: "warn",
    text: "command still runs {limitMs} after {signal} (--kill-after): sending SIGKILL",
    meaning:
      "COMMAND did not heed the signal in time and is ended the hard way. The hooks run next. COMMAND had no chance to put its affairs in order.",
  },
  "signal-forwarded": {
    level: "debug",
    text: "{signal} passed on to the command",
    meaning: "The wrapper got this signal, and COMMAND has it now.",
  },
  "signal-from-terminal": {
    level: "debug",
    text: "{signal} not passed on: the terminal has given it to the command too",
    meaning:
      "On a terminal a key such as Ctrl-C reaches COMMAND and the wrapper at once, and must not come twice.",
  },
  "signal-refused": {
    level: "warn",
    text: "{signal} cannot be sent to the command: {reason}",
    meaning:
      "COMMAND runs as another user than the wrapper, after a set-user-ID program for one, and the system does not allow it. COMMAND does not hear of a shutdown and will be killed with its container.",
  },
  "command-stopped": {
    level: "debug",
    text: "command stopped; stopping with it",
    meaning: "Ctrl-Z on a terminal. The shell's fg or bg lets both go on.",
  },
  "group-ending": {
    level: "info",
    text: "processes left in the command's group: {count}; sending SIGTERM (--process-group)",
    meaning: "COMMAND is over but something that it started is not. It is told to end.",
  },
  "group-killed": {
    level: "warn",
    text: "processes of the command's group still run after {limitMs}: sending SIGKILL",
    meaning:
      "What COMMAND left behind did not heed SIGTERM within --kill-after, or 5 s, and is ended the hard way.",
  },
  "orphan-reaped": {
    level: "debug",
    text: "process {pid}, whose parent had ended, is over",
    meaning:
      "As PID 1, or with --reap, the wrapper takes the status of orphans, so that no zombie stays.",
  },
  "reap-unavailable": {
    level: "warn",
    text: "cannot reap orphans: {reason}",
    meaning:
      "The system's C library or kernel does not allow it. Processes that COMMAND leaves behind stay as zombies until the container ends; nothing else is lost. With --reap=false the line goes.",
  },
  "wait-started": {
    level: "info",
    text: "waiting up to {limitMs} for {hooks} to be ready",
    meaning: "COMMAND starts as soon as every sidecar is ready (--wait).",
  },
  "wait-ended": {
    level: "info",
    text: "{hooks} ready after {durationMs}",
    meaning: "Every sidecar is ready; COMMAND starts now.",
  },
  "wait-timeout": {
    level: "error",
    text: "not ready after {limitMs} (--wait): {hooks}; {consequence}",
    meaning:
      "A sidecar was not ready in time. By default the job fails with 125 and the hooks run; with `--on-wait-timeout start` COMMAND starts anyway, and may not reach its network. Look at that sidecar's log.",
  },
  "wait-interrupted": {
    level: "warn",
    text: "{signal} while waiting for the sidecars: command not started (exit code {code})",
    meaning:
      "The pod is being deleted before COMMAND began. The hooks run and the wrapper ends. Nothing to do.",
  },
  "sidecar-seen": {
    level: "debug",
    text: "{hook}: seen at {address} ({answer})",
    meaning: "The sidecar answered for the first time. It will be stopped when COMMAND is over.",
  },
  "sidecar-expected": {
    level: "info",
    text:
      "{hook}: not there yet; expecting it for another {remainingMs} at {address} (--startup-window)",
    meaning:
      "COMMAND is over and this sidecar has never answered. In a pod it may still be starting, so the wrapper waits for it to the end of the startup window. If the pod has no such sidecar, name only the hooks of sidecars that are there, or set --startup-window lower.",
  },
  "sidecars-expected": {
    level: "info",
    text:
      "{hook}: found so far: {found}; expecting others for another {remainingMs} (--startup-window)",
    meaning:
      "COMMAND is over. The sidecars that were found are told to quit now; as others may still be starting, the wrapper looks for them to the end of the startup window. To spare that time name the hooks of the sidecars that are there, or set --startup-window lower.",
  },
  "no-sidecar-found": {
    level: "info",
    text: "{hook}: no sidecar found",
    meaning:
      "No sidecar that the wrapper can recognize has answered, and the startup window is over. If the pod does have one, it listens somewhere else, or does not answer as its preset expects (a Cloud SQL proxy without `--health-check`, for one), and the pod will not end: name the hook.",
  },
  "hook-note": {
    level: "debug",
    text: "{hook}: {text}",
    meaning: "A hook tells what it does, such as a failed attempt that is repeated.",
  },
  "hook-stopped": {
    level: "info",
    text: "{hook}: told to quit ({answer}) in {durationMs}",
    meaning: "The sidecar took the stop request. Its container ends now.",
  },
  "hook-already-stopped": {
    level: "info",
    text: "{hook}: has already stopped ({answer})",
    meaning:
      "The sidecar was seen before and is gone now: nothing is left to do. Some sidecars heed the stop request so fast that their answer is lost; the line then says that it quit without one.",
  },
  "hook-no-sidecar": {
    level: "info",
    text: "{hook}: no such sidecar ({answer} at {address}). {hint}",
    meaning:
      "Nothing has ever answered at this address and the startup window is over. If the pod does have this sidecar, it listens somewhere else, and the pod will not end: name its address with `--hook NAME=URL`. If it only started late, set --startup-window higher.",
  },
  "hook-unneeded": {
    level: "info",
    text: "{hook}: not told to quit: {answer}. {hint}",
    meaning:
      "The sidecar is there and cannot be told from here, but its control plane stops it when the job's containers are over. If the pod does not end, follow the line's advice.",
  },
  "hook-failed": {
    level: "error",
    text: "{hook}: NOT stopped, the pod may not end: {answer} at {address}. {hint}",
    meaning:
      "The sidecar is there and did not take the stop request before the deadline. Its container keeps running, and so does the pod, until someone deletes it (`kubectl delete pod`) or the Job's `activeDeadlineSeconds` is over. The exit code stays COMMAND's, but for --strict. The answer says why: 404 and 405 mean that something else listens there, 401 and 403 that it wants credentials; no answer means that it hangs, so look at its own log.",
  },
  "hooks-skipped": {
    level: "info",
    text: "hooks not run: exit code {code} and --on {on}; no sidecar was told to quit",
    meaning:
      "The operator asked for hooks only on success, or only on failure. The sidecars live on, and so does the pod.",
  },
  "hooks-signal": {
    level: "warn",
    text: "{signal} while hooks run: once more ends them at once",
    meaning: "The wrapper keeps stopping the sidecars, each to its deadline.",
  },
  "hooks-interrupted": {
    level: "warn",
    text: "{signal} again: hooks given up; a sidecar not told yet keeps running",
    meaning:
      "Someone wants the wrapper to end now. Where the whole pod is being deleted, Kubernetes ends the sidecars; else the pod does not end by itself.",
  },
  "strict-failure": {
    level: "error",
    text: "command succeeded but a hook failed: exit code 125 (--strict)",
    meaning:
      "With --strict a sidecar that could not be stopped fails the job. The hook's own line stands before this one.",
  },
  "termination-log-failed": {
    level: "warn",
    text: "cannot write the termination log {path}: {reason}",
    meaning:
      "The summary is lost; nothing else is. Look at the path and at the container's mounts.",
  },
  "install-failed": {
    level: "error",
    text: "cannot install to {path}: {reason} (exit code 125)",
    meaning:
      "Nothing was left behind under this name. Look at the mount in the init container: it must exist and be writable for its user, with room for 110 MB.",
  },
  "internal-error": {
    level: "error",
    text: "error in the wrapper itself: {reason}",
    meaning:
      "This should not happen. COMMAND, if it runs, goes on to its end, the hooks run, and the exit code is 125. Please report it.",
  },
} as const satisfies Record<string, Message>;

/** The name of a message. */
export type EventName = keyof typeof MESSAGES;

type FieldNames<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | FieldNames<Rest>
  : never;

/** The fields of a message: one for each `{field}` in its text. Their types are what alerts rely on. */
export type Fields<Event extends EventName> = {
  readonly [Name in FieldNames<typeof MESSAGES[Event]["text"]>]: Name extends
    `${string}Ms` | "code" | "pid" ? number : string;
};

/** The line for a person: the message's text with its fields filled in. */
export function messageText<Event extends EventName>(event: Event, fields: Fields<Event>): string {
  const values = new Map<string, string | number>(Object.entries(fields));
  const show = (name: string) => {
    const value = values.get(name) ?? "";
    return typeof value === "number" && name.endsWith("Ms") ? formatDuration(value) : String(value);
  };
  return MESSAGES[event].text.replaceAll(/\{(\w+)\}/g, (_, name: string) => show(name)).trimEnd();
}
