/** What was seen of the real sidecars, one file each in `recordings/`. */

import alloydbAuthProxy from "./recordings/alloydb_auth_proxy.json" with { type: "json" };
import cloudSqlProxy from "./recordings/cloud_sql_proxy.json" with { type: "json" };
import consulDataplane from "./recordings/consul_dataplane.json" with { type: "json" };
import dapr from "./recordings/dapr.json" with { type: "json" };
import envoy from "./recordings/envoy.json" with { type: "json" };
import istio from "./recordings/istio.json" with { type: "json" };
import kuma from "./recordings/kuma.json" with { type: "json" };
import linkerd from "./recordings/linkerd.json" with { type: "json" };
import vaultAgent from "./recordings/vault_agent.json" with { type: "json" };
import type { Recording } from "./doubles.ts";

export const ALLOYDB_AUTH_PROXY_LIFE: Recording = alloydbAuthProxy;
export const CLOUD_SQL_PROXY_LIFE: Recording = cloudSqlProxy;
export const CONSUL_DATAPLANE_LIFE: Recording = consulDataplane;
export const DAPR_LIFE: Recording = dapr;
export const ENVOY_LIFE: Recording = envoy;
export const ISTIO_LIFE: Recording = istio;
export const KUMA_LIFE: Recording = kuma;
export const LINKERD_LIFE: Recording = linkerd;
export const VAULT_AGENT_LIFE: Recording = vaultAgent;
