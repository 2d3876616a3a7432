/**
 * Puts the wrapper into one pod template.
 *
 * @module
 */

import { hasFlag } from "../../hooks/manifest/google_proxies.ts";
import { isOlder, type PodMarks, versionOf } from "../../hooks/manifest/types.ts";
import { OPTIONS } from "../options.ts";
import { type Container, list, readContainer, repositoryOf } from "./containers.ts";
import { type Choice, chooseHooks, type Given, presetOf, UNREADABLE } from "./hooks.ts";
import type { Value } from "./render.ts";
import type { WrapRequest } from "./request.ts";
import { hasShell, isShell, scriptOf, startsWrapper, stopsSidecars } from "./shell.ts";
import { follow, type Found } from "./templates.ts";
import { LeftError, merged, type Place, record, type Tree } from "./tree.ts";

/** What came of one object. */
export interface Outcome {
  readonly state: "wrapped" | "unneeded" | "left";
  /** Each change and why, or why there is none. */
  readonly lines: readonly string[];
  /** What somebody has to look at. */
  readonly notes: readonly string[];
  /** Where in the text, if that is not the object's own start. */
  readonly offset?: number;
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
  const containers = tree.children(spec, "containers").map((place, index) =>
    readContainer(tree, place, index)
  );
  const init = list(tree.get(spec, "initContainers")).map(merged);
  const marks = readMarks(template);

  const known = containers.filter((one) =>
    one.sidecar !== undefined && !request.containers.includes(one.name)
  );
  const given = request.variables.get(OPTIONS.hook.variable);
  const hasNative = init.some(({ restartPolicy }) => restartPolicy === "Always");
  const choice = chooseHooks(marks, known, hasNative, given);
  const work = findWork(tree, containers, known, request, given);

  const wrapped = containers.filter(isWrapped);
  if (wrapped.length > 0) {
    const [bare] = work.filter((one) => !isWrapped(one));
    if (bare !== undefined) {
      throw new LeftError(
        `container ${wrapped[0]?.name} has the wrapper, and ${bare.name} does not`,
        tree.startOf(bare.place),
      );
    }
    return {
      state: "unneeded",
      lines: [`container ${wrapped[0]?.name} starts the wrapper already`],
      notes: [
        ...ignoredBy(wrapped, init, request),
        ...wrapped.flatMap((one) => review(one, request)),
      ],
    };
  }
  if (choice.isNative && known.length === 0 && given === undefined) {
    return {
      state: "unneeded",
      lines: ["its sidecars are native: Kubernetes itself stops them"],
      notes: ignored([...request.variables.keys()].map(optionOf)),
    };
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
  const commands = work.map((one) => commandOf(tree, one, request));
  const choices = work.map((one) => {
    const own = given ?? ownHooks(one);
    return own === undefined ? choice : chooseHooks(marks, known, hasNative, own);
  });
  const targets = [...new Set(choices.flatMap(({ targets }) => targets))];
  const isChosen = choices.includes(choice) && given === undefined;
  const lines: string[] = [];
  const notes: string[] = [];
  const processNamespace = signalNeeds(
    tree,
    spec,
    { containers, known, work, targets, isChosen },
    notes,
  );
  const names = chooseNames(tree, spec, work);
  const share = chooseShare(tree, spec, work, request, notes);
  const isOnFailure = tree.get(spec, "restartPolicy") === "OnFailure";
  for (const [index, one] of work.entries()) {
    const { words, note } = commands[index] ?? { words: [] };
    if (note !== undefined) notes.push(`container ${one.name}: ${note}`);
    prependCommand(tree, one, names.program, words);
    lines.push(`container ${one.name}: its command begins with ${names.program}`);
    addVariables(tree, one, choices[index] ?? choice, request, {
      marks,
      known,
      count: work.length,
      isOnFailure,
      lines,
      notes,
    });
    tree.addItems(one.place, "volumeMounts", [
      { name: names.volume, mountPath: names.folder, readOnly: true },
      ...(share?.isNew ? [{ name: share.volume, mountPath: share.folderOf(one) }] : []),
    ], { after: AFTER });
    const limit = memoryOf(one);
    if (limit !== undefined && limit < 96 * 2 ** 20) {
      notes.push(
        `container ${one.name}: its memory limit is low; the wrapper needs 64Mi of it, and 96Mi make it fast`,
      );
    }
  }
  if (work.length > 1 && request.containers.length === 0) {
    const all = work.map(({ name }) => name).join(" and ");
    notes.push(
      `containers ${all} are all taken for work, and the sidecars run until the last of them has ended; ` +
        "one that does not end by itself hangs the pod: name the work with --container NAME, and the other's stop request with --hook",
    );
  }
  for (const one of known) {
    changeSidecar(tree, one, { marks, request, targets, isChosen, work }, lines, notes);
  }
  if (choice.mayHaveMore && isChosen) {
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
    ...(share?.isNew ? [{ name: share.volume, emptyDir: {} }] : []),
  ], { after: ["restartPolicy"] });
  lines.push(
    `init container ${names.init}: brings the wrapper from ${request.image} into a volume`,
  );
  return { state: "wrapped", lines, notes };
}

