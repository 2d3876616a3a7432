/**
 * Puts the wrapper into one pod template.
 *
 * @module
 */

import { hasFlag } from "../../hooks/manifest/google_proxies.ts";
import type { PodMarks } from "../../hooks/manifest/types.ts";
import { OPTIONS } from "../options.ts";
import { type Container, list, readContainer } from "./containers.ts";
import { type Choice, chooseHooks } from "./hooks.ts";
import type { Value } from "./render.ts";
import type { WrapRequest } from "./request.ts";
import { isShell, scriptOf, stopsSidecars } from "./shell.ts";
import { follow, type Found } from "./templates.ts";
import { LeftError, merged, type Place, record, type Tree } from "./tree.ts";

/** What came of one object. */
export interface Outcome {
  readonly state: "wrapped" | "unneeded" | "left";
  /** Each change and why, or why there is none. */
  readonly lines: readonly string[];
  /** What somebody has to look at. */
  readonly notes: readonly string[];
}

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

/**
 * Wraps one object's pod template.
 *
 * @throws {LeftError} if it has to be left as it is
 */
export function wrapPod(tree: Tree, root: Place, found: Found, request: WrapRequest): Outcome {
  const { place, path = [], from } = found;
  const template = follow(tree, place, path);
  const spec = template && tree.child(template, "spec");
  if (template === undefined || spec === undefined) throw new LeftError("it has no pod template");
  const containers = tree.children(spec, "containers").map(readContainer);
  const init = list(tree.get(spec, "initContainers")).map(merged);
  const marks = readMarks(template);

  const known = containers.filter((one) =>
    one.sidecar !== undefined && !request.containers.includes(one.name)
  );
  const given = request.variables.get(OPTIONS.hook.variable);
  const hasNative = init.some(({ restartPolicy }) => restartPolicy === "Always");
  const choice = chooseHooks(marks, known, hasNative, given);
  const work = findWork(containers, known, request, given);

  const wrapped = containers.filter(isWrapped);
  if (wrapped.length > 0) {
    const bare = work.filter((one) => !isWrapped(one));
    if (bare.length > 0) {
      throw new LeftError(
        `container ${wrapped[0]?.name} has the wrapper, and ${bare[0]?.name} does not`,
      );
    }
    return unneeded(`container ${wrapped[0]?.name} starts the wrapper already`);
  }
  if (choice.isNative && known.length === 0 && given === undefined) {
    return unneeded("its sidecars are native: Kubernetes itself stops them");
  }
  const system = merged(tree.get(spec, "os"))["name"] ??
    merged(tree.get(spec, "nodeSelector"))["kubernetes.io/os"];
  if (system === "windows") throw new LeftError("it runs on Windows, and the image is for Linux");
  if (work.length === 0) {
    throw new LeftError("no container does work; name one with --container NAME");
  }
  const where = [...from, ...path, "spec", "containers"];
  for (const { index } of [...work, ...known]) tree.refuseShared(root, [...where, index]);
  tree.refuseShared(root, [...from, ...path]);
  const commands = work.map((one) => commandOf(one, request));
  const processNamespace = signalNeeds(tree, spec, known, work, choice, given);

  const lines: string[] = [];
  const notes: string[] = [];
  const names = chooseNames(tree, spec, work);
  const isOnFailure = tree.get(spec, "restartPolicy") === "OnFailure";
  for (const [index, one] of work.entries()) {
    const { words, note } = commands[index] ?? { words: [] };
    if (note !== undefined) notes.push(`container ${one.name}: ${note}`);
    prependCommand(tree, one, names.program, words);
    lines.push(`container ${one.name}: its command begins with ${names.program}`);
    addVariables(tree, one, choice, request, {
      marks,
      count: work.length,
      isOnFailure,
      lines,
      notes,
    });
    tree.addItems(one.place, "volumeMounts", [
      { name: names.volume, mountPath: names.folder, readOnly: true },
      ...(work.length > 1 ? [{ name: names.shared, mountPath: "/run/wrapper" }] : []),
    ], { after: AFTER });
    const limit = memoryOf(one);
    if (limit !== undefined && limit < 96 * 2 ** 20) {
      notes.push(
        `container ${one.name}: its memory limit is low; the wrapper needs 64Mi of it, and 96Mi make it fast`,
      );
    }
  }
  for (const one of known) changeSidecar(tree, one, request, lines, notes);
  if (choice.mayHaveMore) {
    const hooks = [...choice.targets, "istio"].map((target) => `--hook ${target}`).join(" ");
    notes.push(
      `only what is named here is told to quit; if the namespace injects a sidecar, too, name it: ${hooks}`,
    );
  }
  changeAnnotations(tree, template, marks, choice, lines);
  if (processNamespace) {
    tree.setEntry(spec, "shareProcessNamespace", true, ["restartPolicy"]);
    lines.push("shareProcessNamespace: true: a signal reaches another container only then");
  }
  tree.addItems(spec, "initContainers", [{
    name: names.init,
    image: request.image,
    args: ["--install", names.folder],
    resources: RESOURCES,
    securityContext: SECURITY,
    volumeMounts: [{ name: names.volume, mountPath: names.folder }],
  }], { after: ["restartPolicy"] });
  tree.addItems(spec, "volumes", [
    { name: names.volume, emptyDir: { sizeLimit: "200Mi" } },
    ...(work.length > 1 ? [{ name: names.shared, emptyDir: {} }] : []),
  ], { after: ["restartPolicy"] });
  lines.push(
    `init container ${names.init}: brings the wrapper from ${request.image} into a volume`,
  );
  return { state: "wrapped", lines, notes };
}

