import { isTrue, type SidecarManifest } from "./types.ts";

const INJECT = "kuma.io/sidecar-injection";

/** Kuma's sidecar in a manifest. */
export const kumaManifest: SidecarManifest = {
  title: "Kuma's sidecar",
  hook: () => "kuma",
  names: ["kuma-sidecar"],
  image: /(^|\/)kuma-dp$/,
  injector: {
    key: INJECT,
    asks: ({ labels, annotations }) => isTrue(labels[INJECT]) ?? isTrue(annotations[INJECT]),
    mark: "metadata.annotations['kuma.io/sidecar-injected']",
    variable: "INJECTED_BY_KUMA",
  },
};
