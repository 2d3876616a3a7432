/** The policy in `examples/`, in the cluster. */

import { EXAMPLES } from "../support/examples.ts";
import { SHELL } from "./images.ts";
import { clusterWide } from "./support.ts";

/** The labels of the pods that it wraps. */
export const LABELS = { wrapper: "enabled" } as const;

/** Applies the policy from the file, and waits until it changes pods. */
export function withPolicy(): Promise<AsyncDisposable> {
  const documents = EXAMPLES.filter(({ file }) => file === "mutating-admission-policy.yaml");
  const container = { name: "main", image: SHELL, command: ["true"] };
  return clusterWide(
    documents.map(({ document }) => document),
    { metadata: { labels: LABELS }, spec: { containers: [container] } },
    ({ spec }) => spec.initContainers !== undefined,
  );
}
