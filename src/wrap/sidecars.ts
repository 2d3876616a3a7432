/**
 * What a pod's sidecars need to be told to quit.
 *
 * @module
 */

import { hasFlag } from "../../hooks/manifest/google_proxies.ts";
import { isOlder, type SidecarManifest, versionOf } from "../../hooks/manifest/types.ts";
import { OPTIONS } from "../options.ts";
import { type Container, type Pod, repositoryOf } from "./containers.ts";
import { type Choice, presetOf } from "./hooks.ts";
import type { Remarks } from "./outcome.ts";
import { hasShell } from "./shell.ts";
import { LeftError, merged, type Place, record, type Tree } from "./tree.ts";
import { entryOf } from "./variables.ts";

/** What is decided before anything is changed. */
export interface Plan {
  readonly work: readonly Container[];
  /** The TARGETs of all work containers. */
  readonly targets: readonly string[];
  /** Whether they follow from the manifest. */
  readonly isChosen: boolean;
}

/** What the work containers do with one sidecar. */
interface Use {
  readonly isChosen: boolean;
  /** Whether its hook tells it to quit. */
  readonly isTold: boolean;
  /** Whether something may tell it to quit: a URL may be the sidecar's own. */
  readonly mayBeTold: boolean;
  /** Whether COMMAND waits for it. */
  readonly isAwaited: boolean;
}

/**
 * Gives a sidecar of the manifest's own what it needs to be told to quit.
 *
 * @param given the options, as variables
 * @throws {LeftError} if it cannot be told
 */
export function changeSidecar(
  pod: Pod,
  one: Container,
  plan: Plan,
  given: ReadonlyMap<string, string>,
  remarks: Remarks,
): void {
  const { sidecar } = one;
  if (sidecar === undefined) return;
  const use = useOf(presetOf(sidecar.hook(pod.marks, one)), plan, given);
  const problem = use.isTold ? sidecar.problem?.(one) : undefined;
  if (problem !== undefined) throw refusal(pod.tree, one, problem);
  addFlags(pod, one, sidecar, use, remarks);
  if (!use.isTold) return;
  correctVariables(pod, one, sidecar, remarks);
  if (sidecar.advice !== undefined) remarks.notes.push(`container ${one.name}: ${sidecar.advice}`);
}

function useOf(
  preset: string,
  { work, targets, isChosen }: Plan,
  given: ReadonlyMap<string, string>,
): Use {
  const isNamed = (list: readonly string[]) =>
    list.some((target) => target === "auto" || presetOf(target) === preset);
  const isTold = isChosen || isNamed(targets);
  const awaited = given.get(OPTIONS.waitTargets.variable);
  const isSet = ({ variable }: { readonly variable: string }) =>
    given.has(variable) || work.some(({ variableNames }) => variableNames.includes(variable));
  return {
    isChosen,
    isTold,
    mayBeTold: isTold || targets.some((target) => /^([A-Z]+ )?https?:/.test(target)),
    isAwaited: awaited === undefined
      ? isTold && (isSet(OPTIONS.waitMs) || isSet(OPTIONS.waitTargets))
      : isNamed(OPTIONS.waitTargets.kind.split?.(awaited) ?? []),
  };
}

