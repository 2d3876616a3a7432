/**
 * The variables of a work container: what the wrapper has to be told.
 *
 * @module
 */

import { OPTIONS } from "../options.ts";
import type { Container, Pod } from "./containers.ts";
import { type Choice, type Given, UNREADABLE } from "./hooks.ts";
import type { Remarks } from "./outcome.ts";
import type { Value } from "./render.ts";
import type { Check, WrapRequest } from "./request.ts";
import { isShell, scriptOf, stopsSidecars } from "./shell.ts";
import { LeftError, merged, type Place, type Tree } from "./tree.ts";

/** A container's variables while some are added. */
interface Variables {
  /** The container's name. */
  readonly container: string;
  /** The entries that it did not have. */
  readonly added: { [key: string]: Value }[];
  isThere(name: string): boolean;
  /** Gives a variable its value, unless it has another that nobody asked to change. */
  add(name: string, value: string, reason: string): void;
}

/**
 * Adds what the wrapper has to be told.
 *
 * @param count how many containers do work
 * @throws {LeftError} if the wrapper would not start its command then
 */
export function addVariables(
  pod: Pod,
  one: Container,
  choice: Choice,
  count: number,
  { variables: given, check }: WrapRequest,
  remarks: Remarks,
): void {
  const env = variablesOf(pod.tree, one, given, remarks);
  addHooks(env, choice, given, remarks);
  addNeeded(env, pod, choice, remarks);
  addInjected(env, choice, given, remarks);
  for (const { option: { variable }, value, why } of impliedSettings(pod, one, choice, count)) {
    if (!given.has(variable)) env.add(variable, value, why);
  }
  if (stopsSidecars(one.words)) {
    remarks.notes.push(
      `container ${one.name}: its script tells a sidecar to quit itself; that part can go`,
    );
  }
  for (const [variable, value] of given) {
    if (variable !== OPTIONS.hook.variable) env.add(variable, value, "as the option says");
  }
  const all = { ...readable(one.variables), ...plain(env.added), ...Object.fromEntries(given) };
  checkVariables(pod.tree, one, all, check, remarks);
  if (env.added.length > 0) {
    pod.tree.addItems(one.place, "env", env.added, { after: ["name", "image", "command", "args"] });
  }
}

function variablesOf(
  tree: Tree,
  one: Container,
  given: ReadonlyMap<string, string>,
  { lines, notes }: Remarks,
): Variables {
  const added: { [key: string]: Value }[] = [];
  const isThere = (name: string) => one.variableNames.includes(name);
  /** What was typed may have a password in it. */
  const shown = (name: string, value: string) => given.has(name) ? name : `${name}=${value}`;
  const add = (name: string, value: string, reason: string) => {
    if (one.variables[name] === value) return;
    const entry = entryOf(tree, one, name);
    if (!isThere(name)) added.push({ name, value });
    else if (given.has(name) && name in one.variables && entry !== undefined) {
      tree.replaceScalar(entry, "value", value);
    } else {
      notes.push(`container ${one.name}: ${name} is there already, and stays`);
      return;
    }
    lines.push(`container ${one.name}: ${shown(name, value)}: ${reason}`);
  };
  return { container: one.name, added, isThere, add };
}

/** Names the sidecars to stop. */
function addHooks(
  env: Variables,
  { targets, why }: Choice,
  given: ReadonlyMap<string, string>,
  { notes }: Remarks,
): void {
  const { variable } = OPTIONS.hook;
  if (env.isThere(variable) && !given.has(variable)) {
    notes.push(`container ${env.container}: ${variable} is there already, and stays`);
  } else env.add(variable, given.get(variable) ?? targets.join(","), why);
}

/** Adds what an injected sidecar needs to know from the command's side. */
function addNeeded(
  env: Variables,
  { marks }: Pod,
  { injected }: Choice,
  { lines }: Remarks,
): void {
  for (const { variables: needed } of injected) {
    for (const { name, ...rest } of needed?.(marks) ?? []) {
      if (env.isThere(name)) continue;
      env.added.push({ name, ...rest as { [key: string]: Value } });
      lines.push(`container ${env.container}: ${name}: the sidecar refuses to quit without it`);
    }
  }
}

