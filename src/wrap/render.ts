/**
 * New lines of YAML, in the form of the lines around them.
 *
 * @module
 */

/** A value in a manifest. */
export type Value = string | number | boolean | null | readonly Value[] | { [key: string]: Value };

/** What YAML 1.1, too, reads as this very text. */
const PLAIN = /^([A-Za-z_/][A-Za-z0-9_./:@,=-]*[A-Za-z0-9_/]|[A-Za-z]|\d+(m|Ki|Mi|Gi))$/;
const WORDS = /^(true|false|yes|no|on|off|y|n|null|\.inf|\.nan)$/i;

/** A value on one line, in the form that YAML shares with JSON. */
export function inline(value: Value): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (!isEntries(value)) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, one]) => `${inline(key)}: ${inline(one)}`);
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}

/** A text as a scalar. */
export function scalar(value: string | number | boolean | null): string {
  if (typeof value !== "string") return String(value);
  return PLAIN.test(value) && !WORDS.test(value) ? value : JSON.stringify(value);
}

/** Entries of a map, one below the other, each line with its indentation and its end. */
export function blockEntries(
  entries: readonly (readonly [string, Value])[],
  indent: number,
): string {
  const blanks = " ".repeat(indent);
  return entries.map(([key, value]) => {
    const start = `${blanks}${scalar(key)}:`;
    if (Array.isArray(value) && value.length > 0) {
      return value.every((item) => typeof item === "string")
        ? `${start} ${inline(value)}\n`
        : `${start}\n${blockItems(value, indent + 2)}`;
    }
    if (isEntries(value) && Object.keys(value).length > 0) {
      return `${start}\n${blockEntries(Object.entries(value), indent + 2)}`;
    }
    return `${start} ${isScalarValue(value) ? scalar(value) : inline(value)}\n`;
  }).join("");
}

/** Items of a list, one below the other. */
export function blockItems(items: readonly Value[], indent: number): string {
  const dash = `${" ".repeat(indent)}- `;
  return items.map((item) => {
    if (isEntries(item) && Object.keys(item).length > 0) {
      return dash + blockEntries(Object.entries(item), indent + 2).trimStart();
    }
    return `${dash}${isScalarValue(item) ? scalar(item) : inline(item)}\n`;
  }).join("");
}

function isScalarValue(value: Value): value is string | number | boolean | null {
  return value === null || typeof value !== "object";
}

function isEntries(value: Value): value is { [key: string]: Value } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