const AFTER = ["name", "image", "command", "args", "env"];

function readMarks(template: Place): PodMarks {
  const metadata = merged(template.value["metadata"]);
  const texts = (value: unknown) =>
    Object.fromEntries(Object.entries(merged(value)).map(([key, text]) => [key, String(text)]));
  return { labels: texts(metadata["labels"]), annotations: texts(metadata["annotations"]) };
}

/** Whether a container has the wrapper already. */
function isWrapped(one: Container): boolean {
  return ownWords(one) !== undefined;
}

/** Programs that only start another one. */
const STARTS_OTHERS = /(^|\/)(tini|dumb-init|catatonit|env)$/;

/**
 * The wrapper's own words, COMMAND included, in a container that starts it.
 *
 * @returns undefined if it does not; words that say nothing if a shell starts it
 */
function ownWords({ command, args }: Container): readonly string[] | undefined {
  const words = command.length > 0 ? [...command, ...args] : args;
  if (startsWrapper(words)) return ["command"];
  // Behind an init such as tini and its options, of which some have a word more: `-e 143 --`.
  const first = words.findIndex((word) => !(/^-|^\w+=/.test(word) || STARTS_OTHERS.test(word)));
  const behind = STARTS_OTHERS.test(words[0] ?? "") ? words.indexOf("--") + 1 : 0;
  const at = [first, behind].find((index) => /(^|\/)wrapper$/.test(words[index] ?? ""));
  return at === undefined ? undefined : words.slice(at + 1);
}

/** The TARGETs that a container names itself. */
function ownHooks({ variableNames, variables }: Container): Given {
  if (!variableNames.includes(OPTIONS.hook.variable)) return undefined;
  const text = variables[OPTIONS.hook.variable];
  return text === undefined || text.trim() === "" || isReference(text) ? UNREADABLE : text;
}

/** Whether Kubernetes puts another variable's value there. */
function isReference(text: string): boolean {
  return /\$\(/.test(text);
}

/** What the wrapper would say about a container that starts it already. */
function review(one: Container, { check }: WrapRequest): readonly string[] {
  const { name, variables } = one;
  const { problems = [], warnings = [] } = check?.(ownWords(one) ?? [], readable(variables)) ?? {};
  return [...problems, ...warnings].map((problem) => `container ${name}: ${problem}`);
}

function readable(variables: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(variables).filter(([, text]) => !isReference(text)));
}

/** What was asked for, and would change a container that has the wrapper already. */
function ignoredBy(
  wrapped: readonly Container[],
  init: readonly Record<string, unknown>[],
  { variables, image, isImageGiven, entrypoints }: WrapRequest,
): readonly string[] {
  const differs = ([name, value]: readonly [string, string]) =>
    wrapped.some((one) => one.variables[name] !== value);
  const installs = init.filter(({ args }) => list(args)[0] === "--install");
  return ignored([
    ...[...variables].filter(differs).map(([name]) => optionOf(name)),
    ...(isImageGiven && installs.some((one) => one["image"] !== image) ? ["--image"] : []),
    ...(wrapped.some(({ name, command }) => entrypoints.has(name) && command.length === 0)
      ? ["--entrypoint"]
      : []),
  ]);
}

function ignored(options: readonly string[]): readonly string[] {
  if (options.length === 0) return [];
  const changes = options.length === 1 ? "changes" : "change";
  return [`${options.join(", ")} ${changes} nothing here: write it into the manifest yourself`];
}

/** The option that has a variable. */
function optionOf(variable: string): string {
  const option = Object.values(OPTIONS).find((one) => one.variable === variable);
  return `--${option?.name}`;
}

