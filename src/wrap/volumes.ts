/**
 * The volume with the program, the init container that brings it, and what work containers share.
 *
 * @module
 */

import { OPTIONS } from "../options.ts";
import { type Container, list, type Pod } from "./containers.ts";
import type { Remarks } from "./outcome.ts";
import type { Value } from "./render.ts";
import type { WrapRequest } from "./request.ts";
import { LeftError, merged } from "./tree.ts";

/** Where the init container puts the program, and where the work finds it. */
const FOLDER = "/shared";

/** What a container needs to run the wrapper, so that a ResourceQuota lets it in. */
const RESOURCES: Value = {
  requests: { cpu: "100m", memory: "64Mi" },
  limits: { cpu: "500m", memory: "96Mi" },
};

/** What a namespace with strict rules requires of every container. */
const SECURITY: Value = {
  runAsNonRoot: true,
  runAsUser: 65532,
  runAsGroup: 65532,
  readOnlyRootFilesystem: true,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};

/** The names of what is added to the pod. */
export interface Names {
  /** Where the work containers find the program. */
  readonly folder: string;
  readonly program: string;
  readonly volume: string;
  readonly init: string;
}

/** Names and a folder that nothing else in the pod has. */
export function chooseNames({ tree, spec }: Pod, work: readonly Container[]): Names {
  const volumes = list(tree.get(spec, "volumes")).map((one) => String(merged(one)["name"]));
  const all = ["initContainers", "containers"]
    .flatMap((key) => list(tree.get(spec, key)).map((one) => String(merged(one)["name"])));
  const paths = work.flatMap(({ mountPaths }) => mountPaths);
  const isTaken = (folder: string) =>
    paths.some((path) => path === folder || path.startsWith(`${folder}/`));
  const folder = firstFree(FOLDER, isTaken);
  return {
    folder,
    program: `${folder}/wrapper`,
    volume: firstFree("wrapper", (name) => volumes.includes(name)),
    init: firstFree("install-wrapper", (name) => all.includes(name)),
  };
}

/** What the containers under the wrapper share, if there are several. */
export interface Share {
  readonly volume: string;
  /** Whether the manifest does not have it yet. */
  readonly isNew: boolean;
  folderOf(one: Container): string;
}

/**
 * Chooses the volume that the containers share, as many as they are said to be.
 *
 * @throws {LeftError} if they are said to be fewer than they are, or something else is in the place
 */
export function chooseShare(
  { tree, spec }: Pod,
  work: readonly Container[],
  { variables }: WrapRequest,
  { notes }: Remarks,
): Share | undefined {
  const setting = (one: Container, { variable }: { readonly variable: string }) =>
    variables.get(variable) ?? one.variables[variable];
  const isGiven = variables.has(OPTIONS.containers.variable);
  const said = isGiven ? "--containers" : OPTIONS.containers.variable;
  const counts = work.map((one) => {
    const text = setting(one, OPTIONS.containers);
    const count = text === undefined ? undefined : OPTIONS.containers.kind.parse(text);
    if (count === undefined || count >= work.length) return count ?? work.length;
    throw new LeftError(
      `${said} is ${count}, and ${work.length} containers do work: ${
        work.map(({ name }) => name).join(", ")
      }`,
      tree.startOf(one.place),
    );
  });
  const most = Math.max(...counts);
  if (most < 2) return undefined;
  const withoutSlash = (path: string) => path.replace(/(?<=.)\/+$/, "");
  const folderOf = (one: Container) =>
    withoutSlash(setting(one, OPTIONS.sharedDir) ?? OPTIONS.sharedDir.defaultValue(noVariable));
  const volumes = list(tree.get(spec, "volumes")).map(merged);
  const mounted = work.map((one) => {
    const mount = list(merged(one.place.value)["volumeMounts"]).map(merged).find(({ mountPath }) =>
      withoutSlash(String(mountPath)) === folderOf(one)
    );
    return mount && String(mount["name"]);
  });
  const [first] = mounted;
  const isShared = first !== undefined && mounted.every((name) => name === first) &&
    volumes.some(({ name, emptyDir }) => name === first && emptyDir !== undefined);
  const taken = work[mounted.findIndex((name) => name !== undefined)];
  if (taken !== undefined && !isShared) {
    throw new LeftError(
      `container ${taken.name}: ${
        folderOf(taken)
      } is mounted already, and the containers need an emptyDir there that all of them share`,
      tree.offsetOf(taken.place, "volumeMounts"),
    );
  }
  const names = volumes.map(({ name }) => String(name));
  const volume = isShared ? first : firstFree("wrapper-shared", (name) => names.includes(name));
  if (most > work.length) {
    const few = work.length === 1 ? "one starts the wrapper" : `${work.length} start the wrapper`;
    notes.push(
      `${said} is ${most}, and ${few} here: each of the others must start it, too, and mount the ` +
        `volume ${volume}; the last of them to end waits 10 minutes for one that does not`,
    );
  }
  return { volume, isNew: !isShared, folderOf };
}

const noVariable = () => undefined;

function firstFree(wanted: string, isTaken: (name: string) => boolean): string {
  let name = wanted;
  for (let number = 2; isTaken(name); number++) name = `${wanted}-${number}`;
  return name;
}

/** Gives a work container the program, and what it shares with others. */
export function mountVolumes(
  { tree }: Pod,
  one: Container,
  names: Names,
  share: Share | undefined,
): void {
  tree.addItems(one.place, "volumeMounts", [
    { name: names.volume, mountPath: names.folder, readOnly: true },
    ...(share?.isNew ? [{ name: share.volume, mountPath: share.folderOf(one) }] : []),
  ], { after: ["name", "image", "command", "args", "env"] });
}

/** Adds the volumes, and the init container that puts the program into one of them. */
export function addInstaller(
  { tree, spec }: Pod,
  names: Names,
  share: Share | undefined,
  image: string,
): void {
  tree.addItems(spec, "initContainers", [{
    name: names.init,
    image,
    args: ["--install", names.folder],
    resources: RESOURCES,
    securityContext: SECURITY,
    volumeMounts: [{ name: names.volume, mountPath: names.folder }],
  }], { after: ["restartPolicy"] });
  tree.addItems(spec, "volumes", [
    { name: names.volume, emptyDir: { sizeLimit: "200Mi" } },
    ...(share?.isNew ? [{ name: share.volume, emptyDir: {} }] : []),
  ], { after: ["restartPolicy"] });
}

/** Says so where a container's memory is too little for the wrapper beside its command. */
export function noteLowMemory(one: Container, { notes }: Remarks): void {
  const limit = memoryOf(one);
  if (limit === undefined || limit >= 96 * 2 ** 20) return;
  notes.push(
    `container ${one.name}: its memory limit is low; the wrapper needs 64Mi of it, and 96Mi make it fast`,
  );
}

/** A container's memory limit in bytes, if it has one that can be read. */
function memoryOf({ place }: Container): number | undefined {
  const limit = merged(merged(merged(place.value)["resources"])["limits"])["memory"];
  const [, digits, unit = ""] = /^(\d+)(Ki|Mi|Gi|k|M|G)?$/.exec(String(limit ?? "")) ?? [];
  if (digits === undefined) return undefined;
  const sizes: Readonly<Record<string, number>> = {
    "": 1,
    k: 1e3,
    M: 1e6,
    G: 1e9,
    Ki: 2 ** 10,
    Mi: 2 ** 20,
    Gi: 2 ** 30,
  };
  return Number(digits) * (sizes[unit] ?? 1);
}
