/**
 * A document's tree: what stands where, through anchors and merge keys, and edits that leave every
 * other line as it is.
 *
 * @module
 */

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  visit,
  type YAMLMap,
} from "yaml";
import { blockEntries, blockItems, inline, scalar, type Value } from "./render.ts";

/** A change of a text: these characters go, and the new ones come. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** Whether it comes before what else is put there: lines that belong to the key above. */
  readonly isFirst?: boolean;
}

/** Something that cannot be wrapped, and why. */
export class LeftError extends Error {
  override readonly name = "LeftError";

  /**
   * @param message why
   * @param offset where in the text, if that is not the object's own start
   */
  constructor(message: string, readonly offset?: number) {
    super(message);
  }
}

/** A map of a document, as a node and as the plain value that it is to become. */
export interface Place {
  readonly node: YAMLMap;
  readonly value: Record<string, unknown>;
}

/** What was found under a key. */
interface Found {
  readonly node: Node | null;
  readonly pair: Pair;
  /** Whether it stands under this very key, and not in what is merged into the map. */
  readonly isOwn: boolean;
  /** Whether other places of the document have the same node. */
  readonly isShared: boolean;
}

/** A document that is being changed. */
export class Tree {
  readonly edits: Edit[] = [];
  readonly #aliased = new Set<string>();
  #root: Place | undefined;

