import { isTrue, onPort, type SidecarManifest } from "./types.ts";

const INJECT = "sidecar.istio.io/inject";

/** The template of an agent for gRPC without a proxy, which only a signal ends. */
const isProxyless = (annotations: Readonly<Record<string, string>>) =>
  annotations["inject.istio.io/templates"]?.includes("grpc-agent") ?? false;

/** Istio's sidecar in a manifest. */
export const istioManifest: SidecarManifest = {
  title: "Istio's sidecar",
  hook: ({ annotations }) => onPort("istio", annotations["status.sidecar.istio.io/port"]),
  names: ["istio-proxy"],
  image: /(^|\/)(proxyv2|istio-proxy|pilot-agent)$/,
  problem: ({ words }) =>
    words.includes("--templates=grpc-agent")
      ? "an agent without Envoy ends at a signal only"
      : undefined,
  injector: {
    key: INJECT,
    asks({ labels, annotations }) {
      const asked = isTrue(labels[INJECT]) ?? isTrue(annotations[INJECT]);
      if (isProxyless(annotations)) return undefined;
      return asked ?? (labels["istio.io/rev"] === undefined ? undefined : true);
    },
    isNative: ({ annotations }) => annotations["sidecar.istio.io/nativeSidecar"] === "true",
    mark: "metadata.annotations['sidecar.istio.io/status']",
    variable: "INJECTED_BY_ISTIO",
  },
};
