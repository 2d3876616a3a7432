/**
 * Tells a pod's sidecars from the containers that do its work.
 *
 * @module
 */

import { MANIFESTS } from "../../hooks/manifest/registry.ts";
import type { ContainerFacts, SidecarManifest } from "../../hooks/manifest/types.ts";
import { LeftError, merged, type Place, type Tree } from "./tree.ts";

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

/** Reads a container of a document. */
export function readContainer(tree: Tree, place: Place, index: number): Container {
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
