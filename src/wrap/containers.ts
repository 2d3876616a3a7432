/**
 * A pod template and its containers, as they are in the manifest.
 *
 * @module
 */

import { MANIFESTS } from "../../hooks/manifest/registry.ts";
import type { ContainerFacts, PodMarks, SidecarManifest } from "../../hooks/manifest/types.ts";
import type { WrapRequest } from "./request.ts";
import { follow, type Found } from "./templates.ts";
import { LeftError, merged, type Place, type Tree } from "./tree.ts";

/** A pod template, as it was read. */
export interface Pod {
  readonly tree: Tree;
  readonly template: Place;
  readonly spec: Place;
  readonly marks: PodMarks;
  readonly containers: readonly Container[];
  /** Those of them that are sidecars, and are not named as work. */
  readonly known: readonly Container[];
  readonly init: readonly Readonly<Record<string, unknown>>[];
}

/** A container of a pod. */
export interface Container extends ContainerFacts {
  readonly place: Place;
  readonly index: number;
  readonly command: readonly string[];
  readonly args: readonly string[];
  /** The names of all its variables. */
  readonly variableNames: readonly string[];
  readonly mountPaths: readonly string[];
  /** What is known about it, if it is a sidecar. */
  readonly sidecar?: SidecarManifest;
  /** Whether it looks as if it never ended, though nothing is known about it. */
  readonly isLikelyServer: boolean;
}

/**
 * Reads a pod template.
 *
 * @throws {LeftError} if there is none, or a container's words are no list of texts
 */
export function readPod(
  tree: Tree,
  { place, path = [] }: Found,
  { containers: named }: WrapRequest,
): Pod {
  const template = follow(tree, place, path);
  const spec = template && tree.child(template, "spec");
  if (template === undefined || spec === undefined) throw new LeftError("it has no pod template");
  const containers = tree.children(spec, "containers").map((place, index) =>
    readContainer(tree, place, index)
  );
  return {
    tree,
    template,
    spec,
    marks: readMarks(template),
    containers,
    known: containers.filter(({ sidecar, name }) => sidecar !== undefined && !named.includes(name)),
    init: list(tree.get(spec, "initContainers")).map(merged),
  };
}

function readMarks(template: Place): PodMarks {
  const metadata = merged(template.value["metadata"]);
  const texts = (value: unknown) =>
    Object.fromEntries(Object.entries(merged(value)).map(([key, text]) => [key, String(text)]));
  return { labels: texts(metadata["labels"]), annotations: texts(metadata["annotations"]) };
}

/** Reads a container of a document. */
function readContainer(tree: Tree, place: Place, index: number): Container {
  const value = merged(place.value);
  const words = (key: string) =>
    strings(value[key], (problem) => {
      const message = `container ${value["name"] ?? ""}: its ${key} ${problem}`;
      return new LeftError(message, tree.offsetOf(place, key));
    });
  const command = words("command");
  const args = words("args");
  const entries = list(value["env"]).map(merged);
  const facts = {
    name: String(value["name"] ?? ""),
    image: String(value["image"] ?? ""),
    words: [...command, ...args],
    variables: Object.fromEntries(
      entries.flatMap(({ name, value }) =>
        typeof value === "string" ? [[String(name), value]] : []
      ),
    ),
  };
  const sidecar = findSidecar(facts);
  return {
    ...facts,
    place,
    index,
    command,
    args,
    variableNames: entries.map(({ name }) => String(name)),
    mountPaths: list(value["volumeMounts"]).map((mount) => String(merged(mount)["mountPath"])),
    ...(sidecar && { sidecar }),
    isLikelyServer: /(^|-)(sidecar|proxy|agent|exporter|logger|logging|shipper|daemon)(-|$)/
      .test(facts.name) ||
      ["ports", "readinessProbe", "livenessProbe"].some((key) => key in value) ||
      isServer(facts.words),
  };
}

/** Programs that run until they are told to end, as beside the tests that use them. */
const SERVERS =
  /(^|\/)(redis-server|valkey-server|memcached|postgres|mysqld|mariadbd|mongod|rabbitmq-server|nats-server|etcd|nginx|httpd|haproxy|traefik|dockerd|dockerd-entrypoint\.sh|buildkitd)$/;

function isServer(words: readonly string[]): boolean {
  const own = words.filter((word) =>
    !/(^|\/)(docker-entrypoint\.sh|tini|dumb-init|--)$/.test(word)
  );
  const text = own.join(" ");
  return SERVERS.test(own[0] ?? "") ||
    /(^|\s)(sleep inf(inity)?|tail -[fF] \/dev\/null)$/.test(text);
}

/** What is known about a container, if it is a sidecar: by its image, or else by its name. */
export function findSidecar(container: ContainerFacts): SidecarManifest | undefined {
  const image = repositoryOf(container.image);
  const isIt = (manifest: SidecarManifest) => manifest.isIt?.(container) ?? true;
  return MANIFESTS.find((manifest) => manifest.image.test(image) && isIt(manifest)) ??
    MANIFESTS.find((manifest) => manifest.names.includes(container.name) && isIt(manifest));
}

/** An image without its tag and digest. */
export function repositoryOf(image: string): string {
  return image.replace(/@.*$/, "").replace(/:[^/]*$/, "");
}

function strings(value: unknown, refusal: (problem: string) => Error): readonly string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw refusal(`must be a list of words, as in ["/app", "run"]`);
  return value.map((word) => {
    if (typeof word === "string") return word;
    throw refusal("must be a list of texts: a number, true, false and null need quotes");
  });
}

/** A list; an empty one in place of anything else. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