  /**
   * @param text the whole file
   * @param document one of its documents
   */
  constructor(readonly text: string, readonly document: Document) {
    visit(document, { Alias: (_, { source }) => void this.#aliased.add(source) });
  }

  /** The whole document; undefined if it is no map. */
  root(): Place | undefined {
    const { contents } = this.document;
    if (!isMap(contents)) return undefined;
    this.#root ??= { node: contents, value: record(this.plain(contents)) };
    return this.#root;
  }

  /** The map under a key; undefined if there is none. */
  child(place: Place, key: string): Place | undefined {
    const found = this.#find(place.node, key);
    if (found === undefined || !isMap(found.node)) return undefined;
    return { node: found.node, value: record(place.value[key] ?? this.plain(found.node)) };
  }

  /** The maps in a list under a key. */
  children(place: Place, key: string): readonly Place[] {
    const found = this.#find(place.node, key);
    if (found === undefined || !isSeq(found.node)) return [];
    const values = place.value[key];
    return found.node.items.flatMap((item, index) => {
      const node = isAlias(item) ? item.resolve(this.document) : item;
      if (!isMap(node)) return [];
      const value = Array.isArray(values) ? values[index] : this.plain(node);
      return [{ node, value: record(value) }];
    });
  }

  /** The plain value under a key. */
  get(place: Place, key: string): unknown {
    const found = this.#find(place.node, key);
    return found?.node && this.plain(found.node);
  }

  /** A node as a plain value. */
  plain(node: Node): unknown {
    try {
      return node.toJS(this.document, { maxAliasCount: 1000 });
    } catch (error) {
      if (!(error instanceof ReferenceError || error instanceof RangeError)) throw error;
      throw new LeftError("its anchors stand for more than a manifest can have; write it out");
    }
  }

  /** The offset of a key, or of the place itself where the key is not there. */
  offsetOf(place: Place, key: string): number {
    const found = this.#find(place.node, key);
    const node = found?.pair.key;
    return isNode(node) ? node.range?.[0] ?? this.startOf(place) : this.startOf(place);
  }

  /** The offset at which a place starts. */
  startOf({ node }: Place): number {
    return node.range?.[0] ?? 0;
  }

  /**
   * Makes sure that a change below a place changes nothing else.
   *
   * @param keys the way to the place that is to be changed; numbers are items of a list
   */
  refuseShared(root: Place, keys: readonly (string | number)[]): void {
    let node: unknown = root.node;
    const refuse = (what: unknown = node) => {
      throw new LeftError(
        "it is put together from YAML anchors, and a change would reach other places; write it out",
        isNode(what) ? what.range?.[0] : undefined,
      );
    };
    for (const key of keys) {
      if (typeof key === "number") {
        const item: unknown = isSeq(node) ? node.items[key] : undefined;
        if (isAlias(item) || this.#isAliased(item)) refuse(item);
        node = item;
      } else {
        const found: Found | undefined = isMap(node) ? this.#find(node, key) : undefined;
        if (found?.isShared || found?.isOwn === false) refuse(found.pair.key);
        node = found?.node;
      }
    }
  }

  /** Adds entries to the map under a key, which may be missing. */
  addEntries(place: Place, key: string, entries: Readonly<Record<string, Value>>): void {
    const found = this.#find(place.node, key);
    const before = found?.node && this.plain(found.node);
    const after = { ...isRecord(before) ? before : {}, ...entries };
    place.value[key] = after;
    if (found?.isOwn && this.#setBelow(place, found.pair, after as Value)) return;
    if (this.#isPlainly(found) && isMap(found?.node)) {
      this.#insertEntries(found.node, Object.entries(entries));
    } else {
      this.#set(place, key, after as Value, found);
    }
  }

  /** Adds entries to a map itself, after the first of these keys that it has. */
  setEntry(place: Place, key: string, value: Value, after: readonly string[]): void {
    place.value[key] = value;
    this.#set(place, key, value, this.#find(place.node, key), after);
  }

  /** Adds items to the list under a key, which may be missing. */
  addItems(
    place: Place,
    key: string,
    items: readonly Value[],
    options: { readonly first?: boolean; readonly after?: readonly string[] } = {},
  ): void {
    const found = this.#find(place.node, key);
    const before = place.value[key] ?? (found?.node && this.plain(found.node));
    const list: readonly unknown[] = Array.isArray(before) ? before : [];
    const all = options.first ? [...items, ...list] : [...list, ...items];
    place.value[key] = all;
    const node = found?.node;
    if (found?.isOwn && this.#setBelow(place, found.pair, all as Value)) return;
    if (!this.#isPlainly(found) || !isSeq(node) || (node.items.length === 0 && !node.flow)) {
      return this.#set(place, key, all as Value, found, options.after);
    }
    const [first] = node.items;
    const start = node.range?.[0] ?? 0;
    if (node.flow) {
      if (options.first) return this.#insertFirstInFlow(start, first, items);
      this.#insertInFlow(start, node.items.at(-1), items.map((item) => this.#inFlow(item, start)));
    } else {
      const indent = this.#columnOf(start);
      if (options.first) {
        this.#edit(start, start, blockItems(items, indent).trimStart() + " ".repeat(indent));
      } else this.#insertLines(this.#endOf(node), blockItems(items, indent));
    }
  }

  /** Puts another text in the place of a scalar. */
  replaceScalar(place: Place, key: string, value: string): void {
    const found = this.#find(place.node, key);
    if (found === undefined || !this.#isPlainly(found) || !isScalar(found.node)) {
      return this.setEntry(place, key, value, []);
    }
    place.value[key] = value;
    const [start = 0, end = 0] = found.node.range ?? [];
    this.#edit(start, end, place.node.flow ? inline(value) : scalar(value));
  }

  /** Remembers a place as it is now, and returns what takes back every change since then. */
  savePoint({ value }: Place): () => void {
    const saved = structuredClone(value);
    const count = this.edits.length;
    return () => {
      this.edits.length = count;
      for (const key of Object.keys(value)) delete value[key];
      Object.assign(value, saved);
    };
  }

  /** Whether a found node stands there by itself, so that a change of it changes nothing else. */
  #isPlainly(found: Found | undefined): boolean {
    return found !== undefined && found.isOwn && !found.isShared;
  }

  #isAliased(node: unknown): boolean {
    return typeof node === "object" && node !== null && "anchor" in node &&
      typeof node.anchor === "string" && this.#aliased.has(node.anchor);
  }

  #find(map: YAMLMap, key: string, depth = 0): Found | undefined {
    const own = map.items.find((pair) => isScalar(pair.key) && pair.key.value === key);
    if (own !== undefined) {
      const { value } = own;
      const resolved = isAlias(value) ? value.resolve(this.document) : value;
      return {
        node: isNode(resolved) ? resolved : null,
        pair: own,
        isOwn: true,
        isShared: isAlias(value) || this.#isAliased(value),
      };
    }
    if (depth > 20) return undefined;
    for (const pair of map.items) {
      if (!isScalar(pair.key) || pair.key.value !== "<<") continue;
      const sources = isSeq(pair.value) ? pair.value.items : [pair.value];
      for (const source of sources) {
        const merged = isAlias(source) ? source.resolve(this.document) : source;
        const found = isMap(merged) ? this.#find(merged, key, depth + 1) : undefined;
        if (found !== undefined) return { ...found, isOwn: false, isShared: true };
      }
    }
    return undefined;
  }

  /** Gives a key its whole value: in its place if it is there, else after one of the other keys. */
  #set(
    place: Place,
    key: string,
    value: Value,
    found: Found | undefined,
    after: readonly string[] = [],
  ): void {
    const { node } = place;
    if (found === undefined || !found.isOwn) {
      return this.#insertEntries(node, [[key, value]], after);
    }
    const old = found.pair.value;
    const isAnchored = this.#isAliased(old);
    if (isAnchored) {
      throw new LeftError(
        `its ${key} has a YAML anchor that is used elsewhere; write the other place out`,
        isNode(found.pair.key) ? found.pair.key.range?.[0] : undefined,
      );
    }
    const isEmpty = isScalar(old) && old.range?.[0] === old.range?.[1];
    if (this.#setBelow(place, found.pair, value)) return;
    if (isNode(old) && !isEmpty) {
      const [start = 0] = old.range ?? [];
      this.#edit(start, this.#endOf(old), inline(value));
    } else {
      const end = isNode(found.pair.key) ? this.#endOf(found.pair.key) : 0;
      const colon = this.text.indexOf(":", end) + 1;
      this.#edit(colon, colon, ` ${inline(value)}`);
    }
  }

  /** Gives a key that has nothing its value on lines below, if it stands on a line of its own. */
  #setBelow({ node }: Place, { key, value: old }: Pair, value: Value): boolean {
    if (
      node.flow || this.#isAliased(old) || !isNode(key) || typeof value !== "object" ||
      value === null
    ) return false;
    const isNothing = isScalar(old)
      ? old.value === null && !old.tag
      : isNode(old) && "items" in old && Array.isArray(old.items) && old.items.length === 0;
    const [start = 0] = key.range ?? [];
    const [oldStart = 0, oldEnd = 0] = isNode(old) ? old.range ?? [] : [];
    const colon = this.text.indexOf(":", this.#endOf(key)) + 1;
    const isEmpty = oldStart === oldEnd;
    const line = this.text.slice(colon, isEmpty ? colon : oldEnd);
    if (!isNothing || line.includes("\n") || /[&!]/.test(line)) return false;
    if (!isEmpty) this.#edit(colon, oldEnd, "");
    const indent = this.#columnOf(start) + 2;
    const lines = Array.isArray(value)
      ? blockItems(value, indent)
      : blockEntries(Object.entries(value), indent);
    this.#insertLines(isEmpty ? colon : oldEnd, lines, { isFirst: true });
    return true;
  }

  #insertEntries(
    map: YAMLMap,
    entries: readonly (readonly [string, Value])[],
    after: readonly string[] = [],
  ): void {
    if (entries.length === 0) return;
    const last = map.items.at(-1);
    if (map.flow || last === undefined) {
      const start = map.range?.[0] ?? 0;
      const texts = entries.map(([key, value]) => `${inline(key)}: ${this.#inFlow(value, start)}`);
      return this.#insertInFlow(start, last?.value ?? last?.key, texts);
    }
    const named = map.items.findLast(({ key }) =>
      isScalar(key) && after.includes(String(key.value))
    );
    const previous = named ?? last;
    const [first] = map.items;
    const indent = this.#columnOf(isNode(first?.key) ? first.key.range?.[0] ?? 0 : 0);
    this.#insertLines(this.#endOfPair(previous), blockEntries(entries, indent));
  }

  #insertFirstInFlow(start: number, first: unknown, items: readonly Value[]): void {
    if (!isNode(first)) return this.#edit(start + 1, start + 1, items.map(inline).join(", "));
    const [at = 0] = first.range ?? [];
    const isPlain = isScalar(first) && first.type === "PLAIN";
    const isSingle = isScalar(first) && first.type === "QUOTE_SINGLE";
    const show = (item: Value) =>
      isPlain && typeof item === "string"
        ? scalar(item)
        : isSingle && typeof item === "string" && !item.includes("'")
        ? `'${item}'`
        : inline(item);
    const between = this.#isOnNewLine(at) ? `,\n${this.#blanksAt(at)}` : ", ";
    this.#edit(at, at, items.map((item) => show(item) + between).join(""));
  }

