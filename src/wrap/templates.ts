/**
 * Finds the pods that do work and end: in Jobs, CronJobs, Pods, lists, and what has a Job inside.
 *
 * @module
 */

import type { Place, Tree } from "./tree.ts";

/** An object of a document. */
export interface Found {
  /** Its kind and name, for a line of the report. */
  readonly title: string;
  readonly place: Place;
  /** The way from the object to what has the pod's metadata and spec; undefined if it is left alone. */
  readonly path?: readonly string[];
  /** What to do instead, if it is left alone. */
  readonly advice?: string;
  /** Whether somebody has said that it is to be left alone. */
  readonly isDisabled?: boolean;
  /** The way from the document's root to the object. */
  readonly from: readonly (string | number)[];
}

const LISTS = /^(List|ResourceList|(Job|CronJob|Pod)List)$/;

/** Kinds with pods of their own making, by API group and kind, and what to do about them. */
const ELSEWHERE: readonly (readonly [group: RegExp, kind: RegExp, advice: string])[] = [
  [
    /^argoproj\.io$/,
    /Workflow|Template/,
    "Argo starts the commands itself: put the wrapper in front of the template's command, in an image that has it",
  ],
  [
    /^tekton\.dev$/,
    /Task|Pipeline|Run/,
    "Tekton's steps run one after the other: put the wrapper in front of the last step's command only, in an image that has it",
  ],
  [
    /^jobset\.x-k8s\.io$/,
    /^JobSet$/,
    "label its pod templates wrapper: enabled, with the policy for a whole cluster (examples/mutating-admission-policy.yaml)",
  ],
  [
    /^batch\.volcano\.sh$|^kubeflow\.org$|^trainer\.kubeflow\.org$|^ray\.io$|^sparkoperator\.k8s\.io$/,
    /Job|Application|Runtime/,
    "its controller makes the pods: put the wrapper in front of the command, in an image that has it",
  ],
];

/** What to do when that is done, because nothing here can see that it is. */
const THEN = "then label it wrapper: disabled itself, and it is not named again";

/** Finds every object that makes pods which end. */
export function findObjects(tree: Tree): readonly Found[] {
  const root = tree.root();
  return root === undefined ? [] : inObject(tree, root, [], "");
}

function inObject(
  tree: Tree,
  place: Place,
  from: readonly (string | number)[],
  usualKind: string,
): readonly Found[] {
  const text = (key: string, of = place) => {
    const value = tree.get(of, key);
    return typeof value === "string" ? value : "";
  };
  const kind = text("kind") || usualKind;
  if (LISTS.test(kind)) {
    return tree.children(place, "items").flatMap((item, index) =>
      inObject(tree, item, [...from, "items", index], kind.replace(/List$/, ""))
    );
  }
  const group = text("apiVersion").replace(/\/?[^/]*$/, "");
  const metadata = tree.child(place, "metadata");
  const name = metadata && (text("name", metadata) || text("generateName", metadata));
  const title = `${kind} ${name || "without a name"}`;
  const elsewhere = ELSEWHERE.find(([groups, kinds]) => groups.test(group) && kinds.test(kind));
  if (elsewhere !== undefined) {
    if (isDisabled(tree, place)) return [{ title, place, from, isDisabled: true }];
    return [{ title, place, advice: `${elsewhere[2]}; ${THEN}`, from }];
  }
  const path = pathOf(kind, group);
  if (path === undefined) return [];
  const pod = follow(tree, place, path);
  if (pod === undefined) return [];
  if (kind === "Pod") {
    const spec = tree.child(pod, "spec");
    const policy = spec && tree.get(spec, "restartPolicy");
    if (policy !== "Never" && policy !== "OnFailure") return [];
  }
  const disabled = isDisabled(tree, place) || isDisabled(tree, pod);
  return [{ title, place, path, from, ...(disabled && { isDisabled: true }) }];
}

/** Whether an object has the label that keeps the wrapper out of it. */
function isDisabled(tree: Tree, place: Place): boolean {
  const labels = follow(tree, place, ["metadata", "labels"]);
  return labels !== undefined && tree.get(labels, "wrapper") === "disabled";
}

function pathOf(kind: string, group: string): readonly string[] | undefined {
  if (kind === "Job") return group === "batch" ? ["spec", "template"] : undefined;
  if (kind === "Pod") return group === "" ? [] : undefined;
  if (kind === "ScaledJob") return ["spec", "jobTargetRef", "template"];
  // A CronJob, and whatever else makes Jobs.
  return ["spec", "jobTemplate", "spec", "template"];
}

/** Goes down from a place; undefined if something is missing. */
export function follow(tree: Tree, place: Place, path: readonly string[]): Place | undefined {
  let at: Place | undefined = place;
  for (const key of path) at = at && tree.child(at, key);
  return at;
}
