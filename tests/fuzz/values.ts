/** A fuzzer's input: words, variables, durations, URLs and TARGETs, from plausible to absurd. */

import * as fc from "fast-check";
import { PRESETS } from "../../hooks/registry.ts";
import { ACTIONS, OPTIONS } from "../../src/options.ts";
import { SCUTTLE_VARIABLES } from "../../src/cli/scuttle_names.ts";

/** Marks in place of a URL's password and query; they must never be printed. */
export const SECRETS: readonly string[] = ["hunter2", "sesame", "opensaysme"];

/** Any text that can be an argument of a process. */
export const word: fc.Arbitrary<string> = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.constantFrom(
    "",
    "-",
    "--",
    "---",
    "=",
    "-x",
    "-h",
    "007",
    "1e3",
    "\n",
    " ",
    "ü",
    "\u202e",
    "😀",
  ),
).map((text) => text.replaceAll("\0", "").toWellFormed());

/** A number as a user may write it, correctly or not. */
const amount = fc.oneof(
  fc.nat({ max: 100_000 }).map(String),
  fc.double({ min: 0, max: 1e6, noNaN: true }).map(String),
  fc.constantFrom("", ".", "1.", ".5", "-1", "+1", "1e3", "0x10", "NaN", "９", "9".repeat(400)),
);

/** A duration, or something close to one. */
export const durationText: fc.Arbitrary<string> = fc.oneof(
  fc.array(fc.tuple(amount, fc.constantFrom("ms", "s", "m", "h", "", "d", "us", "S", " ")), {
    maxLength: 4,
  }).map((parts) => parts.flat().join("")),
  word,
);

const host = fc.oneof(
  fc.constantFrom(
    "localhost",
    "127.0.0.1",
    "[::1]",
    "[::",
    "a.b",
    "%2Frun%2Fx.sock",
    "%zz",
    "-",
    "",
  ),
  fc.domain(),
  word,
);

/** A URL, or something close to one, with secrets where users put them. */
export const urlText: fc.Arbitrary<string> = fc.tuple(
  fc.constantFrom(
    "http",
    "https",
    "http+unix",
    "HTTP",
    "htp",
    "ftp",
    "file",
    "http ",
    "tcp",
    "unix",
  ),
  fc.constantFrom("://", "://", "://", ":/", ":", "//", "///"),
  fc.constantFrom("", "", "me:hunter2@", ":hunter2@", "hunter2@", "%zz:hunter2@", "a@b:hunter2@"),
  host,
  fc.constantFrom("", ":1", ":0", ":65535", ":65536", ":x", ":", ":15020"),
  fc.oneof(fc.constantFrom("", "/", "/quit", "/a b", "/%zz", "//"), fc.webPath()),
  fc.constantFrom("", "", "?token=sesame", "?sesame", "#sesame", "?a=b#sesame", "?a b=sesame"),
).map((parts) => parts.join(""));

const presetName = fc.constantFrom(...PRESETS.map(({ hookName }) => hookName));

/** A TARGET, or something close to one. */
export const targetText: fc.Arbitrary<string> = fc.oneof(
  presetName,
  fc.constantFrom("none", "auto", "istioo", "signal:x", "file:/x", "=", "istio=", "NONE"),
  fc.constantFrom("tcp://db:1", "tcp:db:1", "unix:/x", "process:x", "process:x:1", "db:5432"),
  fc.tuple(presetName, urlText).map((pair) => pair.join("=")),
  fc.tuple(fc.constantFrom("", "GET ", "PUT ", "get ", "POST  ", "TRACE "), urlText)
    .map((pair) => pair.join("")),
  word,
);

const everyOption = [...Object.values(OPTIONS), ...ACTIONS].map(({ name }) => `--${name}`);

/** A value of some option, or an arbitrary one. */
export const valueText: fc.Arbitrary<string> = fc.oneof(
  word,
  durationText,
  targetText,
  fc.constantFrom(
    "true",
    "false",
    "1",
    "0",
    "always",
    "success",
    "failure",
    "start",
    "fail",
    "json",
  ),
  fc.nat({ max: 2_000_000 }).map(String),
);

/** A word before COMMAND. */
const optionWord = fc.oneof(
  fc.constantFrom(...everyOption),
  fc.tuple(fc.constantFrom(...everyOption), valueText).map((pair) => pair.join("=")),
  // A typo: one letter is missing.
  fc.tuple(fc.constantFrom(...everyOption), fc.nat({ max: 20 })).map(([name, at]) =>
    name.slice(0, 2 + at) + name.slice(3 + at)
  ),
  valueText,
);

/** A command line. */
export const argumentList: fc.Arbitrary<string[]> = fc.tuple(
  fc.array(optionWord, { maxLength: 8 }),
  fc.constantFrom<readonly string[]>([], ["--"]),
  fc.array(word, { maxLength: 5 }),
).map((parts) => parts.flat());

/** Variables that the wrapper reads, or that look like it. */
export const environment: fc.Arbitrary<Record<string, string>> = fc.dictionary(
  fc.constantFrom(
    ...Object.values(OPTIONS).map(({ variable }) => variable),
    // Mistyped ones, too: one letter is missing.
    ...Object.values(OPTIONS).map(({ variable }) => variable.slice(0, -1)),
    ...SCUTTLE_VARIABLES,
    "WRAPPER_OS",
    "ENVOY_ADMIN_APIS",
    "KUBERNETES_SERVICE_HOST",
    "WRAPPER_PLUGIN_PATH",
  ),
  fc.oneof(
    valueText,
    urlText,
    fc.array(targetText, { maxLength: 3 }).map((list) => list.join(",")),
  ),
  { maxKeys: 4, noNullPrototype: true },
);

/** The secrets that a text contains. */
export function leaks(text: string): readonly string[] {
  return SECRETS.filter((secret) => text.includes(secret));
}
