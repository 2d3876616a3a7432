/** Injectors: like those of the meshes, they add a sidecar to a pod when it is created. */

import { PILOT_AGENT } from "./images.ts";
import { clusterWide } from "./support.ts";

/** What Istio's injector adds, with the stand-in for pilot-agent, and the annotation that it writes. */
const CONTAINER = `Object.spec.containers{
  name: "istio-proxy",
  image: "${PILOT_AGENT}",
  args: ["0", "10000"],
  resources: Object.spec.containers.resources{
    requests: {"cpu": "10m", "memory": "16Mi"},
    limits: {"cpu": "1", "memory": "64Mi"}
  },
  securityContext: Object.spec.containers.securityContext{
    runAsNonRoot: true,
    runAsUser: 1337,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    capabilities: Object.spec.containers.securityContext.capabilities{drop: ["ALL"]},
    seccompProfile: Object.spec.containers.securityContext.seccompProfile{type: "RuntimeDefault"}
  }
}`;

const NAME = "istio-sidecar-injector";

/** Istio's injector, for pods with its label. */
const ISTIO: readonly object[] = [
  {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingAdmissionPolicy",
    metadata: { name: NAME },
    spec: {
      failurePolicy: "Fail",
      reinvocationPolicy: "Never",
      matchConstraints: {
        resourceRules: [
          { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] },
        ],
        objectSelector: { matchLabels: { "sidecar.istio.io/inject": "true" } },
      },
      mutations: [{
        patchType: "ApplyConfiguration",
        applyConfiguration: {
          expression: `Object{
            metadata: Object.metadata{annotations: {"sidecar.istio.io/status": "injected"}},
            spec: Object.spec{containers: [${CONTAINER}]}
          }`,
        },
      }],
    },
  },
  {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingAdmissionPolicyBinding",
    metadata: { name: NAME },
    spec: { policyName: NAME },
  },
];

/** Installs the injector, and waits until it injects. */
export function withIstio(): Promise<AsyncDisposable> {
  const pod = {
    metadata: { labels: { "sidecar.istio.io/inject": "true" } },
    spec: { containers: [{ name: "main", image: PILOT_AGENT }] },
  };
  return clusterWide(ISTIO, pod, ({ spec }) => spec.containers.length === 2);
}