/** Says whether a sidecar comes at all, so that a pod without one ends at once. */
function addInjected(
  env: Variables,
  { injection }: Choice,
  given: ReadonlyMap<string, string>,
  remarks: Remarks,
): void {
  const name = OPTIONS.injected.variable;
  if (given.has(name) || env.isThere(name)) return;
  switch (injection.kind) {
    case "marks": {
      const { injectors } = injection;
      const [only, ...more] = injectors;
      const from = (mark: string) => ({ fieldRef: { fieldPath: mark } });
      if (only === undefined) break;
      if (more.length === 0) env.added.push({ name, valueFrom: from(only.mark) });
      else {
        for (const { variable, mark } of injectors) {
          if (!env.isThere(variable)) env.added.push({ name: variable, valueFrom: from(mark) });
        }
        env.added.push({ name, value: injectors.map(({ variable }) => `$(${variable})`).join("") });
      }
      remarks.lines.push(
        `container ${env.container}: ${name}: a pod without a sidecar ends at once`,
      );
      break;
    }
    case "always":
      env.add(name, "true", `the container ${injection.container} comes in any case`);
      break;
    case "unknown":
      remarks.notes.push(
        `container ${env.container}: ${name} is left out, because it would count for all hooks, and only ` +
          `${injection.injected} is injected; if one of the sidecars comes in any case, --injected true`,
      );
      break;
    case "nothing":
  }
}

/** The settings that follow from the pod and the command, where no option says otherwise. */
function impliedSettings(
  { tree, spec, known, marks }: Pod,
  { words }: Container,
  { targets }: Choice,
  count: number,
) {
  const slow = known.filter(({ sidecar }) => sidecar?.shutdownTimeout !== undefined)
    .filter(({ sidecar }) => targets.includes(sidecar?.hook(marks) ?? ""))
    .toSorted((a, b) => timeoutOf(b) - timeoutOf(a))[0];
  const timeout = slow?.sidecar?.shutdownTimeout;
  return [
    ...(count > 1
      ? [{
        option: OPTIONS.containers,
        value: String(count),
        why: "the last of them to end stops the sidecars",
      }]
      : []),
    ...(timeout !== undefined
      ? [{
        option: OPTIONS.shutdownTimeoutMs,
        value: timeout,
        why: `the container ${slow?.name} may take so long to end`,
      }]
      : []),
    ...(tree.get(spec, "restartPolicy") === "OnFailure"
      ? [{
        option: OPTIONS.on,
        value: "success",
        why: "with restartPolicy OnFailure, the next attempt needs the sidecar",
      }]
      : []),
    ...(isShell(words) && scriptOf(words) !== undefined
      ? [{
        option: OPTIONS.processGroup,
        value: "true",
        why:
          'the command is a shell with several steps, and a signal must reach them all; for a last step after SIGTERM, see "A shell as the command"',
      }]
      : []),
  ];
}

function timeoutOf({ sidecar }: Container): number {
  return OPTIONS.shutdownTimeoutMs.kind.parse(sidecar?.shutdownTimeout ?? "") ?? 0;
}

/** @throws {LeftError} if the wrapper would refuse its variables, and not start its command */
function checkVariables(
  tree: Tree,
  { name, place }: Container,
  variables: Readonly<Record<string, string>>,
  check: Check | undefined,
  { notes }: Remarks,
): void {
  const { problems = [], warnings = [] } = check?.(["command"], variables) ?? {};
  if (problems.length > 0) {
    throw new LeftError(
      `container ${name}: the wrapper would not start its command: ${problems.join("; ")}`,
      tree.offsetOf(place, "env"),
    );
  }
  notes.push(...warnings.map((warning) => `container ${name}: ${warning}`));
}

/** The TARGETs that a container names itself. */
export function ownHooks({ variableNames, variables }: Container): Given {
  if (!variableNames.includes(OPTIONS.hook.variable)) return undefined;
  const text = variables[OPTIONS.hook.variable];
  return text === undefined || text.trim() === "" || isReference(text) ? UNREADABLE : text;
}

/** The entry of a container's variable, if it has one. */
export function entryOf(tree: Tree, { place }: Container, name: string): Place | undefined {
  return tree.children(place, "env").find(({ value }) => merged(value)["name"] === name);
}

/** The variables whose value is all in the manifest. */
export function readable(
  variables: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(variables).filter(([, text]) => !isReference(text)));
}

/** The variables that have a plain value. */
function plain(entries: readonly { readonly [key: string]: Value }[]): Record<string, string> {
  const pairs = entries.flatMap(({ name, value }) =>
    typeof name === "string" && typeof value === "string" && !isReference(value)
      ? [[name, value]]
      : []
  );
  return Object.fromEntries(pairs);
}

/** Whether Kubernetes puts another variable's value there. */
function isReference(text: string): boolean {
  return /\$\(/.test(text);
}
