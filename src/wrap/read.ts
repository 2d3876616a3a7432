/**
 * Reads manifests: files, folders, stdin.
 *
 * @module
 */

import fs from "node:fs";
import process from "node:process";
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  parseAllDocuments,
  visit,
  type YAMLMap,
} from "yaml";
import { fileErrorReason } from "../platform/errors.ts";

/** A file that cannot be read or parsed. */
export class UnreadableError extends Error {
  override readonly name = "UnreadableError";
}

/** A file's text and the documents in it. */
export interface Source {
  /** Its name, for a line of the report. */
  readonly name: string;
  readonly text: string;
  readonly documents: readonly Document[];
  /** The line of a place in the text, from 1. */
  lineOf(offset: number): number;
}

/** What is read at most. The tree of a document takes 80 times its size in memory. */
const LONGEST_BYTES = 10_000_000;

/** The files that a folder is read for. */
const IN_FOLDER = /\.(ya?ml|json)$/i;

/**
 * Reads what one FILE means.
 *
 * @param path a file, a folder, or `-`
 * @throws {UnreadableError} that names the file, the line and what was expected
 */
export async function readSources(path: string): Promise<readonly Source[]> {
  if (path === "-") return [parse("stdin", await readStdin())];
  try {
    if (!fs.statSync(path).isDirectory()) return [parse(path, readFile(path))];
    const names = fs.readdirSync(path).filter((name) => IN_FOLDER.test(name)).sort();
    if (names.length === 0) {
      throw new UnreadableError(`${path}: expected files that end in .yaml, .yml or .json`);
    }
    const folder = path.replace(/\/+$/, "");
    return names.map((name) => `${folder}/${name}`).map((file) => parse(file, readFile(file)));
  } catch (error) {
    if (error instanceof UnreadableError) throw error;
    throw new UnreadableError(`${path}: ${fileErrorReason(error)}`);
  }
}

function readFile(path: string): Uint8Array {
  const { size } = fs.statSync(path);
  if (size > LONGEST_BYTES) throw tooLong(path);
  return fs.readFileSync(path);
}

async function readStdin(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > LONGEST_BYTES) throw tooLong("stdin");
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

function tooLong(name: string): UnreadableError {
  return new UnreadableError(`${name}: expected at most ${LONGEST_BYTES / 1e6} MB of manifests`);
}

function parse(name: string, bytes: Uint8Array): Source {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UnreadableError(`${name}: expected text in UTF-8`);
  }
  return parseText(name, text);
}

/**
 * Parses a file's text.
 *
 * @throws {UnreadableError} that names the file, the line and what was expected
 */
export function parseText(name: string, text: string): Source {
  const lines = new LineCounter();
  const lineOf = (offset: number) => lines.linePos(offset).line || 1;
  const refuse = (offset: number, expected: string) =>
    new UnreadableError(`${name}, line ${lineOf(offset)}: ${expected}`);
  refuseHeavy(name, text);
  const documents = [];
  try {
    const all = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      stringKeys: true,
      // Its own check compares each key with every other.
      uniqueKeys: false,
      logLevel: "silent",
    });
    documents.push(...Array.isArray(all) ? all : []);
  } catch (error) {
    if (error instanceof RangeError) throw new UnreadableError(`${name}: is nested too deeply`);
    throw error;
  }
  const lineText = (offset: number) => text.split("\n", lineOf(offset))[lineOf(offset) - 1] ?? "";
  for (const { errors } of documents) {
    const template = errors.find(({ pos: [offset] }) => lineText(offset).includes("{{"));
    if (template !== undefined) throw refuse(template.pos[0], UNRENDERED);
    const [first] = errors;
    if (first !== undefined) throw refuse(first.pos[0], explain(first.code));
  }
  const refuseTwice = ({ items }: YAMLMap) => {
    const keys = new Set<unknown>();
    for (const { key } of items) {
      if (!isScalar(key)) continue;
      if (keys.has(key.value)) {
        throw refuse(key.range?.[0] ?? 0, `the key ${JSON.stringify(key.value)} is there twice`);
      }
      keys.add(key.value);
    }
  };
  for (const document of documents) {
    const anchors = new Set<string>();
    const isOwn = WORK.test(String(isMap(document.contents) && document.contents.get("kind")));
    visit(document, (_, node, path) => {
      if (isMap(node)) refuseTwice(node);
      if (isAlias(node) && !anchors.has(node.source)) {
        throw refuse(node.range?.[0] ?? 0, `expected an anchor &${node.source} above`);
      }
      if (isNode(node) && !isAlias(node) && node.anchor) anchors.add(node.anchor);
      // `name: release-{{ .Values.name }}` is text to YAML.
      if (!isScalar(node) || node.type !== "PLAIN" || typeof node.value !== "string") return;
      const isTemplate = HELM.test(node.value) ||
        (isOwn && node.value.includes("{{") && isNaming(path.at(-1)));
      if (isTemplate) throw refuse(node.range?.[0] ?? 0, UNRENDERED);
    });
  }
  return { name, text, documents, lineOf };
}

/**
 * What Helm alone renders. Other braces may be meant to stay: Prometheus' rules, Argo's and Go's own
 * templates have them, and kustomize prints them without quotes.
 */
const HELM = /\{\{[^}]*(\.(Values|Release|Chart|Capabilities|Files)\b|\binclude\s+")/;

/** The kinds of which the names and images are known to have no braces, when they are rendered. */
const WORK = /^(Job|CronJob|Pod)$/;

/** Whether an entry's value is a name or an image. */
function isNaming(entry: unknown): boolean {
  return isPair(entry) && isScalar(entry.key) &&
    /^(name|generateName|namespace|image)$/.test(String(entry.key.value));
}

/** More brackets than this that are open at once would take minutes, and all the memory. */
const DEEPEST = 2000;

/** More entries than this would, too. */
const MOST_ENTRIES = 1_500_000;

/**
 * Looks at a text before the parser does.
 *
 * @throws {UnreadableError} if its tree would be too large
 */
function refuseHeavy(name: string, text: string): void {
  let depth = 0;
  let entries = 0;
  for (let index = 0; index < text.length; index++) {
    switch (text.charCodeAt(index)) {
      case 0x5b: // [
      case 0x7b: // {
        depth++;
        entries++;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        if (depth > 0) depth--;
        break;
      case 0x0a: // a line's end
      case 0x2c: // ,
      case 0x3a: // :
        entries++;
    }
    if (depth > DEEPEST) throw new UnreadableError(`${name}: expected fewer brackets in brackets`);
  }
  if (entries > MOST_ENTRIES) {
    throw new UnreadableError(`${name}: expected at most ${MOST_ENTRIES} lines and entries`);
  }
}

const UNRENDERED = "a template that is not rendered yet, {{ … }}: render it first, as in " +
  "helm template CHART | wrapper --wrap -";

/** What the parser found, in words of our own: its own may quote the file, and a Secret is a manifest. */
function explain(code: string): string {
  switch (code) {
    case "TAB_AS_INDENT":
      return "a tab indents this line: expected blanks";
    case "NON_STRING_KEY":
      return "expected text as a key";
    case "BAD_INDENT":
      return "expected valid YAML or JSON: the indentation is wrong, or a bracket is not closed";
    case "MISSING_CHAR":
      return "expected valid YAML or JSON: a quote, a comma or a bracket is missing";
    default:
      return `expected valid YAML or JSON (${code.toLowerCase().replaceAll("_", " ")})`;
  }
}