  #insertInFlow(start: number, last: unknown, texts: readonly string[]): void {
    if (!isNode(last)) {
      const unit = this.#jsonUnit();
      const blanks = this.#blanksAt(start);
      const text = unit === undefined
        ? texts.join(", ")
        : `\n${texts.map((text) => blanks + unit + text).join(",\n")}\n${blanks}`;
      return this.#edit(start + 1, start + 1, text);
    }
    const end = last.range?.[1] ?? start;
    const lineStart = this.text.lastIndexOf("\n", end - 1) + 1;
    // In a map with one entry a line, the new ones get a line each.
    const opened = this.text.slice(0, end).lastIndexOf("\n") >= start;
    const blanks = this.#blanksAt(last.range?.[0] ?? lineStart);
    const between = opened ? `,\n${blanks}` : ", ";
    this.#edit(end, end, texts.map((text) => between + text).join(""));
  }

  /** The blanks with which the line of an offset begins. */
  #blanksAt(offset: number): string {
    const lineStart = this.text.lastIndexOf("\n", offset - 1) + 1;
    return /^[ \t]*/.exec(this.text.slice(lineStart, offset))?.[0] ?? "";
  }

  /** What indents each line of a document of JSON; undefined if it is on one line, or is none. */
  #jsonUnit(): string | undefined {
    const { contents } = this.document;
    if (!isMap(contents) || !contents.flow) return undefined;
    const start = contents.range?.[0] ?? 0;
    return /^\{\r?\n([ \t]+)"/.exec(this.text.slice(start, start + 100))?.[1];
  }

  /** A value for a flow collection that starts at an offset: in lines of its own, if all of the document is. */
  #inFlow(value: Value, start: number): string {
    const unit = this.#jsonUnit();
    if (unit === undefined) return inline(value);
    const lines = JSON.stringify(value, undefined, unit).split("\n");
    return lines.join(`\n${this.#blanksAt(start)}${unit}`);
  }

  #insertLines(end: number, lines: string, order: Pick<Edit, "isFirst"> = {}): void {
    const newline = this.text[end - 1] === "\n" ? end - 1 : this.text.indexOf("\n", end);
    if (newline < 0) {
      const { length } = this.text;
      this.#edit(length, length, `\n${lines.replace(/\n$/, "")}`, order);
    } else this.#edit(newline + 1, newline + 1, lines, order);
  }

  #endOfPair({ key, value }: Pair): number {
    if (isNode(value) && (value.range?.[1] ?? 0) > (value.range?.[0] ?? 0)) {
      return this.#endOf(value);
    }
    return isNode(key) ? this.#endOf(key) : 0;
  }

  /** Where a node ends, without what follows it on its line and below. */
  #endOf(node: Node): number {
    if (isMap(node) && !node.flow && node.items.length > 0) {
      const last = node.items.at(-1);
      return last === undefined ? 0 : this.#endOfPair(last);
    }
    if (isSeq(node) && !node.flow && node.items.length > 0) {
      const last = node.items.at(-1);
      if (isNode(last) && (last.range?.[1] ?? 0) > (last.range?.[0] ?? 0)) return this.#endOf(last);
    }
    return node.range?.[1] ?? 0;
  }

  #columnOf(offset: number): number {
    return offset - (this.text.lastIndexOf("\n", offset - 1) + 1);
  }

  #isOnNewLine(offset: number): boolean {
    return this.text.slice(this.text.lastIndexOf("\n", offset - 1) + 1, offset).trim() === "";
  }

  #edit(start: number, end: number, text: string, order: Pick<Edit, "isFirst"> = {}): void {
    this.edits.push({ start, end, text, ...order });
  }
}

/** Applies edits to a text, with the text's own line endings. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  const newline = /\r?\n/.exec(text)?.[0] ?? "\n";
  let result = "";
  let done = 0;
  const inOrder = edits.toSorted((a, b) =>
    a.start - b.start || Number(b.isFirst ?? false) - Number(a.isFirst ?? false)
  );
  for (const { start, end, text: added } of inOrder) {
    result += text.slice(done, start) + added.replaceAll("\n", newline);
    done = end;
  }
  return result + text.slice(done);
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "range" in value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A plain map; an empty one in place of anything else. */
export function record(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

/** A plain map with what is merged into it (`<<`). */
export function merged(value: unknown): Record<string, unknown> {
  const { "<<": sources, ...own } = record(value);
  const all = Array.isArray(sources) ? sources : [sources];
  // Of several, the first has the last word.
  return Object.assign({}, ...all.toReversed().map((one) => isRecord(one) ? merged(one) : {}), own);
}