/** Adds the arguments without which the sidecar has no stop request, or no health check. */
function addFlags(
  { tree, marks }: Pod,
  one: Container,
  sidecar: SidecarManifest,
  use: Use,
  { lines, notes }: Remarks,
): void {
  const { name } = one;
  const missing = (sidecar.flags ?? []).filter((need) =>
    (need.forWait ? use.isAwaited : use.mayBeTold) && !hasFlag(one, need)
  );
  if (missing.length === 0) return;
  const version = sidecar.image.test(repositoryOf(one.image)) ? versionOf(one.image) : undefined;
  const unknown = missing.find(({ since }) => version !== undefined && isOlder(version, since));
  if (unknown !== undefined) {
    if (!use.isTold && !unknown.forWait) return;
    throw refusal(
      tree,
      one,
      `version ${
        version?.join(".")
      } does not know ${unknown.flag}, and would not start with it: use ` +
        `${unknown.since} or later` +
        (unknown.forWait
          ? ""
          : `, or stop it in another way: --hook signal:${
            presetOf(sidecar.hook(marks, one))
          }, --hook file:PATH`),
    );
  }
  if (hasShell(one.words)) {
    if (!use.isChosen) return;
    throw refusal(
      tree,
      one,
      `a shell starts it, so that it cannot be given ${missing[0]?.flag}; start the program itself`,
    );
  }
  const key = one.args.length > 0 || one.command.length < 2 ? "args" : "command";
  tree.addItems(one.place, key, missing.map(({ flag }) => flag), {
    after: ["name", "image", "command"],
  });
  for (const { flag, why } of missing) lines.push(`container ${name}: ${flag}: ${why}`);
  const isNewest = /^[^@:]*(:(latest|stable))?$/.test(one.image.replace(/^.*\//, ""));
  if (version === undefined && !isNewest) {
    const needs = missing.map(({ flag, since }) => `${flag} needs ${since}`).join(", ");
    notes.push(`container ${name}: its image does not tell its version: ${needs} or later`);
  }
}

/** Corrects what an injector that ran before wrote into the sidecar's own container. */
function correctVariables(
  { tree }: Pod,
  one: Container,
  sidecar: SidecarManifest,
  { lines, notes }: Remarks,
): void {
  const { name } = one;
  for (const { name: key, value, why } of sidecar.ownVariables ?? []) {
    const entry = entryOf(tree, one, key);
    if (entry === undefined || one.variables[key] === value) continue;
    if (!(key in one.variables)) {
      notes.push(`container ${name}: ${key} comes from elsewhere, and has to be ${value}: ${why}`);
      continue;
    }
    tree.replaceScalar(entry, "value", value);
    lines.push(`container ${name}: ${key}=${value}: ${why}`);
  }
}

function refusal(tree: Tree, { name, place }: Container, reason: string): LeftError {
  return new LeftError(`container ${name}: ${reason}`, tree.startOf(place));
}

/** Adds the annotations without which an injected sidecar refuses to quit. */
export function changeAnnotations(
  { tree, template, marks: { annotations } }: Pod,
  { injected }: Choice,
  { lines }: Remarks,
): void {
  const metadata = tree.child(template, "metadata");
  const place = metadata && tree.child(metadata, "annotations");
  const added: Record<string, string> = {};
  for (const { key, value, keepsOther, why } of injected.flatMap((one) => one.annotations ?? [])) {
    const old = annotations[key];
    if (old === value || old !== undefined && keepsOther) continue;
    if (old === undefined) added[key] = value;
    else if (place !== undefined) tree.replaceScalar(place, key, value);
    lines.push(`annotation ${key}: ${value}: ${why}`);
  }
  if (metadata !== undefined && Object.keys(added).length > 0) {
    tree.addEntries(metadata, "annotations", added);
  }
}

/**
 * Whether the pod must get one process namespace, for a sidecar that ends at a signal only.
 *
 * @throws {LeftError} if the signal would not be allowed
 */
export function signalNeeds(
  { tree, spec, containers, known }: Pod,
  { work, targets, isChosen }: Plan,
  { notes }: Remarks,
): boolean {
  const needed = isChosen ? known.filter(({ sidecar }) => sidecar?.needsSignal) : [];
  const isSignal = needed.length > 0 || targets.some((target) => target.startsWith("signal:"));
  if (!isSignal) return false;
  const userOf = ({ value }: Place) =>
    record(merged(value)["securityContext"])["runAsUser"] ??
      record(spec.value["securityContext"])["runAsUser"];
  const users = new Set(containers.map(({ place }) => userOf(place)));
  const isSame = users.size === 1 && !users.has(undefined);
  if (needed.length === 0 && !isSame && !work.every(({ place }) => userOf(place) === 0)) {
    notes.push(
      "a signal reaches another container only from the same user, or from root: set " +
        "spec.securityContext.runAsUser in the pod",
    );
  }
  for (const one of needed) {
    const isAllowed = work.every(({ place }) => {
      const user = userOf(place);
      return user === 0 || (user !== undefined && user === userOf(one.place));
    });
    if (!isAllowed) {
      throw new LeftError(
        `container ${one.name}: ${one.sidecar?.title} ends at a signal only, which needs the same ` +
          "runAsUser in its container and in the work's: set spec.securityContext.runAsUser in the pod",
        tree.startOf(one.place),
      );
    }
  }
  const old = tree.get(spec, "shareProcessNamespace");
  if (old === false) throw new LeftError("shareProcessNamespace is false, and a signal needs it");
  return old !== true;
}