const AFTER = ["name", "image", "command", "args", "env"];

function unneeded(reason: string): Outcome {
  return { state: "unneeded", lines: [reason], notes: [] };
}

function readMarks(template: Place): PodMarks {
  const metadata = merged(template.value["metadata"]);
  const texts = (value: unknown) =>
    Object.fromEntries(Object.entries(merged(value)).map(([key, text]) => [key, String(text)]));
  return { labels: texts(metadata["labels"]), annotations: texts(metadata["annotations"]) };
}

/** Whether a container has the wrapper already. */
function isWrapped({ command, args }: Container): boolean {
  return [command[0], command.length === 0 ? args[0] : undefined].some((word) =>
    word !== undefined && /(^|\/)wrapper$/.test(word)
  );
}

function findWork(
  containers: readonly Container[],
  known: readonly Container[],
  request: WrapRequest,
  hook: string | undefined,
): readonly Container[] {
  const named = containers.filter(({ name }) => request.containers.includes(name));
  const others = containers.filter((one) => !known.includes(one));
  if (named.length > 0) {
    const rest = others.filter((one) => !named.includes(one));
    if (rest.length > 0 && hook === undefined) {
      throw new LeftError(
        `nothing is known about container ${
          rest[0]?.name
        }: say how it is told to quit, with --hook`,
      );
    }
    return named;
  }
  const server = others.length > 1
    ? others.find((one) => one.isLikelyServer && !isWrapped(one))
    : undefined;
  if (server !== undefined) {
    throw new LeftError(
      `container ${server.name} may be work, or a sidecar that is not known: name the work with ` +
        "--container NAME, and a sidecar's stop request with --hook",
    );
  }
  return others;
}

/** The words that come after the wrapper where they are not in the manifest, and what to say. */
function commandOf(
  { name, command, args }: Container,
  { entrypoints }: WrapRequest,
): { readonly words: readonly string[]; readonly note?: string } {
  if (command.length > 0) return { words: [] };
  const words = entrypoints.get(name);
  if (words === undefined) {
    throw new LeftError(
      `container ${name} has no command, and its image's ENTRYPOINT is not known: ` +
        `write the command out, or --entrypoint '${name}=["/app","run"]'`,
    );
  }
  return args.length > 0 ? { words } : {
    words,
    note:
      "with a command, Kubernetes ignores the image's CMD: if it has one, it belongs into --entrypoint, too",
  };
}

