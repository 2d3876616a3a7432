/** The manifests in `examples/`, with the fields that tests read. */

// @ts-types="../../types/std_yaml_parse_all.d.ts"
import { parseAll } from "@std/yaml/parse";

/** A container, with the fields that tests read. */
export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts?: readonly { readonly mountPath: string }[];
}

/** A pod's specification. */
export interface PodSpec {
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes?: readonly { readonly name: string }[];
}

interface Template {
  readonly template?: { readonly spec: PodSpec };
}

/** One document of a manifest. */
export interface Document {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: Template & { readonly jobTemplate?: { readonly spec: Template } };
}

const FOLDER = new URL("../../examples/", import.meta.url).pathname;

/** Every document of every manifest. */
export const EXAMPLES: readonly { readonly file: string; readonly document: Document }[] = [
  ...Deno.readDirSync(FOLDER),
].filter(({ name }) => name.endsWith(".yaml")).toSorted((a, b) => a.name < b.name ? -1 : 1)
  .flatMap(({ name }) =>
    parseAll<Document>(Deno.readTextFileSync(FOLDER + name)).map((document) => ({
      file: name,
      document,
    }))
  );

/** The pod that a Job or a CronJob makes; undefined for anything else. */
export function podSpecOf({ spec }: Document): PodSpec | undefined {
  return (spec?.template ?? spec?.jobTemplate?.spec.template)?.spec;
}

/** A pod's containers, including its init containers. */
export function containersOf({ initContainers = [], containers }: PodSpec): readonly Container[] {
  return [...initContainers, ...containers];
}
