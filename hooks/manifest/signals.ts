import type { SidecarManifest } from "./types.ts";

function bySignal(
  title: string,
  target: string,
  names: readonly string[],
  image: RegExp,
  shutdownTimeout?: string,
): SidecarManifest {
  return {
    title,
    hook: () => `signal:${target}`,
    names,
    image,
    needsSignal: true,
    ...(shutdownTimeout !== undefined && { shutdownTimeout }),
  };
}

/** The sidecars that end at a signal, as in the recipes for them. */
export const SIGNAL_MANIFESTS: readonly SidecarManifest[] = [
  bySignal(
    "Fluent Bit",
    "fluent-bit",
    ["fluent-bit", "fluentbit"],
    /(^|\/)(aws-for-)?fluent-bit$/,
    "70s",
  ),
  {
    title: "Fluentd",
    hook: () => "http://localhost:24444/api/processes.killWorkers",
    names: ["fluentd"],
    image: /(^|\/)fluentd$/,
    advice: "its configuration must have <system> with rpc_endpoint 127.0.0.1:24444",
  },
  bySignal(
    "the OpenTelemetry Collector",
    "otelcol",
    ["otelcol", "otel-collector", "opentelemetry-collector"],
    /(^|\/)opentelemetry-collector$/,
    "30s",
  ),
  bySignal(
    "the OpenTelemetry Collector",
    "otelcol-contrib",
    [],
    /(^|\/)opentelemetry-collector-contrib$/,
    "30s",
  ),
  bySignal(
    "the Datadog Agent",
    "agent",
    ["datadog-agent"],
    /(^|\/)datadoghq\/agent$|^datadog\/agent$/,
    "30s",
  ),
  {
    ...bySignal("Filebeat", "filebeat", ["filebeat"], /(^|\/)filebeat$/, "30s"),
    advice:
      "without filebeat.shutdown_timeout it loses lines, and ended while it starts, it exits with 143: set that option, and WRAPPER_WAIT_FOR to its HTTP endpoint (http://localhost:5066/)",
  },
  {
    ...bySignal("Vector", "vector", ["vector"], /(^|\/)timberio\/vector$/, "70s"),
    advice:
      "ended while it starts, it exits with 143: set WRAPPER_WAIT_FOR to its API (http://localhost:8686/health)",
  },
  bySignal("PgBouncer", "pgbouncer:SIGINT", ["pgbouncer"], /(^|\/)pgbouncer$/),
  bySignal("ProxySQL", "proxysql", ["proxysql"], /(^|\/)proxysql$/),
  {
    ...bySignal("the SPIRE agent", "spire-agent", ["spire-agent"], /(^|\/)spire-agent$/),
    advice:
      "ended before its server has accepted it, it exits with 1: set WRAPPER_WAIT_FOR to its socket (unix:PATH)",
  },
];