function prependCommand(
  tree: Tree,
  { place, command }: Container,
  program: string,
  words: readonly string[],
): void {
  const first = command[0] ?? words[0] ?? "";
  const start = first.startsWith("-") ? [program, "--"] : [program];
  tree.addItems(place, "command", [...start, ...words], { first: true, after: ["name", "image"] });
}

/** Adds what the wrapper has to be told. */
function addVariables(
  tree: Tree,
  one: Container,
  { targets, why, marks: injectors, injected }: Choice,
  { variables }: WrapRequest,
  { marks, count, isOnFailure, lines, notes }: {
    readonly marks: PodMarks;
    readonly count: number;
    readonly isOnFailure: boolean;
    readonly lines: string[];
    readonly notes: string[];
  },
): void {
  const added: { [key: string]: Value }[] = [];
  const isThere = (name: string) => one.variableNames.includes(name);
  const add = (name: string, value: string, reason: string) => {
    if (isThere(name)) {
      if (one.variables[name] === value) return;
      const entry = tree.children(one.place, "env").find((entry) => entry.value["name"] === name);
      if (variables.has(name) && name in one.variables && entry !== undefined) {
        tree.replaceScalar(entry, "value", value);
        lines.push(`container ${one.name}: ${shown(name, value)}: ${reason}`);
      } else notes.push(`container ${one.name}: ${name} is there already, and stays`);
      return;
    }
    added.push({ name, value });
    lines.push(`container ${one.name}: ${shown(name, value)}: ${reason}`);
  };
  /** What was typed may have a password in it. */
  const shown = (name: string, value: string) => variables.has(name) ? name : `${name}=${value}`;
  add(OPTIONS.hook.variable, targets.join(","), why);
  for (const { variables: needed } of injected) {
    for (const { name, ...rest } of needed?.(marks) ?? []) {
      if (isThere(name)) continue;
      added.push({ name, ...rest as { [key: string]: Value } });
      lines.push(`container ${one.name}: ${name}: the sidecar refuses to quit without it`);
    }
  }
  const [only, ...more] = injectors;
  const name = OPTIONS.injected.variable;
  if (only !== undefined && !variables.has(name) && !isThere(name)) {
    const from = (mark: string) => ({ fieldRef: { fieldPath: mark } });
    if (more.length === 0) added.push({ name, valueFrom: from(only.mark) });
    else {
      for (const { variable, mark } of injectors) {
        if (!isThere(variable)) added.push({ name: variable, valueFrom: from(mark) });
      }
      added.push({ name, value: injectors.map(({ variable }) => `$(${variable})`).join("") });
    }
    lines.push(`container ${one.name}: ${name}: a pod without a sidecar ends at once`);
  }
  if (count > 1) {
    add(OPTIONS.containers.variable, String(count), "the last of them to end stops the sidecars");
  }
  if (isOnFailure && !variables.has(OPTIONS.on.variable)) {
    add(
      OPTIONS.on.variable,
      "success",
      "with restartPolicy OnFailure, the next attempt needs the sidecar",
    );
  }
  const script = scriptOf(one.words);
  const isGroup = isShell(one.words) && script !== undefined;
  if (isGroup && !variables.has(OPTIONS.processGroup.variable)) {
    add(
      OPTIONS.processGroup.variable,
      "true",
      'the command is a shell with several steps, and a signal must reach them all; for a last step after SIGTERM, see "A shell as the command"',
    );
  }
  if (stopsSidecars(one.words)) {
    notes.push(
      `container ${one.name}: its script tells a sidecar to quit itself; that part can go`,
    );
  }
  for (const [variable, value] of variables) {
    if (variable !== OPTIONS.hook.variable) add(variable, value, "as the option says");
  }
  if (added.length > 0) {
    tree.addItems(one.place, "env", added, { after: ["name", "image", "command", "args"] });
  }
}

