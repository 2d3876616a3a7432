/**
 * Every message that the wrapper can log: the one vocabulary, from which the page in `docs/` that
 * explains the messages is generated.
 *
 * @module
 */

import { formatDuration } from "../time.ts";

/** How important a line is. */
export type LogLevel = "error" | "warn" | "info" | "debug";

/** One kind of log line. */
export interface Message {
  /** The least verbose `--log-level` that shows it. */
  readonly level: LogLevel;
  /**
   * The line, with `{field}` where a field's value goes. A field named `…Ms` is a number of
   * milliseconds and is shown as a duration.
   */
  readonly text: string;
  /** For the page in `docs/`: what it means for the pod, and what to do. */
  readonly meaning: string;
}

/** All messages by event name. The names are stable, because alerts may be built on them. */
export const MESSAGES = {
  "settings-error": {
    level: "error",
    text: "{problem}",
    meaning:
      "An option or a variable is wrong, or COMMAND is missing. COMMAND is not started; the hooks that could be read still run, and `auto` in place of those that could not, so that the pod ends; the exit code is 125. Fix the manifest: the line names the option or variable, its value, and what was expected.",
  },
  "settings-warning": {
    level: "warn",
    text: "{problem}",
    meaning:
      "A variable is ignored, because its value is invalid for this program, or for the program that the variable belongs to, or because no option has this variable; or what was written has no effect. The job runs anyway. Fix or remove the variable; `--print-config` shows the settings in effect.",
  },
  "command-not-started": {
    level: "error",
    text: "cannot start {command}: {reason} (exit code {code})",
    meaning:
      "COMMAND did not run. 127: it is not found, or the interpreter or loader that it needs is not; look at the image's PATH and the spelling. 126: it cannot be executed; look at the file's mode, its architecture and its first line. Of its name, nothing after the first blank or `=` is shown. 125: the settings are wrong (the line before says which), or the system had no resources for another process. The hooks run anyway, so that the pod ends.",
  },
  "command-aborted": {
    level: "warn",
    text: "aborted before the command was started (exit code {code})",
    meaning:
      "Only as a library: the caller's AbortSignal was already aborted. COMMAND is not started, and the hooks run.",
  },
  "command-started": {
    level: "debug",
    text: "started {command} as process {pid}",
    meaning: "COMMAND is running.",
  },
  "command-ended": {
    level: "info",
    text: "command ended with exit code {code} after {durationMs}",
    meaning:
      "COMMAND has ended. 128 + N means that signal N ended it: 137 is SIGKILL, which often means that a memory limit was exceeded; 143 is SIGTERM. The hooks run next, then the wrapper exits with this code.",
  },
  "exit-code-accepted": {
    level: "info",
    text: "exit code {code} counts as success (--success-codes)",
    meaning:
      "COMMAND ended with one of these codes. To everything that asks, hooks and Kubernetes alike, the job has succeeded; the summary keeps the code as `commandExitCode`.",
  },
  "command-timeout": {
    level: "warn",
    text: "command still running after {limitMs} (--timeout): sending {signal}",
    meaning:
      "COMMAND exceeded its time limit. It is told to end, then the hooks run, and the exit code will be 124. If it takes too long to respond to SIGTERM, set --kill-after.",
  },
  "command-killed": {
    level: "warn",
    text: "command still running {limitMs} after {signal} (--kill-after): sending SIGKILL",
    meaning:
      "COMMAND did not end in time after the signal and is killed. The hooks run next. COMMAND had no chance to clean up.",
  },
  "signal-forwarded": {
    level: "debug",
    text: "{signal} passed on to the command",
    meaning: "The wrapper received this signal and sent it to COMMAND.",
  },
  "signals-blocked": {
    level: "warn",
    text: "{signals}: blocked by the wrapper's parent, and cannot be unblocked: {reason}",
    meaning:
      "Whatever started the wrapper had blocked these signals. They reach neither the wrapper nor COMMAND, so that a pod is deleted only after its grace period. Run the program that starts the wrapper without blocking them.",
  },
  "signal-rewritten": {
    level: "debug",
    text: "{signal} passed on to the command as {sent} (--rewrite)",
    meaning:
      "The wrapper received the first signal and sent the other one to COMMAND in its place.",
  },
  "signal-dropped": {
    level: "debug",
    text: "{signal} not passed on to the command (--rewrite)",
    meaning: "The wrapper received this signal, and is told to keep it from COMMAND.",
  },
  "signal-from-terminal": {
    level: "debug",
    text: "{signal} not passed on: the terminal sent it to the command too",
    meaning:
      "On a terminal, a key such as Ctrl-C reaches both COMMAND and the wrapper. COMMAND must not get the signal twice.",
  },
  "signal-refused": {
    level: "warn",
    text: "{signal} cannot be sent to the command: {reason}",
    meaning:
      "COMMAND runs as a different user than the wrapper, for example because it is a set-user-ID program, and the system does not allow the signal. COMMAND is not told about a shutdown and will be killed with its container.",
  },
  "command-stopped": {
    level: "debug",
    text: "command stopped; stopping too",
    meaning: "Someone pressed Ctrl-Z on a terminal. The shell's fg or bg resumes both.",
  },
  "group-ending": {
    level: "info",
    text:
      "processes left behind by the command: {count} ({programs}); sending {signal} (--leftovers)",
    meaning:
      "COMMAND has ended, but processes that it started have not. They are told to end before the hooks run, as `--leftovers end` and `--process-group` have it.",
  },
  "leftovers-awaited": {
    level: "info",
    text: "processes left behind by the command: {count} ({programs}); waiting for them to end",
    meaning:
      "COMMAND has ended, but processes that it started have not, and the hooks run once they have. Either `--leftovers wait` is set, or, with `--process-group`, they have had the signal that told COMMAND to end. Further signals go to them. `--kill-after` and `--timeout` limit the wait; without them it has no limit but the pod's own.",
  },
  "leftovers-timeout": {
    level: "warn",
    text: "processes left behind by the command, still running at --timeout: {count} ({programs})",
    meaning:
      "COMMAND has ended in time, but what it left behind has not. It is ended: SIGTERM for those that have had none, and SIGKILL after --kill-after, or 5 s. The exit code is COMMAND's.",
  },
  "leftovers-unseen": {
    level: "info",
    text: "only processes of the command's session count as left behind: orphans are not adopted",
    meaning:
      "With `--leftovers`, and `--reap=false`, or where reaping is impossible. A process that has left COMMAND's session, such as a daemon, is neither waited for nor ended.",
  },
  "command-outlived": {
    level: "warn",
    text:
      "{signal} ended the command, but not what it started: {count} left ({programs}). If they need the signal, or time to end, set --process-group",
    meaning:
      "COMMAND, often a shell, died of a signal that its children did not get. They go on without their sidecars. `--process-group` sends signals to all of them, and waits for them before the hooks run; a shell that traps the signal (`trap : TERM`) also does its last steps.",
  },
  "group-killed": {
    level: "warn",
    text: "processes left behind by the command still running after {limitMs}: sending SIGKILL",
    meaning:
      "Processes that COMMAND left behind did not end within --kill-after, or 5 s, after SIGTERM and are killed.",
  },
  "orphan-reaped": {
    level: "debug",
    text: "reaped process {pid}, whose parent had ended",
    meaning:
      "As PID 1, or with --reap, the wrapper takes the status of orphans, so that no zombie remains.",
  },
  "reap-unavailable": {
    level: "warn",
    text: "cannot reap orphans: {reason}",
    meaning:
      "The system's C library or kernel does not allow it. Processes that COMMAND leaves behind remain as zombies until the container ends; nothing else is affected. --reap=false removes this line.",
  },
  "wait-started": {
    level: "info",
    text: "waiting up to {limitMs} for {hooks} to be ready",
    meaning: "COMMAND starts as soon as all of these are ready (--wait, --wait-for).",
  },
  "wait-progress": {
    level: "info",
    text: "{hook} ready after {durationMs}; still waiting for {others}",
    meaning: "One of several that COMMAND waits for is ready.",
  },
  "wait-goes-on": {
    level: "info",
    text: "still waiting after {durationMs}: {hooks}",
    meaning:
      "Once a minute: what is not ready yet, each with its last answer. If an answer does not change, look at that sidecar's or server's log, and check the address.",
  },
  "wait-for-nothing": {
    level: "warn",
    text: "--wait waits for nothing (hooks: {hooks}): name what COMMAND needs with --wait-for",
    meaning:
      "The hooks, `file:` or none at all, have nothing that could be ready, so that COMMAND starts at once, perhaps before its network or its database is there. Name what it needs with --wait-for, or remove --wait.",
  },
  "wait-ended": {
    level: "info",
    text: "{hooks} ready after {durationMs}",
    meaning: "Everything that COMMAND waits for is ready; it starts now.",
  },
  "wait-timeout": {
    level: "error",
    text: "not ready after {limitMs} (--wait): {hooks}; {consequence}",
    meaning:
      "A sidecar, or what --wait-for names, was not ready in time. By default, the job fails with exit code 125 and the hooks run; with `--on-wait-timeout start`, COMMAND starts anyway, and may not reach its network. Look at that sidecar's or server's log.",
  },
  "wait-interrupted": {
    level: "warn",
    text: "{signal} while waiting: command not started (exit code {code})",
    meaning:
      "The pod is being deleted before COMMAND has started. The hooks run, and the wrapper ends. There is nothing to do.",
  },
  "sidecar-seen": {
    level: "debug",
    text: "{hook}: seen at {address} ({answer})",
    meaning: "The sidecar answered for the first time. It will be stopped when COMMAND ends.",
  },
  "sidecar-expected": {
    level: "info",
    text:
      "{hook}: not there yet; expecting it for another {remainingMs} at {address} (--startup-window)",
    meaning:
      "COMMAND has ended, and this sidecar has never answered. In a pod it may still be starting, so the wrapper waits for it until the end of the startup window. If the pod has no such sidecar, name only the hooks of sidecars that it has, or set a shorter --startup-window.",
  },
  "sidecars-expected": {
    level: "info",
    text:
      "{hook}: found so far: {found}; expecting others for another {remainingMs} (--startup-window)",
    meaning:
      "COMMAND has ended. The sidecars that were found are told to quit now. Others may still be starting, so the wrapper looks for them until the end of the startup window. To save that time, name the hooks of the sidecars that the pod has, or set a shorter --startup-window.",
  },
  "no-sidecar-found": {
    level: "info",
    text: "{hook}: no sidecar found",
    meaning:
      "No sidecar that the wrapper can recognize has answered, and the startup window has ended. If the pod does have one, it listens somewhere else or does not answer as its preset expects (for example, an Envoy with `allow_paths`), and the pod will not end: name the hook.",
  },
  "hook-doubtful": {
    level: "warn",
    text: "{hook}: will NOT be stopped as things are: {answer} at {address}. {hint}",
    meaning:
      "COMMAND has not been started yet, and it can already be seen that the hook will fail: a `file:` in a folder that is missing or read-only, or (seen by --wait and --check) a Linkerd proxy whose shutdown endpoint is off. COMMAND starts anyway, and may create what is missing. Otherwise the sidecar keeps running at the end, and so does the pod.",
  },
  "hook-note": {
    level: "debug",
    text: "{hook}: {text}",
    meaning: "A hook reports what it does, such as retrying a failed attempt.",
  },
  "hook-stopped": {
    level: "info",
    text: "{hook}: told to quit ({answer}) in {durationMs}",
    meaning:
      "The sidecar accepted the stop request. When its container ends is the sidecar's own matter: most end within a second, consul-dataplane after its grace period, Linkerd's proxy once its last connection is closed (or, if it was never ready, after its whole grace period, 120 s by default).",
  },
  "hook-stop-unsure": {
    level: "warn",
    text: "{hook}: told to quit ({answer}) at {address}, but it may not end. {hint}",
    meaning:
      "The sidecar accepted the request and may not follow it: consul-dataplane before its Envoy has opened its admin port, or a preset's sidecar at a URL that is not the one of its stop request. If the pod does not end, follow the advice in the line.",
  },
  "hook-confirmed": {
    level: "info",
    text: "{hook}: gone after {durationMs}",
    meaning:
      "With --confirm: nobody listens at the sidecar's address any more. Its container has ended, or is about to: some sidecars close this port first (see [the sidecars that were run](sidecars.md)).",
  },
  "hook-still-listening": {
    level: "warn",
    text: "{hook}: still listens at {address} {limitMs} after it was told to quit (--confirm)",
    meaning:
      "The sidecar accepted the stop request and goes on. It may be draining: look at its grace period, or set a longer --confirm. With --strict, the job fails.",
  },
  "hook-unconfirmed": {
    level: "info",
    text: "{hook}: nothing to see of its end (--confirm)",
    meaning: "A `file:` hook has no address: whether the sidecar has read the file shows nowhere.",
  },
  "hook-already-stopped": {
    level: "info",
    text: "{hook}: has already stopped ({answer})",
    meaning:
      "The sidecar was seen before, and nobody listens at its address any more: nothing is left to do. Some sidecars quit so fast after the stop request that their answer is lost; the line then says that the sidecar quit without one. A Linkerd proxy that someone else has told closes its port at once and may live on until its last connection is closed.",
  },
  "hook-gone": {
    level: "warn",
    text:
      "{hook}: has already stopped ({answer}), {when}; should its container be started again (restartPolicy: OnFailure), nothing stops it",
    meaning:
      "The sidecar was seen before and ended without having been told by this wrapper. It was looked for again for one second, in vain. If its container failed, and the pod's restartPolicy is OnFailure, Kubernetes starts it again, after 0.3 s the first time, then after ten seconds and more; the pod then does not end. Look at why that container ended, or use restartPolicy: Never.",
  },
  "sidecar-missing": {
    level: "warn",
    text:
      "{hook}: no such sidecar ({answer} at {address}); if the pod has one, it will not end. {hint}",
    meaning:
      "The manifest names this sidecar, or `WRAPPER_INJECTED` says that one was injected, but nothing has ever answered at this address, and the startup window has ended. If the pod does have this sidecar, it listens somewhere else, or its stop endpoint is not enabled, and the pod will not end: name its address with `--hook NAME=URL`. If it only started late, set `WRAPPER_INJECTED` or a longer --startup-window. If its container never started, `kubectl describe pod` says why. If the pod has no such sidecar, do not name it; if only some pods have it, set `WRAPPER_INJECTED`.",
  },
  "hook-no-sidecar": {
    level: "info",
    text: "{hook}: no such sidecar ({answer} at {address}). {hint}",
    meaning:
      "Nothing has ever answered at this address, and none had to be there: the hook is the default one, `WRAPPER_INJECTED` says that this pod has no sidecar, or the pod is being deleted. If the pod does have this sidecar, it listens somewhere else, and the pod will not end: name its address with `--hook NAME=URL`.",
  },
  "hook-unneeded": {
    level: "info",
    text: "{hook}: not told to quit: {answer}. {hint}",
    meaning:
      "The sidecar is there and cannot be told to quit from here, but its control plane stops it when the job's containers have ended. If the pod does not end, follow the advice in the line.",
  },
  "hook-failed": {
    level: "error",
    text: "{hook}: NOT stopped, the pod may not end: {answer} at {address}. {hint}",
    meaning:
      "The sidecar is there and did not accept the stop request before the deadline. Its container keeps running, and so does the pod, until someone deletes it (`kubectl delete pod`) or the Job's `activeDeadlineSeconds` expires. The exit code is still COMMAND's, unless --strict is on. The answer says why, and the hint what to do where the preset knows it: 404 and 405 mean that the sidecar's stop endpoint is off, or that something else listens there; 401 and 403 that it requires credentials, or accepts this from nobody or from the pod's own loopback only; a connection that broke each time, that its handler fails; no answer, that it hangs, so look at its own log.",
  },
  "hooks-skipped": {
    level: "info",
    text: "hooks not run: exit code {code} and --on {on}; no sidecar was told to quit",
    meaning:
      "The operator asked for hooks only on success, or only on failure. The sidecars keep running, and so does the pod.",
  },
  "hooks-left": {
    level: "info",
    text: "left the sidecars to {others} of this pod",
    meaning:
      "COMMAND has ended, and other containers of the pod still run (--containers). The last of them to end stops the sidecars. There is nothing to do.",
  },
  "containers-expected": {
    level: "info",
    text:
      "{count} of {containers} containers have come so far, and all of them have ended; expecting others for another {remainingMs} (--containers, for containers that run side by side)",
    meaning:
      "The image of another work container may still have to be pulled. If the pod has fewer containers under the wrapper, set --containers to their number. Of containers that run one after another, as Tekton's steps do, none can start before this one has ended: put the wrapper into the last one only, without --containers.",
  },
  "containers-missing": {
    level: "warn",
    text:
      "only {count} of {containers} containers have come (--containers): stopping the sidecars without waiting for more",
    meaning:
      "The startup window has ended. Set --containers to the number of the pod's containers that run under the wrapper side by side; one that starts now finds its sidecars stopped. Of containers that run one after another, wrap the last one only.",
  },
  "containers-too-many": {
    level: "warn",
    text: "{count} containers run under the wrapper, not {containers} (--containers)",
    meaning:
      "The larger number counts, so that no container loses its sidecars. Set --containers to that number.",
  },
  "containers-late": {
    level: "warn",
    text: "the sidecars were told to quit before this container started (--containers)",
    meaning:
      "The other containers had ended, and this one was not expected: set --containers to the number of the pod's containers that run under the wrapper. COMMAND has no sidecar.",
  },
  "shared-dir-failed": {
    level: "warn",
    text: "cannot use {path} any more: {reason}; stopping the sidecars (--shared-dir)",
    meaning:
      "The folder that the pod's containers share was there at the start. Another container may still need the sidecars, but a pod that never ends would be worse.",
  },
  "hooks-signal": {
    level: "warn",
    text: "{signal} while hooks run: another one ends them at once",
    meaning: "The wrapper goes on stopping the sidecars, each until its deadline.",
  },
  "hooks-interrupted": {
    level: "warn",
    text: "{signal} again: hooks given up; a sidecar that was not told yet keeps running",
    meaning:
      "Someone wants the wrapper to end now. If the whole pod is being deleted, Kubernetes stops the sidecars; otherwise the pod does not end by itself.",
  },
  "strict-failure": {
    level: "error",
    text: "command succeeded but a hook failed: exit code 125 (--strict)",
    meaning:
      "With --strict, a sidecar that could not be stopped, or that still listens after --confirm, fails the job. The hook's own line comes before this one.",
  },
  "termination-log-failed": {
    level: "warn",
    text: "cannot write the termination log {path}: {reason}",
    meaning: "Only the summary is lost. Check the path and the container's mounts.",
  },
  "install-failed": {
    level: "error",
    text: "cannot install to {path}: {reason} (exit code 125)",
    meaning:
      "Nothing was left behind under this name. Check the mount in the init container: it must exist and be writable by its user, with room for 110 MB.",
  },
  "stdout-failed": {
    level: "error",
    text: "cannot write to stdout: {reason} (exit code 125)",
    meaning:
      "Only where something is printed, such as with `--wrap` or `--help`: the disk is full, or stdout cannot be written to. What was printed so far is not the whole.",
  },
  "wrap-changed": {
    level: "info",
    text: "{where}: {change}",
    meaning: "Only with `--wrap`: what was changed in this manifest, and why.",
  },
  "wrap-unneeded": {
    level: "info",
    text: "{where}: unchanged: {reason}",
    meaning: "Only with `--wrap`: this manifest needs no wrapper, or has one.",
  },
  "wrap-note": {
    level: "warn",
    text: "{where}: {note}",
    meaning:
      "Only with `--wrap`: the manifest was changed, and somebody has to look at something that it does not show.",
  },
  "wrap-left": {
    level: "warn",
    text: "{where}: NOT wrapped: {reason}",
    meaning:
      "Only with `--wrap`: this manifest was printed as it was, and the exit code is 1. The line says what is missing. If it is to stay as it is, label it `wrapper: disabled`.",
  },
  "wrap-failed": {
    level: "error",
    text: "cannot wrap {reason} (exit code 125)",
    meaning:
      "Only with `--wrap`: a file cannot be read or parsed. Nothing was printed on stdout; the line names the file, the line in it, and what was expected.",
  },
  "internal-error": {
    level: "error",
    text: "error in the wrapper itself: {reason}",
    meaning:
      "This should not happen. If COMMAND is running, it runs to its end; the hooks run, and the exit code is 125. Please report it.",
  },
} as const satisfies Record<string, Message>;

/** The name of a message. */
export type EventName = keyof typeof MESSAGES;

type FieldNames<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | FieldNames<Rest>
  : never;

/** The fields of a message: one for each `{field}` in its text. Alerts rely on their types. */
export type Fields<Event extends EventName> = {
  readonly [Name in FieldNames<typeof MESSAGES[Event]["text"]>]: Name extends
    `${string}Ms` | "code" | "pid" ? number : string;
};

/** Returns the line for a person: the message's text with its fields filled in. */
export function messageText<Event extends EventName>(event: Event, fields: Fields<Event>): string {
  const values: Readonly<Record<string, string | number | undefined>> = fields;
  const [start = "", ...parts] = MESSAGES[event].text.split("{");
  let text = start;
  for (const part of parts) {
    const end = part.indexOf("}");
    const name = part.slice(0, end);
    const value = values[name] ?? "";
    text += typeof value === "number" && name.endsWith("Ms") ? formatDuration(value) : value;
    text += part.slice(end + 1);
  }
  return text.trimEnd();
}
