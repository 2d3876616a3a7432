/**
 * The sidecars that are recognized in a manifest.
 *
 * @module
 */

import { consulManifest } from "./consul_dataplane.ts";
import { daprManifest } from "./dapr.ts";
import { envoyManifest } from "./envoy.ts";
import { alloydbManifest, cloudSqlManifest } from "./google_proxies.ts";
import { istioManifest } from "./istio.ts";
import { kumaManifest } from "./kuma.ts";
import { linkerdManifest } from "./linkerd.ts";
import { SIGNAL_MANIFESTS } from "./signals.ts";
import type { SidecarManifest } from "./types.ts";
import { openBaoManifest, vaultManifest } from "./vault_agent.ts";

/** All of them, one line each. */
export const MANIFESTS: readonly SidecarManifest[] = [
  istioManifest,
  envoyManifest,
  kumaManifest,
  linkerdManifest,
  cloudSqlManifest,
  alloydbManifest,
  vaultManifest,
  openBaoManifest,
  consulManifest,
  daprManifest,
  ...SIGNAL_MANIFESTS,
];