/** Gives a sidecar of the manifest's own what it needs to be told to quit. */
function changeSidecar(
  tree: Tree,
  one: Container,
  { variables }: WrapRequest,
  lines: string[],
  notes: string[],
): void {
  const { sidecar, name } = one;
  if (sidecar === undefined) return;
  if (!variables.has(OPTIONS.hook.variable)) {
    const problem = sidecar.problem?.(one);
    if (problem !== undefined) throw new LeftError(`container ${name}: ${problem}`);
  }
  const waits = variables.has(OPTIONS.waitMs.variable) ||
    variables.has(OPTIONS.waitTargets.variable);
  const missing = (sidecar.flags ?? []).filter((need) =>
    (waits || !need.forWait) && !hasFlag(one, need)
  );
  if (missing.length > 0) {
    const key = one.args.length > 0 || one.command.length < 2 ? "args" : "command";
    tree.addItems(one.place, key, missing.map(({ flag }) => flag), {
      after: ["name", "image", "command"],
    });
    for (const { flag, why } of missing) lines.push(`container ${name}: ${flag}: ${why}`);
  }
  if (sidecar.advice !== undefined) notes.push(`container ${name}: ${sidecar.advice}`);
}

/** Adds the annotations without which an injected sidecar refuses to quit. */
function changeAnnotations(
  tree: Tree,
  template: Place,
  { annotations }: PodMarks,
  { injected }: Choice,
  lines: string[],
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
function signalNeeds(
  tree: Tree,
  spec: Place,
  known: readonly Container[],
  work: readonly Container[],
  { targets }: Choice,
  given: string | undefined,
): boolean {
  const needed = given === undefined ? known.filter(({ sidecar }) => sidecar?.needsSignal) : [];
  const isSignal = needed.length > 0 || targets.some((target) => /(^|,)signal:/.test(target));
  if (!isSignal) return false;
  const userOf = ({ value }: Place) =>
    record(value["securityContext"])["runAsUser"] ??
      record(spec.value["securityContext"])["runAsUser"];
  for (const one of needed) {
    const isAllowed = work.every(({ place }) => {
      const user = userOf(place);
      return user === 0 || (user !== undefined && user === userOf(one.place));
    });
    if (!isAllowed) {
      throw new LeftError(
        `container ${one.name}: ${one.sidecar?.title} ends at a signal only, which needs the same ` +
          "runAsUser in its container and in the work's: set spec.securityContext.runAsUser in the pod",
      );
    }
  }
  const old = tree.get(spec, "shareProcessNamespace");
  if (old === false) throw new LeftError("shareProcessNamespace is false, and a signal needs it");
  return old !== true;
}

/** Names and a folder that nothing else in the pod has. */
function chooseNames(tree: Tree, spec: Place, work: readonly Container[]) {
  const volumes = list(tree.get(spec, "volumes")).map((one) => String(merged(one)["name"]));
  const all = ["initContainers", "containers"]
    .flatMap((key) => list(tree.get(spec, key)).map((one) => String(merged(one)["name"])));
  const paths = work.flatMap(({ mountPaths }) => mountPaths);
  const isTaken = (folder: string) =>
    paths.some((path) => path === folder || path.startsWith(`${folder}/`));
  const folder = firstFree(FOLDER, isTaken);
  if (work.length > 1 && paths.includes("/run/wrapper")) {
    throw new LeftError("/run/wrapper is mounted already");
  }
  const volume = firstFree("wrapper", (name) => volumes.includes(name));
  return {
    folder,
    program: `${folder}/wrapper`,
    volume,
    shared: firstFree("wrapper-shared", (name) => volumes.includes(name)),
    init: firstFree("install-wrapper", (name) => all.includes(name)),
  };
}

function firstFree(wanted: string, isTaken: (name: string) => boolean): string {
  let name = wanted;
  for (let number = 2; isTaken(name); number++) name = `${wanted}-${number}`;
  return name;
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
