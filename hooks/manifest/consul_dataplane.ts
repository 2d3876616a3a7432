import { isTrue, onPort, type SidecarManifest } from "./types.ts";

const CONSUL = "consul.hashicorp.com";

/** Consul's sidecar in a manifest. */
export const consulManifest: SidecarManifest = {
  title: "Consul's sidecar",
  hook: ({ annotations }) =>
    onPort(
      "consul-dataplane",
      annotations[`${CONSUL}/sidecar-proxy-lifecycle-graceful-port`],
    ),
  names: ["consul-dataplane"],
  image: /(^|\/)consul-dataplane$/,
  injector: {
    key: `${CONSUL}/connect-inject`,
    asks: ({ annotations }) => isTrue(annotations[`${CONSUL}/connect-inject`]),
    mark: `metadata.annotations['${CONSUL}/connect-inject-status']`,
    variable: "INJECTED_BY_CONSUL",
  },
  annotations: [{
    key: `${CONSUL}/enable-sidecar-proxy-lifecycle`,
    value: "true",
    why: "without it, Consul's sidecar has no stop request",
  }, {
    key: `${CONSUL}/sidecar-proxy-lifecycle-shutdown-grace-period-seconds`,
    value: "5",
    keepsOther: true,
    why: "it runs on for this long after its stop request, 30 s by default",
  }],
};
