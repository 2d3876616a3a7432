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
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  parseAllDocuments,
  visit,
  type YAMLError,
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

const CHUNK_BYTES = 65_536;

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
  const names = orExplain(
    path,
    () => fs.statSync(path).isDirectory() ? fs.readdirSync(path) : undefined,
  );
  if (names === undefined) return [parse(path, readFile(path))];
  const files = names.filter((name) => IN_FOLDER.test(name)).sort();
  if (files.length === 0) {
    throw new UnreadableError(`${path}: expected files that end in .yaml, .yml or .json`);
  }
  const folder = path.replace(/\/+$/, "");
  return files.map((name) => `${folder}/${name}`).map((file) => parse(file, readFile(file)));
}

/** Reads a file, which may be a pipe: `/dev/stdin`, or a shell's `<(helm template …)`. */
function readFile(path: string): Uint8Array {
  return orExplain(path, () => {
    const file = fs.openSync(path, "r");
    try {
      const chunks: Uint8Array[] = [];
      for (let length = 0;;) {
        const chunk = new Uint8Array(CHUNK_BYTES);
        const count = fs.readSync(file, chunk);
        if (count === 0) return joinChunks(chunks);
        // A copy: a pipe may give a line at a time, and each would keep a whole chunk.
        chunks.push(chunk.slice(0, count));
        length += count;
        if (length > LONGEST_BYTES) throw tooLong(path);
      }
    } finally {
      fs.closeSync(file);
    }
  });
}

/** @throws {UnreadableError} that names the file, if the system refuses it */
function orExplain<Result>(path: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    if (error instanceof UnreadableError) throw error;
    throw new UnreadableError(`${path}: ${fileErrorReason(error)}`);
  }
}

async function readStdin(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > LONGEST_BYTES) throw tooLong("stdin");
  }
  return joinChunks(chunks);
}

function joinChunks(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
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
    text = decode(bytes, true);
  } catch {
    const lines = decode(bytes, false).split("\ufffd", 1)[0]?.split("\n").length ?? 1;
    throw new UnreadableError(`${name}, line ${lines}: expected text in UTF-8`);
  }
  return parseText(name, text);
}

function decode(bytes: Uint8Array, fatal: boolean): string {
  return new TextDecoder("utf-8", { fatal, ignoreBOM: true }).decode(bytes);
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
  for (const document of documents) {
    const { errors } = document;
    const template = errors.find(({ pos: [offset] }) => lineText(offset).includes("{{"));
    if (template !== undefined) throw refuse(template.pos[0], UNRENDERED);
    const [first] = errors;
    if (first !== undefined) {
      const { offset, expected } = explain(first, document, text);
      throw refuse(offset, expected);
    }
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
  let line = 1;
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
        line++;
        entries++;
        break;
      case 0x2c: // ,
      case 0x3a: // :
        entries++;
    }
    if (depth > DEEPEST) {
      throw new UnreadableError(`${name}, line ${line}: expected fewer brackets in brackets`);
    }
  }
  if (entries > MOST_ENTRIES) {
    throw new UnreadableError(`${name}: expected at most ${MOST_ENTRIES} lines and entries`);
  }
}

const UNRENDERED = "a template that is not rendered yet, {{ … }}: render it first, as in " +
  "helm template CHART | wrapper --wrap -";

const COLON = "a colon, and a blank after it, is missing behind this key";
const COMMA = "a comma is missing between what is in brackets";
const INDENTED = "this line is not indented as those above it";

