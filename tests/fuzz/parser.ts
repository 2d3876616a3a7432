/** Everything that parses user input, with random input, in this process. */

import * as fc from "fast-check";
import { resolveUrl } from "../../src/http/url.ts";
import { httpHook } from "../../hooks/http.ts";
import { parseHook, parseWaitFor } from "../../hooks/registry.ts";
import { formatDuration, LONGEST_MS, parseDuration } from "../../src/time.ts";
import { configText } from "../../src/cli/help.ts";
import { createLogger, createReport } from "../../src/log/log.ts";
import { OPTIONS, type Settings } from "../../src/options.ts";
import { describeDefect, redact, redactCommand, redactValue } from "../../src/log/redact.ts";
import { errorReason, startErrorReason } from "../../src/platform/errors.ts";
import { nearMisses, parseGoDuration, readScuttle } from "../../src/cli/scuttle.ts";
import { readInvocation } from "../../src/cli/settings.ts";
import { assert, assertEquals } from "../support/assert.ts";
import {
  argumentList,
  durationText,
  environment,
  leaks,
  SECRETS,
  targetText,
  urlText,
  valueText,
  word,
} from "./values.ts";

/** One thing that must hold for every input. */
export interface Property {
  readonly title: string;
  readonly property: fc.IProperty<unknown>;
}

const scuttle = { nearMisses, readScuttle };

const lookup = (variables: Readonly<Record<string, string>>) => (name: string) =>
  Object.hasOwn(variables, name) ? variables[name] : undefined;

function assertNoSecret(text: string): void {
  assertEquals(leaks(text), [], text);
}

/** A hook from a TARGET; undefined if it is refused with a message for an operator. */
function hookOf(target: string) {
  return readOrRefuse(() => parseHook(target));
}

function readOrRefuse<Read>(read: () => Read): Read | undefined {
  try {
    return read();
  } catch (error) {
    // Any other error would be a bug.
    assert(error instanceof TypeError, `${error}`);
    assert(/expected/.test(error.message), error.message);
    assertNoSecret(error.message);
    return undefined;
  }
}

/** A setting as a user could type it: the option, its text, and the value that it means. */
const typedSetting = fc.oneof(
  fc.tuple(
    fc.constantFrom<keyof Settings>(
      "waitMs",
      "startupWindowMs",
      "timeoutMs",
      "killAfterMs",
    ),
    fc.nat({ max: LONGEST_MS }),
  ),
  fc.tuple(
    fc.constantFrom<keyof Settings>("requestTimeoutMs", "shutdownTimeoutMs"),
    fc.integer({ min: 1, max: LONGEST_MS }),
  ),
  fc.tuple(fc.constant<keyof Settings>("retries"), fc.nat({ max: 999_999 })),
  fc.tuple(fc.constantFrom<keyof Settings>("strict", "processGroup"), fc.boolean()),
  fc.tuple(fc.constant<keyof Settings>("on"), fc.constantFrom("always", "success", "failure")),
  fc.tuple(
    fc.constant<keyof Settings>("successCodes"),
    fc.array(fc.integer({ min: 1, max: 255 }), { minLength: 1 }),
  ),
  fc.tuple(fc.constant<keyof Settings>("logLevel"), fc.constantFrom("error", "warn", "debug")),
).map(([key, value]) => ({
  key,
  value,
  text: typeof value === "number" && key !== "retries" ? `${value}ms` : String(value),
}));

/** Text with characters that move a terminal's cursor, end a line for some readers, or reverse its direction. */
const strangeText = fc.array(
  fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\r\n", "\x1b[2J", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u{e0041}"),
  ),
  { maxLength: 4 },
).map((parts) => parts.join(""));

/** Errors as runtimes throw them, with a message that may quote anything. */
const ERRORS: readonly ((message: string) => Error)[] = [
  (message) => new TypeError(message),
  (message) => new RangeError(`${message}\n    at place (file:///x.ts:1:2)`),
  (message) => new DOMException(message, "SyntaxError"),
  (message) => new Deno.errors.NotCapable(message),
  (message) => new Deno.errors.InvalidData(`invalid peer certificate: ${message}`),
  (message) => new Error(`${message} (os error 2)`),
  (message) => Object.assign(new Error(message), { code: "EXDEV" }),
];

