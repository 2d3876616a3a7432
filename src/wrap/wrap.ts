/**
 * `--wrap`: manifests in, the same manifests with the wrapper out.
 *
 * @module
 */

import { parseDocument } from "yaml";
import { list } from "./containers.ts";
import { nearest } from "../nearest.ts";
import { parseText, readSources, type Source, UnreadableError } from "./read.ts";
import type { Outcome } from "./outcome.ts";
import { wrapPod } from "./pod.ts";
import type { WrapRequest } from "./request.ts";
import { findObjects, type Found } from "./templates.ts";
import { applyEdits, type Edit, LeftError, record, Tree } from "./tree.ts";

export { UnreadableError } from "./read.ts";
export { parseEntrypoint, type WrapRequest } from "./request.ts";

/** A line of the report. */
export interface ReportLine {
  /**
   * `changed`: what was changed, and why; `note`: what somebody has to look at; `missing`: what was
   * asked for, and is nowhere.
   */
  readonly kind: "changed" | "unneeded" | "note" | "left" | "missing";
  /** The file and the object. */
  readonly where: string;
  readonly text: string;
}

/** The manifests with the wrapper in front of each Job's command. */
export interface Wrapped {
  readonly text: string;
  readonly report: readonly ReportLine[];
  /** Whether something that makes Jobs was left as it is. */
  readonly isLeft: boolean;
}

/**
 * Wraps all files.
 *
 * @throws {UnreadableError} if one cannot be read or parsed; then nothing is to be printed
 */
export async function wrapFiles(request: WrapRequest): Promise<Wrapped> {
  const sources: Source[] = [];
  for (const path of request.files) sources.push(...await readSources(path));
  const done = sources.map((source) => wrapSource(source, request));
  const names = new Set(done.flatMap(({ names }) => names));
  const given = [
    ...request.containers.map((name) => ["--container", name] as const),
    ...[...request.entrypoints.keys()].map((name) => ["--entrypoint", name] as const),
  ];
  const unknown = given.filter(([, name]) => !names.has(name)).map(([option, name]): ReportLine => {
    const near = nearest(name, [...names]);
    const hint = near?.isClose ? `; did you mean ${near.word}?` : "";
    const text = `no Job has a container of this name${hint}`;
    return { kind: "missing", where: `${option} ${name}`, text };
  });
  const found = [...done.flatMap(({ report }) => report), ...unknown];
  const report = found.length > 0 ? found : [nothingIn(request.files)];
  return {
    text: joined(done.map(({ text }) => text)),
    report,
    isLeft: report.some(isLeft),
  };
}

function isLeft({ kind }: ReportLine): boolean {
  return kind === "left" || kind === "missing";
}

/** Where the output of a program that failed is empty, somebody has to see it. */
function nothingIn(files: readonly string[]): ReportLine {
  const where = files.map((file) => file === "-" ? "stdin" : file).join(", ");
  return { kind: "unneeded", where, text: "there is no Job in it" };
}

/**
 * Wraps one manifest.
 *
 * @example
 * ```ts
 * import { wrapText } from "./wrap.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const service = "apiVersion: v1\nkind: Service\nmetadata: { name: api }\n";
 * const request = {
 *   files: [],
 *   image: "registry.example.com/wrapper:1",
 *   containers: [],
 *   entrypoints: new Map(),
 *   variables: new Map(),
 * };
 * assertEquals(wrapText(service, request).text, service);
 * ```
 */
export function wrapText(text: string, request: WrapRequest, name = "stdin"): Wrapped {
  const done = wrapSource(parseText(name, text), request);
  return { ...done, isLeft: done.report.some(isLeft) };
}

function wrapSource(source: Source, request: WrapRequest) {
  const report: ReportLine[] = [];
  const edits: Edit[] = [];
  const names: string[] = [];
  for (const document of source.documents) {
    const tree = new Tree(source.text, document);
    const objects = objectsOf(tree, source);
    const isFunction = isCallOfFunction(tree);
    if (isFunction) refuseConfig(tree, source);
    const done = objects.map((found) => {
      const outcome = wrapObject(tree, found, request);
      const place = (offset: number) =>
        isFunction ? whereInCall(found) : `${source.name}:${source.lineOf(offset)}: ${found.title}`;
      const start = tree.startOf(found.place);
      return {
        where: place(start),
        left: place(outcome.offset ?? start),
        names: namesIn(found),
        outcome,
      };
    });
    const isGood = tree.edits.length === 0 || isAsMeant(tree);
    if (isGood) edits.push(...tree.edits);
    for (const { where, left: place, names: own, outcome } of done) {
      names.push(...own);
      const { state, lines, notes } = isGood || outcome.state !== "wrapped"
        ? outcome
        : left("its form is one that cannot be changed in place; write it in the usual form");
      const kind = state === "wrapped" ? "changed" : state;
      report.push(
        ...lines.map((text): ReportLine => ({
          kind,
          where: kind === "left" ? place : where,
          text,
        })),
        ...notes.map((text): ReportLine => ({ kind: "note", where, text })),
      );
    }
  }
  return { text: applyEdits(source.text, edits), report, names };
}