/** What each of the parser's messages means; it also has the text of the file in some of them. */
const MEANINGS: readonly (readonly [code: string, message: RegExp, meaning: string])[] = [
  ["BAD_INDENT", /^All /, INDENTED],
  ["BLOCK_AS_IMPLICIT_KEY", /^Nested/, "a second colon behind a key: the text needs quotes"],
  ["BLOCK_AS_IMPLICIT_KEY", /./, INDENTED],
  ["MULTILINE_IMPLICIT_KEY", /./, COLON],
  ["MISSING_CHAR", /^Implicit map keys/, COLON],
  ["MISSING_CHAR", /^Missing ,/, COMMA],
  ["MISSING_CHAR", /^Sequence item/, "an item of a list starts with a hyphen and a blank"],
  ["MISSING_CHAR", /^Comments must/, "a blank is missing before #"],
  ["BLOCK_IN_FLOW", /./, COMMA],
  ["BAD_SCALAR_START", /./, "a text that starts with @, ` or % needs quotes"],
  ["BAD_DQ_ESCAPE", /./, "a backslash in double quotes is written twice"],
  ["UNEXPECTED_TOKEN", /^Block scalar header/, "the text belongs on the lines below | or >"],
  ["UNEXPECTED_TOKEN", /^Unexpected block-seq-ind/, "a list starts on the line below its key"],
  ["UNEXPECTED_TOKEN", /^Unexpected flow-\w+-end/, "a bracket is closed that was not opened"],
  [
    "UNEXPECTED_TOKEN",
    /at node end$/,
    "a quote, a comma or a new line is missing before this text",
  ],
];

/**
 * What the parser found, and where to look, in words of our own: its own may quote the file, and a
 * Secret is a manifest.
 */
function explain(
  { code, message, pos: [offset] }: YAMLError,
  document: Document,
  text: string,
): { readonly offset: number; readonly expected: string } {
  const because = (reason: string, at = offset) => ({
    offset: at,
    expected: `expected valid YAML or JSON: ${reason}`,
  });
  switch (code) {
    case "TAB_AS_INDENT":
      return { offset, expected: "a tab indents this line: expected blanks" };
    case "NON_STRING_KEY":
      return { offset, expected: "expected text as a key" };
  }
  // A key over several lines: the last of them is where it became one.
  const folded = document.errors.find((error) => error.code === "MULTILINE_IMPLICIT_KEY");
  if (folded !== undefined && code === "BLOCK_AS_IMPLICIT_KEY" && /^Nested/.test(message)) {
    return because("this line is indented more than those above it", folded.pos[1] - 1);
  }
  const brackets = findOpen(document, text, offset, /^[[{]/);
  if (folded !== undefined && brackets.length > 0) return because(COMMA);
  // What is closed too late or never: the place to look at is where it was opened.
  const isOpen = /^Missing closing|(must|and) end with a [\]}]$/.test(message);
  const opened = /^Missing/.test(message)
    ? findOpen(document, text, offset, /^["']/, true)
    : brackets.filter(({ end }) => end === offset);
  const { start } = opened.at(-1) ?? {};
  if (isOpen && start !== undefined) {
    return because(`${text.charAt(start)} is not closed, or not where it should be`, start);
  }
  const lineStart = text.lastIndexOf("\n", offset - 1) + 1;
  if (/at node end$/.test(message) && text.slice(lineStart, offset).trim() === "") {
    return because(
      text.charAt(offset) === "{" ? "a line of --- is missing between two objects" : INDENTED,
    );
  }
  const known = MEANINGS.find(([of, form]) => of === code && form.test(message));
  return because(known?.[2] ?? code.toLowerCase().replaceAll("_", " "));
}

/** The brackets or quotes in which an offset is, or at which they end, the innermost last. */
function findOpen(
  document: Document,
  text: string,
  offset: number,
  form: RegExp,
  mayEndBehind = false,
): readonly { readonly start: number; readonly end: number }[] {
  const found: { start: number; end: number }[] = [];
  visit(document, (_, node) => {
    if (!isNode(node) || !node.range || !(isScalar(node) || isCollection(node))) return;
    const [start, end] = node.range;
    const isIn = start < offset && offset <= (mayEndBehind ? end + 1 : end);
    if (isIn && form.test(text.charAt(start))) found.push({ start, end });
  });
  return found;
}
