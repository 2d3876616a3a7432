/** Injectors: like those of the meshes, they add a sidecar to a pod when it is created. */

import { DAPR, DENO, OPENBAO, PILOT_AGENT } from "./images.ts";
import { clusterWide } from "./support.ts";

/** What an injector does. */
interface Injector {
  readonly name: string;
  /** The label or annotation that asks for the sidecar. */
  readonly asks: readonly ["labels" | "annotations", name: string, value: string];
  /** The annotation or label that the injector writes. */
  readonly writes: readonly ["labels" | "annotations", name: string, value: string];
  /** The sidecar's container. */
  readonly container: string;
  readonly image: string;
  readonly args: readonly string[];
}

const standIn = (name: string) => ({
  image: DENO,
  args: ["run", "--no-lock", "--allow-net", "/tests/containers/stand_in.ts", name],
});

/** The injectors of the examples. Each writes what the real one writes. */
const INJECTORS: readonly Injector[] = [
  {
    name: "istio",
    asks: ["labels", "sidecar.istio.io/inject", "true"],
    writes: ["annotations", "sidecar.istio.io/status", "injected"],
    container: "istio-proxy",
    image: PILOT_AGENT,
    args: ["0", "10000"],
  },
  {
    name: "linkerd",
    asks: ["annotations", "linkerd.io/inject", "enabled"],
    writes: ["annotations", "linkerd.io/proxy-version", "test"],
    container: "linkerd-proxy",
    ...standIn("linkerd"),
  },
  {
    name: "dapr",
    asks: ["annotations", "dapr.io/enabled", "true"],
    writes: ["labels", "dapr.io/sidecar-injected", "true"],
    container: "daprd",
    image: DAPR,
    args: [],
  },
  {
    name: "vault",
    asks: ["annotations", "vault.hashicorp.com/agent-inject", "true"],
    writes: ["annotations", "vault.hashicorp.com/agent-inject-status", "injected"],
    container: "vault-agent",
    image: OPENBAO,
    args: ["agent", "-config=/agent.hcl"],
  },
];

function policyOf({ name, asks, writes, container, image, args }: Injector): readonly object[] {
  const [where, key, value] = asks;
  const [there, written, text] = writes;
  const escaped = written.replaceAll("/", "~1");
  const expression = `
    (has(object.metadata.${there}) ? [] : [
      JSONPatch{op: "add", path: "/metadata/${there}", value: {}}
    ]) + [
      JSONPatch{op: "add", path: "/metadata/${there}/${escaped}", value: "${text}"},
      JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{
        name: "${container}",
        image: "${image}",
        args: ${JSON.stringify(args)},
        resources: Object.spec.containers.resources{
          requests: {"cpu": "10m", "memory": "16Mi"},
          limits: {"cpu": "1", "memory": "256Mi"}
        },
        securityContext: Object.spec.containers.securityContext{
          runAsNonRoot: true,
          runAsUser: 1337,
          allowPrivilegeEscalation: false,
          capabilities: Object.spec.containers.securityContext.capabilities{drop: ["ALL"]},
          seccompProfile: Object.spec.containers.securityContext.seccompProfile{
            type: "RuntimeDefault"
          }
        }
      }}
    ]`;
  const metadata = { name: `${name}-injector` };
  const apiVersion = "admissionregistration.k8s.io/v1";
  return [
    {
      apiVersion,
      kind: "MutatingAdmissionPolicy",
      metadata,
      spec: {
        failurePolicy: "Fail",
        reinvocationPolicy: "Never",
        matchConstraints: {
          resourceRules: [
            { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] },
          ],
        },
        matchConditions: [{
          name: "asks-for-the-sidecar",
          expression: `has(object.metadata.${where}) && "${key}" in object.metadata.${where} ` +
            `&& object.metadata.${where}["${key}"] == "${value}"`,
        }],
        mutations: [{ patchType: "JSONPatch", jsonPatch: { expression } }],
      },
    },
    {
      apiVersion,
      kind: "MutatingAdmissionPolicyBinding",
      metadata,
      spec: { policyName: metadata.name },
    },
  ];
}

/** Installs the injectors, and waits until they inject. */
export function withInjectors(): Promise<AsyncDisposable> {
  const metadata: Record<string, Record<string, string>> = { labels: {}, annotations: {} };
  for (const { asks: [where, key, value] } of INJECTORS) {
    metadata[where] = { ...metadata[where], [key]: value };
  }
  return clusterWide(
    INJECTORS.flatMap(policyOf),
    { metadata, spec: { containers: [{ name: "main", image: PILOT_AGENT }] } },
    ({ spec }) => spec.containers.length === 1 + INJECTORS.length,
  );
}