/** What holds for every input. */
export const PROPERTIES: readonly Property[] = [
  {
    title: "any command line and environment is read without an exception or a leaked secret",
    property: fc.property(argumentList, environment, (args, variables) => {
      const names = Object.keys(variables);
      const read = readInvocation(args, lookup(variables), { variables: names, scuttle });
      assertEquals(read.command, args.slice(args.length - read.command.length));
      for (const text of [...read.problems, ...read.warnings]) assertNoSecret(text);
      for (const value of Object.values(read.settings)) {
        if (typeof value !== "number") continue;
        assert(Number.isSafeInteger(value) && value >= 0 && value <= LONGEST_MS, `${value}`);
      }
      assert(read.settings.hook.length > 0);
      const refused = read.settings.hook.filter((target) =>
        target !== "none" && hookOf(target) === undefined
      );
      // `--print-config` says what is wrong instead, and src/cli/main.ts hides what it cannot read.
      const isRefused = refused.length > 0 ||
        read.settings.waitTargets.some((target) =>
          target !== "none" && readOrRefuse(() => parseWaitFor(target)) === undefined
        ) ||
        read.problems.some((problem) => /^(--env-file|WRAPPER_ENV_FILE) /.test(problem));
      if (!isRefused) assertNoSecret(configText(read));
      if (args.length === 0 && read.action === undefined) assert(read.problems.length > 0);
    }),
  },
  {
    title: "COMMAND's words after -- arrive as they are",
    property: fc.property(fc.array(word, { minLength: 1 }), (words) => {
      assertEquals(readInvocation(["--strict", "--", ...words], lookup({})).command, words);
    }),
  },
  {
    title: "COMMAND's words without -- arrive as they are",
    property: fc.property(fc.array(word), (words) => {
      const all = ["job", ...words];
      assertEquals(readInvocation(["--retries", "1", ...all], lookup({})).command, all);
    }),
  },
  {
    title: "a setting means the same as --name=value, --name value and variable",
    property: fc.property(typedSetting, ({ key, value, text }) => {
      const { name, variable } = OPTIONS[key];
      const ways = [
        readInvocation([`--${name}=${text}`, "c"], lookup({})),
        readInvocation(["c"], lookup({ [variable]: text })),
        ...(typeof value === "boolean"
          ? []
          : [readInvocation([`--${name}`, text, "c"], lookup({}))]),
      ];
      for (const { settings, problems, command } of ways) {
        assertEquals([settings[key], problems, command], [value, [], ["c"]]);
      }
    }),
  },
  {
    title: "the last value counts, and the option beats the variable",
    property: fc.property(fc.array(fc.nat({ max: 99 }), { minLength: 1 }), (numbers) => {
      const args = numbers.map((number) => `--retries=${number}`);
      const { settings } = readInvocation([...args, "c"], lookup({ WRAPPER_RETRIES: "100" }));
      assertEquals(settings.retries, numbers.at(-1));
    }),
  },
  {
    title: "a duration is refused, or is read as milliseconds that a timer can wait for",
    property: fc.property(durationText, (text) => {
      const ms = parseDuration(text);
      assert(ms === undefined || (Number.isInteger(ms) && ms >= 0 && ms <= LONGEST_MS), `${ms}`);
      const go = parseGoDuration(text);
      assert(go === undefined || (Number.isInteger(go) && Math.abs(go) <= LONGEST_MS), `${go}`);
    }),
  },
  {
    title: "a duration that was written is read back, as exactly as it was written",
    property: fc.property(fc.nat({ max: LONGEST_MS }), (ms) => {
      const back = parseDuration(formatDuration(ms)) ?? NaN;
      assert(Math.abs(back - ms) <= (ms < 1000 ? 0 : 50), `${ms}: ${formatDuration(ms)}`);
      assertEquals(parseDuration(`${ms}ms`), ms);
    }),
  },
  {
    title: "hours, minutes, seconds and milliseconds add up",
    property: fc.property(
      fc.tuple(fc.nat(99), fc.nat(999), fc.nat(9999), fc.nat(99_999)),
      ([h, m, s, ms]) => {
        const sum = ((h * 60 + m) * 60 + s) * 1000 + ms;
        assertEquals(parseDuration(`${h}h${m}m${s}s${ms}ms`), sum);
        assertEquals(parseGoDuration(`${h}h${m}m${s}s${ms}ms`), sum);
      },
    ),
  },
  {
    title:
      "a URL is refused with a message, or has addresses and a request line without credentials",
    property: fc.property(urlText, (text) => {
      let target;
      try {
        target = resolveUrl(text);
      } catch (error) {
        assert(error instanceof TypeError && error.message.startsWith("expected"), `${error}`);
        return;
      }
      assert(target.addresses.length > 0);
      assertEquals([target.url.username, target.url.password, target.url.hash], ["", "", ""]);
      new Request(target.url);
    }),
  },
  {
    title: "a TARGET is refused with a message, or is a hook whose addresses leak no secret",
    property: fc.property(targetText, (target) => {
      const hook = hookOf(target);
      // A file's name is not a URL: what looks like a query is a part of the name.
      if (hook === undefined || target.startsWith("file:")) return;
      const ready = "candidates" in hook ? "" : hook.readyAddress ?? "";
      assertNoSecret(`${hook.name} ${hook.address} ${ready}`);
      assert(hook.name !== "");
    }),
  },
  {
    title: "a header can be sent, or is refused with a message that leaks no secret",
    property: fc.property(strangeText, word, (before, after) => {
      const value = `${before}opensaysme${after}`;
      const stop = { url: "http://localhost:1/quit" };
      try {
        httpHook({ name: "mine", stop, headers: { "x-token": value } });
      } catch (error) {
        assert(error instanceof TypeError && error.message.includes("x-token"), `${error}`);
        assertNoSecret(error.message);
        return;
      }
      new Request(stop.url, { headers: { "x-token": value } });
    }),
  },
  {
    title: "no error's message is printed",
    property: fc.property(strangeText, fc.constantFrom(...ERRORS), (text, make) => {
      const error = make(`${text}opensaysme${text}`);
      for (
        const reason of [errorReason(error), startErrorReason(error)[0], describeDefect(error)]
      ) {
        assertNoSecret(reason);
        assert(reason !== "");
      }
    }),
  },
  {
    title: "a URL is printed without credentials or query",
    property: fc.property(urlText, valueText, (url, before) => {
      assertNoSecret(redactValue(url));
      assertNoSecret(redactValue(`${before} ${url}`));
      assertEquals(redactValue(redactValue(url)), redactValue(url));
      // The runtime prints URLs in their normalized form.
      if (/^https?:/i.test(url) && URL.canParse(url)) {
        assertNoSecret(redact(`(${new URL(url)}): refused`));
      }
    }),
  },
  {
    title: "nothing of COMMAND is printed after its first blank or its =",
    property: fc.property(
      fc.oneof(urlText, word),
      fc.constantFrom(" ", "\t", "\r", "\n", "\u00a0", "="),
      fc.oneof(word, urlText),
      (before, separator, after) => {
        assertNoSecret(redactCommand(before));
        assertNoSecret(redactCommand(`${before}${separator}opensaysme${after}`));
        assertNoSecret(redactCommand(`${before}${separator}${after}`));
      },
    ),
  },
  {
    title: "scuttle's variables are read without an exception or a leaked secret",
    property: fc.property(environment, (variables) => {
      const reading = readScuttle(lookup(variables));
      if (reading === undefined) return;
      for (const warning of reading.warnings) assertNoSecret(warning);
      const { hooks, waitFor } = reading;
      for (const { name, address } of [...hooks, ...waitFor]) assertNoSecret(`${name} ${address}`);
      for (const [key, { texts, origin }] of reading.values) {
        assert(origin !== "", key);
        for (const text of texts) {
          assert(OPTIONS[key].kind.parse(text) !== undefined, `${key}=${text}`);
        }
      }
    }),
  },
  {
    title: "a log entry is one line in both formats, whatever it contains",
    property: fc.property(strangeText, (text) => {
      for (const format of ["text", "json"] as const) {
        let written = "";
        const write = (line: string) => {
          written += line;
        };
        const log = createReport(createLogger({ level: "debug", format, write }));
        log("hook-note", { hook: "h", text });
        assert(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(written.slice(0, -1)), JSON.stringify(written));
        assert(written.endsWith("\n"));
        if (format === "json") assertEquals(JSON.parse(written).text, text);
      }
    }),
  },
];

/** Tries every property with its share of the cases; throws at the first that is violated. */
export function fuzzParser(seed: number, cases: number): number {
  const numRuns = Math.ceil(cases / PROPERTIES.length);
  for (const { title, property } of PROPERTIES) {
    try {
      fc.assert(property, { seed, numRuns });
    } catch (error) {
      throw new Error(title, { cause: error });
    }
  }
  return numRuns * PROPERTIES.length;
}

/** Whether the input contains the secrets: a fuzzer that never uses them proves nothing. */
export function secretsAreTried(seed: number): boolean {
  const texts = fc.sample(urlText, { seed, numRuns: 500 }).join("\n");
  return SECRETS.slice(0, 2).every((secret) => texts.includes(secret));
}
