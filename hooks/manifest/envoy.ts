import type { SidecarManifest } from "./types.ts";

/** An Envoy of the manifest's own. */
export const envoyManifest: SidecarManifest = {
  title: "Envoy",
  hook: () => "envoy",
  names: ["envoy", "envoy-proxy"],
  image: /(^|\/)envoy(-distroless|-alpine|-contrib)?$/,
  advice: "its bootstrap must have an admin address on 127.0.0.1:9901",
};
