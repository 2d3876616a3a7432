/** What a file of variables may look like, beside `parseEnv` of `node:util`. */

import fc from "fast-check";
import { parseEnv } from "node:util";
import { assert, assertEquals, assertThrows } from "../../tests/support/assert.ts";
import { envFileText, variables } from "../../tests/support/env_file.ts";
import { parseEnvFile } from "./env_file.ts";
import { EnvFileError } from "./errors.ts";

const parse = (text: string) => Object.fromEntries(parseEnvFile(text, "/secrets"));

/** Files that `parseEnv` reads in the same way. */
const GOOD: readonly (readonly [text: string, expected: Readonly<Record<string, string>>])[] = [
  ["", {}],
  ["\n \t \n# only a comment", {}],
  ["A=1", { A: "1" }],
  ["A=1\nB=2\n", { A: "1", B: "2" }],
  ["A=1\r\nB=2\r\n", { A: "1", B: "2" }],
  ["A=1\nA=2\n", { A: "2" }],
  ["export A=1\nexport=2", { A: "1", export: "2" }],
  ["  A = b  ", { A: "b" }],
  ["A=\nB=1", { A: "", B: "1" }],
  ["A=", { A: "" }],
  ["A=b # c\n  # d\nB= c d", { A: "b", B: "c d" }],
  ["A==x=y", { A: "=x=y" }],
  ["A=$HOME\nB=`$(date)`\nC=${X}", { A: "$HOME", B: "$(date)", C: "${X}" }],
  ["A=\"x\\ny\"\nB='x\\ny'\nC=x\\ny", { A: "x\ny", B: "x\\ny", C: "x\\ny" }],
  ["A=\"a\nb\"\nB='c\n#d\nE=f' # g\nC=`h\ni`", { A: "a\nb", B: "c\n#d\nE=f", C: "h\ni" }],
  ["A=\"it's\"\nB='say \"x\"'\nC=it's", { A: "it's", B: 'say "x"', C: "it's" }],
  ["A=\"\"\nB=''", { A: "", B: "" }],
  ['A=\t"x"\t# c', { A: "x" }],
  ['A="a#b"', { A: "a#b" }],
  ["__proto__=x\nA=1", { ["__proto__"]: "x", A: "1" }],
  ["A=schlüssel\u2028\u00a0", { A: "schlüssel\u2028\u00a0" }],
];

for (const [text, expected] of GOOD) {
  Deno.test(`variables: ${JSON.stringify(text)}`, () => {
    assertEquals(parse(text), expected);
    assertEquals({ ...parseEnv(text) }, expected, "parseEnv");
  });
}

Deno.test("what parseEnv reads wrongly: an empty value after export or before a line, a tab after export, a mark at the start", () => {
  assertEquals(parse("A= \nB=1"), { A: "", B: "1" });
  assertEquals(parse("export A=\nexport B="), { A: "", B: "" });
  assertEquals(parse("export\tA=1"), { A: "1" });
  assertEquals(parse("\ufeffA=1"), { A: "1" });
});

const BAD: readonly (readonly [text: string, line: number, problem: string])[] = [
  ["A=1\njust sesame\n", 2, "expected NAME=VALUE, a comment or a blank line"],
  ["A=1\n\n# c\nexport sesame", 4, "expected NAME=VALUE"],
  ["1SESAME=1", 1, "expected a name of letters, digits and _ before the ="],
  ["A='\n\n'\nA-SESAME=1", 4, "expected a name"],
  ["SESAME.A=1", 1, "expected a name"],
  ["=sesame", 1, "expected a name"],
  ["A SESAME=1", 1, "expected a name"],
  ["SÉSAME=1", 1, "expected a name"],
  ['A=1\nB="sesame\nC=2\n', 2, "the quote is not closed"],
  ["A='sesame", 1, "the quote is not closed"],
  ["A= `sesame", 1, "the quote is not closed"],
  ["A='open''sesame'", 1, "expected nothing after the closing quote"],
  ["A='open\n'sesame\n", 2, "expected nothing after the closing quote"],
  ["A='open'#sesame\n", 1, "expected nothing after the closing quote"],
  ['A="say \\"sesame\\""', 1, "use single quotes"],
  ["A=open#sesame", 1, "put the value in quotes"],
  ["B=1\nA=#sesame", 2, "put the value in quotes"],
  ["A=1\nB=ses\0ame", 2, "a NUL byte"],
];

for (const [text, line, problem] of BAD) {
  Deno.test(`an error, with its line and without its content: ${JSON.stringify(text)}`, () => {
    const error = assertThrows(() => parse(text), EnvFileError, problem);
    assertEquals([error.path, error.line], ["/secrets", line]);
    assert(error.message.startsWith(`--env-file /secrets, line ${line}: `), error.message);
    assert(!/s.?same/i.test(error.message), error.message);
  });
}

Deno.test("any values, however they are written, are read as parseEnv reads them", () => {
  fc.assert(fc.property(variables, (written) => {
    const text = envFileText(written);
    const expected = Object.fromEntries(written.map(({ name, value }) => [name, value]));
    assertEquals(parse(text), expected);
    assertEquals({ ...parseEnv(text) }, expected);
  }));
});

Deno.test("any text at all is read as parseEnv reads it, or is an error", () => {
  const piece = fc.constantFrom(..."AB_1=#\"'`\\n \t\n", "export ", "é", "$", "-");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const text = pieces.join("");
      let values: Record<string, string>;
      try {
        values = parse(text);
      } catch (error) {
        if (error instanceof EnvFileError) return;
        throw error;
      }
      // The mistakes of the test above.
      if (/=[ \t]+\n|export\t|export .*=[ \t]*(\n|$)/.test(text)) return;
      assertEquals(values, { ...parseEnv(text) });
    }),
    { numRuns: 5000 },
  );
});
