/** Random files of variables. */

import fc from "fast-check";

/** A variable as it is written in a file. */
export interface Written {
  readonly name: string;
  readonly value: string;
  /** Its line or lines. */
  readonly text: string;
}

const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,12}$/);

/** Any text that can be a value and is written in the same way on every system. */
const value = fc.string({ unit: "binary", maxLength: 40 })
  .map((text) => text.replaceAll(/[\0\r\ufffd\ufeff]/g, "#"));

/** The ways to write a value that stand for it, and not for another one. */
function waysToWrite(value: string): readonly string[] {
  const isBare = !/[\n#]|^[ \t"'`]|[ \t]$/.test(value);
  const isDouble = !/"|\\n|\\$/.test(value);
  return [
    ...(value.includes("'") ? [] : [`'${value}'`]),
    ...(value.includes("`") ? [] : [`\`${value}\``]),
    ...(isDouble ? [`"${value}"`, `"${value.replaceAll("\n", "\\n")}"`] : []),
    ...(isBare ? [value] : []),
  ];
}

const written = fc.record({
  name,
  value,
  prefix: fc.constantFrom("", "export ", "  ", "# a comment\n\n"),
  suffix: fc.constantFrom("", " ", " # a comment with 'quotes'"),
  way: fc.nat(),
}).map(({ name, value, prefix, suffix, way }): Written => {
  const plain = value.replaceAll(/['`"]/g, "");
  const ways = waysToWrite(value);
  const [shown, forms] = ways.length > 0 ? [value, ways] : [plain, waysToWrite(plain)];
  const form = forms[way % forms.length] ?? "";
  // An empty value without quotes is read differently by everyone, after `export` or before a comment.
  return form === ""
    ? { name, value: shown, text: `${name}=` }
    : { name, value: shown, text: `${prefix}${name}=${form}${suffix}` };
});

/** Variables with different names. */
export const variables = fc.uniqueArray(written, { selector: ({ name }) => name, maxLength: 30 });

/** The content of a file with these variables. */
export function envFileText(variables: readonly Written[]): string {
  return variables.map(({ text }) => `${text}\n`).join("");
}