function findWork(
  tree: Tree,
  containers: readonly Container[],
  known: readonly Container[],
  request: WrapRequest,
  hook: string | undefined,
): readonly Container[] {
  const named = containers.filter(({ name }) => request.containers.includes(name));
  const others = containers.filter((one) => !known.includes(one));
  if (named.length > 0) {
    const [rest] = others.filter((one) => !named.includes(one));
    if (rest !== undefined && hook === undefined) {
      throw new LeftError(
        `nothing is known about container ${rest.name}: say how it is told to quit, with --hook`,
        tree.startOf(rest.place),
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
      tree.startOf(server.place),
    );
  }
  return others;
}

/** The words that come after the wrapper where they are not in the manifest, and what to say. */
function commandOf(
  tree: Tree,
  { place, name, command, args }: Container,
  { entrypoints }: WrapRequest,
): { readonly words: readonly string[]; readonly note?: string } {
  const words = entrypoints.get(name);
  if (command.length > 0) {
    return words === undefined
      ? { words: [] }
      : { words: [], note: "--entrypoint changes nothing here, because it has a command" };
  }
  if (words === undefined) {
    throw new LeftError(
      `container ${name} has no command, and its image's ENTRYPOINT is not known: ` +
        `write the command out, or --entrypoint '${name}=["/app","run"]'`,
      tree.startOf(place),
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
  { targets, why, injection, injected }: Choice,
  { variables, check }: WrapRequest,
  { marks, known, count, isOnFailure, lines, notes }: {
    readonly marks: PodMarks;
    readonly known: readonly Container[];
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
      const entry = entryOf(tree, one, name);
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
  if (isThere(OPTIONS.hook.variable) && !variables.has(OPTIONS.hook.variable)) {
    notes.push(`container ${one.name}: ${OPTIONS.hook.variable} is there already, and stays`);
  } else add(OPTIONS.hook.variable, variables.get(OPTIONS.hook.variable) ?? targets.join(","), why);
  for (const { variables: needed } of injected) {
    for (const { name, ...rest } of needed?.(marks) ?? []) {
      if (isThere(name)) continue;
      added.push({ name, ...rest as { [key: string]: Value } });
      lines.push(`container ${one.name}: ${name}: the sidecar refuses to quit without it`);
    }
  }
  const name = OPTIONS.injected.variable;
  if (!variables.has(name) && !isThere(name)) {
    switch (injection.kind) {
      case "marks": {
        const { injectors } = injection;
        const [only, ...more] = injectors;
        const from = (mark: string) => ({ fieldRef: { fieldPath: mark } });
        if (only === undefined) break;
        if (more.length === 0) added.push({ name, valueFrom: from(only.mark) });
        else {
          for (const { variable, mark } of injectors) {
            if (!isThere(variable)) added.push({ name: variable, valueFrom: from(mark) });
          }
          added.push({ name, value: injectors.map(({ variable }) => `$(${variable})`).join("") });
        }
        lines.push(`container ${one.name}: ${name}: a pod without a sidecar ends at once`);
        break;
      }
      case "always":
        add(name, "true", `the container ${injection.container} comes in any case`);
        break;
      case "unknown":
        notes.push(
          `container ${one.name}: ${name} is left out, because it would count for all hooks, and only ` +
            `${injection.injected} is injected; if one of the sidecars comes in any case, --injected true`,
        );
        break;
      case "nothing":
    }
  }
  if (count > 1 && !variables.has(OPTIONS.containers.variable)) {
    add(OPTIONS.containers.variable, String(count), "the last of them to end stops the sidecars");
  }
  const slow = known.filter(({ sidecar }) => sidecar?.shutdownTimeout !== undefined)
    .filter(({ sidecar }) => targets.includes(sidecar?.hook(marks) ?? ""))
    .toSorted((a, b) => timeoutOf(b) - timeoutOf(a))[0];
  const timeout = slow?.sidecar?.shutdownTimeout;
  if (timeout !== undefined && !variables.has(OPTIONS.shutdownTimeoutMs.variable)) {
    add(
      OPTIONS.shutdownTimeoutMs.variable,
      timeout,
      `the container ${slow?.name} may take so long to end`,
    );
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
  const all = { ...readable(one.variables), ...plain(added), ...Object.fromEntries(variables) };
  const { problems = [], warnings = [] } = check?.(["command"], all) ?? {};
  if (problems.length > 0) {
    throw new LeftError(
      `container ${one.name}: the wrapper would not start its command: ${problems.join("; ")}`,
      tree.offsetOf(one.place, "env"),
    );
  }
  notes.push(...warnings.map((warning) => `container ${one.name}: ${warning}`));
  if (added.length > 0) {
    tree.addItems(one.place, "env", added, { after: ["name", "image", "command", "args"] });
  }
}

/** The entry of a container's variable, if it has one. */
function entryOf(tree: Tree, { place }: Container, name: string): Place | undefined {
  return tree.children(place, "env").find(({ value }) => merged(value)["name"] === name);
}

function timeoutOf({ sidecar }: Container): number {
  return OPTIONS.shutdownTimeoutMs.kind.parse(sidecar?.shutdownTimeout ?? "") ?? 0;
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

/** Gives a sidecar of the manifest's own what it needs to be told to quit. */
function changeSidecar(
  tree: Tree,
  one: Container,
  { marks, request: { variables }, targets, isChosen, work }: {
    readonly marks: PodMarks;
    readonly request: WrapRequest;
    readonly targets: readonly string[];
    /** Whether the hooks follow from the manifest. */
    readonly isChosen: boolean;
    readonly work: readonly Container[];
  },
  lines: string[],
  notes: string[],
): void {
  const { sidecar, name } = one;
  if (sidecar === undefined) return;
  const refuse = (reason: string) => {
    throw new LeftError(`container ${name}: ${reason}`, tree.startOf(one.place));
  };
  const preset = presetOf(sidecar.hook(marks, one));
  const isNamed = (list: readonly string[]) =>
    list.some((target) => target === "auto" || presetOf(target) === preset);
  const isTold = isChosen || isNamed(targets);
  const problem = isTold ? sidecar.problem?.(one) : undefined;
  if (problem !== undefined) refuse(problem);
  const awaited = variables.get(OPTIONS.waitTargets.variable);
  const isSet = ({ variable }: { readonly variable: string }) =>
    variables.has(variable) || work.some(({ variableNames }) => variableNames.includes(variable));
  const isAwaited = awaited === undefined
    ? isTold && (isSet(OPTIONS.waitMs) || isSet(OPTIONS.waitTargets))
    : isNamed(OPTIONS.waitTargets.kind.split?.(awaited) ?? []);
  // A URL may be the sidecar's own.
  const mayBeTold = isTold || targets.some((target) => /^([A-Z]+ )?https?:/.test(target));
  const missing = (sidecar.flags ?? []).filter((need) =>
    (need.forWait ? isAwaited : mayBeTold) && !hasFlag(one, need)
  );
  const version = sidecar.image.test(repositoryOf(one.image)) ? versionOf(one.image) : undefined;
  const unknown = missing.find(({ since }) => version !== undefined && isOlder(version, since));
  if (unknown !== undefined) {
    if (!isTold && !unknown.forWait) return;
    refuse(
      `version ${
        version?.join(".")
      } does not know ${unknown.flag}, and would not start with it: use ` +
        `${unknown.since} or later` +
        (unknown.forWait
          ? ""
          : `, or stop it in another way: --hook signal:${preset}, --hook file:PATH`),
    );
  }
  if (missing.length > 0 && hasShell(one.words)) {
    if (!isChosen) return;
    refuse(
      `a shell starts it, so that it cannot be given ${missing[0]?.flag}; start the program itself`,
    );
  }
  if (missing.length > 0) {
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
  for (const { name: key, value, why } of isTold ? sidecar.ownVariables ?? [] : []) {
    const entry = entryOf(tree, one, key);
    if (entry === undefined || one.variables[key] === value) continue;
    if (!(key in one.variables)) {
      notes.push(`container ${name}: ${key} comes from elsewhere, and has to be ${value}: ${why}`);
      continue;
    }
    tree.replaceScalar(entry, "value", value);
    lines.push(`container ${name}: ${key}=${value}: ${why}`);
  }
  if (sidecar.advice !== undefined && isTold) notes.push(`container ${name}: ${sidecar.advice}`);
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
  { containers, known, work, targets, isChosen }: {
    readonly containers: readonly Container[];
    readonly known: readonly Container[];
    readonly work: readonly Container[];
    readonly targets: readonly string[];
    readonly isChosen: boolean;
  },
  notes: string[],
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

/** Names and a folder that nothing else in the pod has. */
function chooseNames(tree: Tree, spec: Place, work: readonly Container[]) {
  const volumes = list(tree.get(spec, "volumes")).map((one) => String(merged(one)["name"]));
  const all = ["initContainers", "containers"]
    .flatMap((key) => list(tree.get(spec, key)).map((one) => String(merged(one)["name"])));
  const paths = work.flatMap(({ mountPaths }) => mountPaths);
  const isTaken = (folder: string) =>
    paths.some((path) => path === folder || path.startsWith(`${folder}/`));
  const folder = firstFree(FOLDER, isTaken);
  const volume = firstFree("wrapper", (name) => volumes.includes(name));
  return {
    folder,
    program: `${folder}/wrapper`,
    volume,
    init: firstFree("install-wrapper", (name) => all.includes(name)),
  };
}

/** What the containers under the wrapper share, if there are several. */
interface Share {
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
function chooseShare(
  tree: Tree,
  spec: Place,
  work: readonly Container[],
  { variables }: WrapRequest,
  notes: string[],
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
