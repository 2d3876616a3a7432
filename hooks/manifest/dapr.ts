import { isTrue, type SidecarManifest } from "./types.ts";

/** Dapr's sidecar in a manifest. */
export const daprManifest: SidecarManifest = {
  title: "Dapr's sidecar",
  hook: () => "dapr",
  names: ["daprd"],
  image: /(^|\/)daprd$/,
  injector: {
    key: "dapr.io/enabled",
    asks: ({ annotations }) => isTrue(annotations["dapr.io/enabled"]),
    mark: "metadata.labels['dapr.io/sidecar-injected']",
    variable: "INJECTED_BY_DAPR",
  },
  variables({ annotations }) {
    const name = annotations["dapr.io/api-token-secret"];
    if (name === undefined) return [];
    const secretKeyRef = { name, key: "token", optional: true };
    return [{ name: "DAPR_API_TOKEN", valueFrom: { secretKeyRef } }];
  },
};
