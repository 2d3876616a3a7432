/**
 * Chooses what to stop: from labels and annotations, and from the sidecars in the manifest.
 *
 * @module
 */

import { MANIFESTS } from "../../hooks/manifest/registry.ts";
import type { Injector, PodMarks, SidecarManifest } from "../../hooks/manifest/types.ts";
import type { Container } from "./containers.ts";

/** What is to be stopped, and why. */
export interface Choice {
  readonly targets: readonly string[];
  readonly why: string;
  /** The sidecars that an injector adds because the template asks for them. */
  readonly injected: readonly SidecarManifest[];
  /** The injectors whose marks say whether a sidecar comes; none if one is in the manifest itself. */
  readonly marks: readonly Injector[];
  /** Whether a native sidecar is asked for, and nothing else. */
  readonly isNative: boolean;
  /** Whether a namespace may add a sidecar to those that are named, of which nothing here tells. */
  readonly mayHaveMore: boolean;
}

/** Chooses the hooks of a pod. */
export function chooseHooks(
  pod: PodMarks,
  sidecars: readonly Container[],
  hasNative: boolean,
  given: string | undefined,
): Choice {
  const asked = MANIFESTS.filter(({ injector }) => injector?.asks(pod) === true);
  const injected = asked.filter(({ injector }) => injector?.isNative?.(pod) !== true);
  const own = sidecars.flatMap(({ sidecar, ...container }) =>
    sidecar === undefined ? [] : [sidecar.hook(pod, container)]
  );
  const named = [...new Set([...injected.map((one) => one.hook(pod)), ...own])];
  const injectors = (of: readonly SidecarManifest[]) =>
    of.flatMap(({ injector }) => injector ?? []);
  // Whoever asks for no injection gets none.
  const possible = injectors(MANIFESTS).filter((injector) => injector.asks(pod) !== false);
  const isAuto = given === undefined ? named.length === 0 : given === "auto";
  const targets = given === undefined ? (isAuto ? ["auto"] : named) : [given];
  const fromGiven = injectors(MANIFESTS.filter((one) => one.hook(pod) === given));
  return {
    targets,
    why: given !== undefined
      ? "as --hook says"
      : isAuto
      ? "nothing in the manifest tells which sidecar comes"
      : [
        ...injected.map(({ injector }) => injector?.key ?? ""),
        ...sidecars.map(({ name }) => `the container ${name}`),
      ].join(", "),
    injected,
    marks: own.length > 0
      ? []
      : isAuto
      ? possible
      : given === undefined
      ? injectors(injected)
      : fromGiven,
    isNative: (hasNative || asked.length > 0) && named.length === 0,
    mayHaveMore: given === undefined && own.length > 0 && asked.length === 0 && possible.length > 0,
  };
}
