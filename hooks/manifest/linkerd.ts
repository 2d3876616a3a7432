import { isTrue, onPort, type SidecarManifest } from "./types.ts";

/** Linkerd's proxy in a manifest. */
export const linkerdManifest: SidecarManifest = {
  title: "Linkerd's proxy",
  hook: ({ annotations }) => onPort("linkerd", annotations["config.linkerd.io/admin-port"]),
  names: ["linkerd-proxy"],
  image: /(^|\/)linkerd\/proxy$/,
  injector: {
    key: "linkerd.io/inject",
    asks: ({ annotations }) => isTrue(annotations["linkerd.io/inject"]),
    isNative: ({ annotations }) =>
      ["alpha", "beta"].some((stage) =>
        annotations[`config.${stage}.linkerd.io/proxy-enable-native-sidecar`] === "true"
      ),
    mark: "metadata.annotations['linkerd.io/proxy-version']",
    variable: "INJECTED_BY_LINKERD",
  },
  // `linkerd inject` has turned the annotation into this already.
  ownVariables: [{
    name: "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED",
    value: "true",
    why: "without it, Linkerd's proxy refuses to quit",
  }],
  annotations: [{
    key: "config.linkerd.io/proxy-admin-shutdown",
    value: "enabled",
    why: "without it, Linkerd's proxy refuses to quit",
  }],
};
