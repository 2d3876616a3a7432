/** How the manifests in `examples/` are run in the cluster. */

/** Each manifest with Jobs; its pods' sidecars, its own and the injectors'; its work containers. */
export const RUNS: readonly (readonly [
  file: string,
  sidecars: readonly string[],
  work?: readonly string[],
])[] = [
  ["istio.yaml", ["istio-proxy"]],
  ["containers.yaml", ["istio-proxy"], ["main", "second"]],
  ["init-container.yaml", ["istio-proxy"]],
  ["on-failure.yaml", ["istio-proxy"]],
  ["indexed.yaml", ["istio-proxy"]],
  ["envoy.yaml", ["envoy"]],
  ["cloud-sql.yaml", ["cloud-sql-proxy"]],
  ["linkerd.yaml", ["linkerd-proxy"]],
  ["dapr.yaml", ["daprd"]],
  ["vault.yaml", ["vault-agent"]],
  ["several.yaml", ["istio-proxy", "cloud-sql-proxy"]],
];

/** What the manifests expect in their namespace. */
export const NEEDED: readonly object[] = [
  { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "my-job" } },
  {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "dapr-api-token" },
    stringData: { token: "a-token" },
  },
];
