/**
 * Finds the pods that do work and end: in Jobs, CronJobs, Pods, lists, and what has a Job inside.
 *
 * @module
 */

import { nearest } from "../nearest.ts";
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
  /** Where in the text that is, if not at the object's own start. */
  readonly offset?: number;
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
  return root === undefined ? [] : inObject(tree, root, [], { kind: "", apiVersion: "" });
}

function inObject(
  tree: Tree,
  place: Place,
  from: readonly (string | number)[],
  usual: { readonly kind: string; readonly apiVersion: string },
): readonly Found[] {
  const text = (key: string, of = place) => {
    const value = tree.get(of, key);
    return typeof value === "string" ? value : "";
  };
  const kind = text("kind") || usual.kind;
  const apiVersion = text("apiVersion") || usual.apiVersion;
  if (LISTS.test(kind)) {
    // What comes from the API server itself has the kind of its items in its own.
    const of = /^(Job|CronJob|Pod)List$/.test(kind)
      ? { kind: kind.replace(/List$/, ""), apiVersion }
      : { kind: "", apiVersion: "" };
    return tree.children(place, "items").flatMap((item, index) =>
      inObject(tree, item, [...from, "items", index], of)
    );
  }
  const group = apiVersion.replace(/\/?[^/]*$/, "");
  const metadata = tree.child(place, "metadata");
  const name = metadata && (text("name", metadata) || text("generateName", metadata));
  const title = `${kind || "object"} ${name || "without a name"}`;
  const elsewhere = ELSEWHERE.find(([groups, kinds]) => groups.test(group) && kinds.test(kind));
  if (elsewhere !== undefined) {
    if (isDisabled(tree, place)) return [{ title, place, from, isDisabled: true }];
    return [{ title, place, advice: `${elsewhere[2]}; ${THEN}`, from }];
  }
  const isObject = apiVersion !== "" || tree.child(place, "spec") !== undefined;
  const mistake = isObject ? mistakeIn(kind, apiVersion, group) : undefined;
  if (mistake !== undefined) {
    const [key, advice] = mistake;
    return [{ title, place, advice, offset: tree.offsetOf(place, key), from }];
  }
  const path = pathOf(kind, group);
  if (path === undefined) return [];
  const pod = follow(tree, place, path);
  if (pod === undefined) return [];
  if (kind === "Pod") {
    const spec = tree.child(pod, "spec");
    const policy = spec && tree.get(spec, "restartPolicy");
    if (policy !== "Never" && policy !== "OnFailure") {
      const meant = ["Never", "OnFailure"].find((one) =>
        one.toLowerCase() === String(policy).toLowerCase()
      );
      if (meant === undefined || spec === undefined) return [];
      const advice = `restartPolicy ${JSON.stringify(policy)}: did you mean ${meant}?`;
      return [{ title, place, advice, offset: tree.offsetOf(spec, "restartPolicy"), from }];
    }
  }
  const disabled = [...path.keys(), path.length].some((length) => {
    const one = follow(tree, place, path.slice(0, length));
    return one !== undefined && isDisabled(tree, one);
  });
  return [{ title, place, path, from, ...(disabled && { isDisabled: true }) }];
}

/** Whether an object has the label that keeps the wrapper out of it. */
function isDisabled(tree: Tree, place: Place): boolean {
  const labels = follow(tree, place, ["metadata", "labels"]);
  return labels !== undefined && tree.get(labels, "wrapper") === "disabled";
}

/** The kinds that are looked at, by the API group that is theirs alone. */
const OWN_KINDS: Readonly<Record<string, readonly string[]>> = {
  "batch": ["Job", "CronJob", "JobList", "CronJobList"],
  "": ["Pod", "List", "PodList"],
};

/** A kind or a group that Kubernetes would refuse, where what was meant would be wrapped. */
function mistakeIn(
  kind: string,
  apiVersion: string,
  group: string,
): readonly [key: string, advice: string] | undefined {
  const own = OWN_KINDS[group] ?? [];
  if (own.includes(kind)) return undefined;
  const isBatch = group === "batch" || apiVersion === "batch";
  const all = Object.values(OWN_KINDS).flat();
  const meant = all.find((one) => one.toLowerCase() === kind.toLowerCase());
  const near = isBatch ? nearest(kind, OWN_KINDS["batch"] ?? []) : undefined;
  const word = meant ?? (near?.isClose ? near.word : undefined);
  if (word !== undefined && word !== kind && (own.includes(word) || apiVersion === "")) {
    return ["kind", `kind ${JSON.stringify(kind)}: did you mean ${word}?`];
  }
  if (kind === "" && isBatch) return ["apiVersion", "its kind is missing: expected Job or CronJob"];
  const isJob = word !== undefined && OWN_KINDS["batch"]?.includes(word);
  if (isJob && (group === "" || isBatch)) {
    const found = apiVersion === ""
      ? "its apiVersion is missing"
      : `apiVersion ${JSON.stringify(apiVersion)}`;
    return ["apiVersion", `${found}: expected batch/v1`];
  }
  return undefined;
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