const DISABLED = "its label wrapper: disabled keeps the wrapper out";

/** Whether the document is how kustomize and kpt call a program as a function. */
function isCallOfFunction(tree: Tree): boolean {
  const root = tree.root();
  return root !== undefined && tree.get(root, "kind") === "ResourceList";
}

/** An object that a function was given: nobody can see the lines of the call, but there may be a file. */
function whereInCall({ place, title }: Found): string {
  const annotations = record(record(place.value["metadata"])["annotations"]);
  const path = annotations["internal.config.kubernetes.io/path"] ??
    annotations["config.kubernetes.io/path"];
  // `kustomize build` invents a path, once a function has run.
  if ("kustomize.config.k8s.io/id" in annotations) return title;
  return typeof path === "string" ? `${path}: ${title}` : title;
}

/** @throws {UnreadableError} if the function's configuration has something that nobody would read */
function refuseConfig(tree: Tree, source: Source): void {
  const root = tree.root();
  const config = root && tree.child(root, "functionConfig");
  if (config === undefined) return;
  const key = Object.keys(config.value).find((one) =>
    !["apiVersion", "kind", "metadata"].includes(one)
  );
  if (key === undefined) return;
  throw new UnreadableError(
    `${source.name}: the function's configuration has ${key}, which is not read: give options as its ` +
      'args, exec: { path: wrapper, args: [--wrap, "-", --hook=istio] }',
  );
}

function left(reason: string, offset?: number): Outcome {
  return { state: "left", lines: [reason], notes: [], ...(offset !== undefined && { offset }) };
}

function wrapObject(tree: Tree, found: Found, request: WrapRequest): Outcome {
  const root = tree.root();
  if (found.isDisabled) return { state: "unneeded", lines: [DISABLED], notes: [] };
  if (found.advice !== undefined || root === undefined) {
    return left(found.advice ?? "", found.offset);
  }
  const restore = tree.savePoint(found.place);
  try {
    return wrapPod(tree, root, found, request);
  } catch (error) {
    if (!(error instanceof LeftError)) throw error;
    restore();
    return left(error.message, error.offset);
  }
}

/** @throws {UnreadableError} if the document's anchors stand for too much */
function objectsOf(tree: Tree, source: Source): readonly Found[] {
  try {
    return findObjects(tree);
  } catch (error) {
    if (!(error instanceof LeftError)) throw error;
    const line = source.lineOf(tree.document.range?.[0] ?? 0);
    throw new UnreadableError(`${source.name}, line ${line}: ${error.message}`);
  }
}

function namesIn({ place, path = [] }: Found): readonly string[] {
  const spec = [...path, "spec"].reduce((at, key) => record(at[key]), place.value);
  return list(spec["containers"]).map((one) => String(record(one)["name"]));
}

/** Whether the changed text, read again, is exactly what the changes were to make of it. */
function isAsMeant(changed: Tree): boolean {
  const { text, document, edits } = changed;
  const [start = 0, , ends = text.length] = document.range ?? [];
  // After a last key without a value, the parser leaves the line's end out of the document.
  const end = Math.max(ends, ...edits.map((edit) => edit.end));
  const own = edits.map((edit) => ({ ...edit, start: edit.start - start, end: edit.end - start }));
  const again = parseDocument(applyEdits(text.slice(start, end), own), {
    stringKeys: true,
    uniqueKeys: false,
    logLevel: "silent",
  });
  if (again.errors.length > 0) return false;
  const read = new Tree("", again).root();
  return read !== undefined && canonical(read.value) === canonical(changed.root()?.value);
}

/** A value as text, with its keys in order. */
function canonical(value: unknown): string {
  return JSON.stringify(
    value,
    (_, one) =>
      typeof one === "object" && one !== null && !Array.isArray(one)
        ? Object.fromEntries(Object.entries(one).toSorted(([a], [b]) => a < b ? -1 : 1))
        : one,
  );
}

/** Several files as one stream. */
function joined(texts: readonly string[]): string {
  return texts.reduce((all, text) => {
    if (all === "") return text;
    const ended = all.endsWith("\n") ? all : `${all}\n`;
    const start = text.replace(/^\ufeff/, "");
    return /^(\s|#[^\n]*\n)*---/.test(start) ? ended + start : `${ended}---\n${start}`;
  }, "");
}
