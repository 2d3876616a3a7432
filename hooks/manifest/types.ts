/**
 * What is known about a sidecar in a manifest: how it is recognized, and what it must have.
 *
 * @module
 */

/** A pod template's labels and annotations. */
export interface PodMarks {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A container, as a manifest has it. */
export interface ContainerFacts {
  readonly name: string;
  readonly image: string;
  /** Its `command` and `args`, one after the other. */
  readonly words: readonly string[];
  /** Its variables that have a plain value. */
  readonly variables: Readonly<Record<string, string>>;
}

/** An annotation of the pod template that the sidecar needs. */
export interface NeededAnnotation {
  readonly key: string;
  readonly value: string;
  /** Whether another value that is there already stays. */
  readonly keepsOther?: boolean;
  readonly why: string;
}

/** An argument of the sidecar's own that it needs. */
export interface NeededFlag {
  readonly flag: string;
  /** The variable that means the same, if it is `true`. */
  readonly variable: string;
  /** Whether it is needed only where COMMAND waits for the sidecar. */
  readonly forWait?: boolean;
  /** The first version that knows it; an older one would not start. */
  readonly since: string;
  readonly why: string;
}

/** A variable of the sidecar's own that, where it is there, must have a value. */
export interface NeededVariable {
  readonly name: string;
  readonly value: string;
  readonly why: string;
}

/** A sidecar that an injector adds when the pod is created. */
export interface Injector {
  /** Whether the template asks for the sidecar; undefined if it does not say. */
  asks(pod: PodMarks): boolean | undefined;
  /** The label or annotation that decided it, for a line of the report. */
  readonly key: string;
  /** What says that none comes, if that is not the key. */
  refusal?(pod: PodMarks): string | undefined;
  /** Whether the template asks for a native sidecar, which needs no wrapper. */
  isNative?(pod: PodMarks): boolean;
  /** What the injector writes down about the pod, for the downward API. */
  readonly mark: string;
  /** The variable that has the mark, where several are joined. */
  readonly variable: string;
}

/** A sidecar in a manifest. */
export interface SidecarManifest {
  /** What it is called in a line of the report. */
  readonly title: string;
  /** The TARGET that stops it. */
  hook(pod: PodMarks, container?: ContainerFacts): string;
  /** The names that its container usually has. */
  readonly names: readonly string[];
  /** Its image without registry, tag and digest. */
  readonly image: RegExp;
  /** Whether a container with such a name or image is this sidecar, where that is not enough. */
  isIt?(container: ContainerFacts): boolean;
  readonly injector?: Injector;
  readonly annotations?: readonly NeededAnnotation[];
  readonly flags?: readonly NeededFlag[];
  /** What an injector that ran before wrote into the sidecar's own container. */
  readonly ownVariables?: readonly NeededVariable[];
  /** Variables that COMMAND's container needs, as in a manifest. */
  variables?(pod: PodMarks): readonly EnvironmentEntry[];
  /** How long it may take to end, as its recipe says, where that is longer than the default. */
  readonly shutdownTimeout?: string;
  /** Whether it ends at a signal only, which needs the pod's one process namespace and one user. */
  readonly needsSignal?: boolean;
  /** Why such a container cannot be told to quit by its hook; undefined if it can. */
  problem?(container: ContainerFacts): string | undefined;
  /** What a manifest cannot show, and somebody has to look at. */
  readonly advice?: string;
}

/** An entry of a container's `env`. */
export interface EnvironmentEntry {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: Readonly<Record<string, unknown>>;
}

/** Reads a yes or no as injectors do. */
export function isTrue(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  return /^(true|t|1|yes|y|on|enabled|ingress)$/i.test(text);
}

/** The TARGET of a preset, on another port if the pod template moves it. */
export function onPort(name: string, port: string | undefined): string {
  return port === undefined || !/^\d+$/.test(port) ? name : `${name}=http://localhost:${port}`;
}

/**
 * The numbers of the version that an image's tag names, such as 2, 11 and 0 of `proxy:2.11.0-alpine`.
 *
 * @returns undefined if the tag names none, or is missing
 */
export function versionOf(image: string): readonly number[] | undefined {
  const [, tag = ""] = /:([^/@:]+)(@.*)?$/.exec(image.replace(/@.*$/, "")) ?? [];
  const [, numbers] = /^v?(\d{1,4}(\.\d{1,4}){0,2})(-[\w.-]+)?$/.exec(tag) ?? [];
  return numbers?.split(".").map(Number);
}

/** Whether a version is older than another. A tag that leaves numbers out means the newest of them. */
export function isOlder(version: readonly number[], than: string): boolean {
  for (const [index, number] of than.split(".").map(Number).entries()) {
    const own = version[index];
    if (own === undefined) return false;
    if (own !== number) return own < number;
  }
  return false;
}

/** The value of a flag, as `--flag=value` or as the next word. */
export function flagValue(words: readonly string[], flag: string): string | undefined {
  for (const [index, word] of words.entries()) {
    if (word === flag) return words[index + 1];
    if (word.startsWith(`${flag}=`)) return word.slice(flag.length + 1);
  }
  return undefined;
}
