/**
 * Chooses what to stop: from labels and annotations, and from the sidecars in the manifest.
 *
 * @module
 */

import { MANIFESTS } from "../../hooks/manifest/registry.ts";
import type { Injector, PodMarks, SidecarManifest } from "../../hooks/manifest/types.ts";
import { OPTIONS } from "../options.ts";
import type { Container } from "./containers.ts";

/** What is to be stopped, and why. */
export interface Choice {
  readonly targets: readonly string[];
  readonly why: string;
  /** The sidecars that an injector adds because the template asks for them. */
  readonly injected: readonly SidecarManifest[];
  readonly injection: Injection;
  /** Whether a native sidecar is asked for, and nothing else. */
  readonly isNative: boolean;
  /** Whether a namespace may add a sidecar to those that are named, of which nothing here tells. */
  readonly mayHaveMore: boolean;
}

/** What can be said about whether a sidecar comes. */
export type Injection =
  /** The injectors' marks say it. */
  | { readonly kind: "marks"; readonly injectors: readonly Injector[] }
  /** One comes in any case: a container of the manifest's own. */
  | { readonly kind: "always"; readonly container: string }
  /** Of one of several, nothing says it. */
  | { readonly kind: "unknown"; readonly injected: string }
  | { readonly kind: "nothing" };

/** The TARGETs that are named in place of a choice: their text, or that nobody can tell here. */
export type Given = string | typeof UNREADABLE | undefined;

/** Another object of the cluster has the value of `WRAPPER_HOOKS`. */
export const UNREADABLE: unique symbol = Symbol("unreadable");

/** Chooses the hooks of a pod, or of one container that names its own. */
export function chooseHooks(
  pod: PodMarks,
  sidecars: readonly Container[],
  hasNative: boolean,
  given: Given,
): Choice {
  const asked = MANIFESTS.filter(({ injector }) => injector?.asks(pod) === true);
  const injected = asked.filter(({ injector }) => injector?.isNative?.(pod) !== true);
  const own = sidecars.flatMap(({ sidecar, ...container }) =>
    sidecar === undefined
      ? []
      : [{ target: sidecar.hook(pod, container), container: container.name }]
  );
  const named = [
    ...new Set([...injected.map((one) => one.hook(pod)), ...own.map(({ target }) => target)]),
  ];
  // Whoever asks for no injection gets none.
  const possible = injectorsOf(MANIFESTS).filter((injector) => injector.asks(pod) !== false);
  const targets = given === undefined
    ? (named.length === 0 ? ["auto"] : named)
    : given === UNREADABLE
    ? []
    : OPTIONS.hook.kind.split?.(given) ?? [given];
  return {
    targets,
    why: given !== undefined ? "as --hook says" : named.length === 0 ? whyAuto(pod) : [
      ...injected.map(({ injector }) => injector?.key ?? ""),
      ...sidecars.map(({ name }) => `the container ${name}`),
    ].join(", "),
    injected,
    injection: injectionOf(pod, targets, own, possible),
    isNative: (hasNative || asked.length > 0) && named.length === 0,
    mayHaveMore: given === undefined && own.length > 0 && asked.length === 0 &&
      possible.length > 0 && !own.some(({ target }) => MESHES.includes(presetOf(target))),
  };
}

/** Of these, a pod has one. */
const MESHES = ["istio", "linkerd", "kuma", "consul-dataplane"];

/** The name of a TARGET's preset, without its base URL. */
export function presetOf(target: string): string {
  return target.replace(/=.*$/s, "");
}

function injectorsOf(manifests: readonly SidecarManifest[]): readonly Injector[] {
  return manifests.flatMap(({ injector }) => injector ?? []);
}

function whyAuto(pod: PodMarks): string {
  const refused = MANIFESTS.filter(({ injector }) => injector?.asks(pod) === false);
  if (refused.length === 0) return "nothing in the manifest tells which sidecar comes";
  const which = refused.map(({ title, injector }) =>
    `${title} does not come (${injector?.refusal?.(pod) ?? injector?.key})`
  );
  return `${which.join(", ")}; nothing in the manifest tells which other one does`;
}

/** What can be said about whether the sidecars of these TARGETs come. */
function injectionOf(
  pod: PodMarks,
  targets: readonly string[],
  own: readonly { readonly target: string; readonly container: string }[],
  possible: readonly Injector[],
): Injection {
  const all = targets.filter((target) => target !== "none" && !target.startsWith("file:")).map(
    (target) => {
      const ownOne = own.find((one) => presetOf(one.target) === presetOf(target));
      const matching = MANIFESTS.filter((one) => presetOf(one.hook(pod)) === presetOf(target));
      const asked = matching.filter(({ injector }) => injector?.asks(pod) === true);
      const injectors = target === "auto"
        ? possible
        : injectorsOf(asked.length > 0 ? asked : matching);
      return { target, container: ownOne?.container, injectors };
    },
  );
  const certain = all.find(({ container }) => container !== undefined);
  const injected = all.filter(({ container, injectors }) =>
    container === undefined && injectors.length > 0
  );
  const [first] = injected;
  if (first === undefined) return { kind: "nothing" };
  // With `auto`, none is expected beside one that is certain and was found.
  const isAuto = all.some(({ target }) => target === "auto");
  if (isAuto && own.length > 0) return { kind: "nothing" };
  if (certain?.container !== undefined) {
    return { kind: "always", container: certain.container };
  }
  if (injected.length < all.length) return { kind: "unknown", injected: presetOf(first.target) };
  return { kind: "marks", injectors: [...new Set(injected.flatMap((one) => one.injectors))] };
}
