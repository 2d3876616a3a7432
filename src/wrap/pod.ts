/**
 * Puts the wrapper into one pod template: what happens to a pod, from top to bottom.
 *
 * @module
 */

import { OPTIONS } from "../options.ts";
import { ignored, ignoredBy, isWrapped, optionOf, review } from "./already_wrapped.ts";
import { type Container, type Pod, readPod } from "./containers.ts";
import { type Choice, chooseHooks, type Given } from "./hooks.ts";
import type { Outcome, Remarks } from "./outcome.ts";
import type { WrapRequest } from "./request.ts";
import { changeAnnotations, changeSidecar, type Plan, signalNeeds } from "./sidecars.ts";
import type { Found } from "./templates.ts";
import { LeftError, merged, type Place, type Tree } from "./tree.ts";
import { addVariables, ownHooks } from "./variables.ts";
import { addInstaller, chooseNames, chooseShare, mountVolumes, noteLowMemory } from "./volumes.ts";
import { commandOf, findWork, prependCommand } from "./work.ts";

/**
 * Wraps one object's pod template.
 *
 * @throws {LeftError} if it has to be left as it is
 */
export function wrapPod(tree: Tree, root: Place, found: Found, request: WrapRequest): Outcome {
  const pod = readPod(tree, found, request);
  const given = request.variables.get(OPTIONS.hook.variable);
  const hasNative = pod.init.some(({ restartPolicy }) => restartPolicy === "Always");
  const choose = (hooks: Given) => chooseHooks(pod.marks, pod.known, hasNative, hooks);
  const choice = choose(given);
  const work = findWork(pod, request, given);

  const unneeded = whyUnneeded(pod, work, choice, request);
  if (unneeded !== undefined) return unneeded;
  refuseWork(pod, root, found, work);

  const steps = work.map((one) => ({ one, command: commandOf(tree, one, request) })).map((step) => {
    const own = given ?? ownHooks(step.one);
    return { ...step, choice: own === undefined ? choice : choose(own) };
  });
  const choices = steps.map(({ choice }) => choice);
  const plan: Plan = {
    work,
    targets: [...new Set(choices.flatMap(({ targets }) => targets))],
    isChosen: choices.includes(choice) && given === undefined,
  };
  const remarks: Remarks = { lines: [], notes: [] };
  const { lines, notes } = remarks;
  const needsNamespace = signalNeeds(pod, plan, remarks);
  const names = chooseNames(pod, work);
  const share = chooseShare(pod, work, request, remarks);

  for (const { one, command: { words, note }, choice } of steps) {
    if (note !== undefined) notes.push(`container ${one.name}: ${note}`);
    prependCommand(tree, one, names.program, words);
    lines.push(`container ${one.name}: its command begins with ${names.program}`);
    addVariables(pod, one, choice, work.length, request, remarks);
    mountVolumes(pod, one, names, share);
    noteLowMemory(one, remarks);
  }
  if (request.containers.length === 0) noteSeveral(work, remarks);

  for (const one of pod.known) changeSidecar(pod, one, plan, request.variables, remarks);
  if (choice.mayHaveMore && plan.isChosen) noteInjection(choice, remarks);
  changeAnnotations(pod, choice, remarks);
  if (needsNamespace) {
    tree.setEntry(pod.spec, "shareProcessNamespace", true, ["restartPolicy"]);
    lines.push("shareProcessNamespace: true: a signal reaches another container only then");
  }

  addInstaller(pod, names, share, request.image);
  lines.push(
    `init container ${names.init}: brings the wrapper from ${request.image} into a volume`,
  );
  return { state: "wrapped", lines, notes };
}

/**
 * What comes of a pod that needs no change.
 *
 * @returns undefined if it needs some
 * @throws {LeftError} if only some of the work containers have the wrapper
 */
function whyUnneeded(
  pod: Pod,
  work: readonly Container[],
  choice: Choice,
  request: WrapRequest,
): Outcome | undefined {
  const wrapped = pod.containers.filter(isWrapped);
  if (wrapped.length > 0) {
    const [bare] = work.filter((one) => !isWrapped(one));
    if (bare !== undefined) {
      throw new LeftError(
        `container ${wrapped[0]?.name} has the wrapper, and ${bare.name} does not`,
        pod.tree.startOf(bare.place),
      );
    }
    return {
      state: "unneeded",
      lines: [`container ${wrapped[0]?.name} starts the wrapper already`],
      notes: [
        ...ignoredBy(wrapped, pod, request),
        ...wrapped.flatMap((one) => review(one, request)),
      ],
    };
  }
  const isGiven = request.variables.has(OPTIONS.hook.variable);
  if (!choice.isNative || pod.known.length > 0 || isGiven) return undefined;
  return {
    state: "unneeded",
    lines: ["its sidecars are native: Kubernetes itself stops them"],
    notes: ignored([...request.variables.keys()].map(optionOf)),
  };
}

/** @throws {LeftError} if the wrapper could not run there, or a change would reach other places */
function refuseWork(
  { tree, spec, known }: Pod,
  root: Place,
  { from, path = [] }: Found,
  work: readonly Container[],
): void {
  const system = merged(tree.get(spec, "os"))["name"] ??
    merged(tree.get(spec, "nodeSelector"))["kubernetes.io/os"];
  if (system === "windows") throw new LeftError("it runs on Windows, and the image is for Linux");
  if (work.length === 0) {
    throw new LeftError("no container does work; name one with --container NAME");
  }
  const template = [...from, ...path];
  for (const { index } of [...work, ...known]) {
    tree.refuseShared(root, [...template, "spec", "containers", index]);
  }
  tree.refuseShared(root, template);
}

function noteSeveral(work: readonly Container[], { notes }: Remarks): void {
  if (work.length < 2) return;
  const all = work.map(({ name }) => name).join(" and ");
  notes.push(
    `containers ${all} are all taken for work, and the sidecars run until the last of them has ended; ` +
      "one that does not end by itself hangs the pod: name the work with --container NAME, and the other's stop request with --hook",
  );
}

function noteInjection({ targets }: Choice, { notes }: Remarks): void {
  const hooks = [...targets, "istio"].map((target) => `--hook ${target}`).join(" ");
  notes.push(
    `only what is named here is told to quit; if the namespace injects a sidecar, too, name it: ${hooks}`,
  );
}
