/**
 * Generates the parts of the documentation that follow from the code, between their markers.
 *
 *     deno task docs
 *
 * A test fails if a page and the code differ.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { defaultText, usage, wrapUsage } from "../src/cli/help.ts";
import { LOG_LEVELS } from "../src/log/log.ts";
import { type Message, MESSAGES } from "../src/log/messages.ts";
import { ACTIONS, type Option, OPTIONS, WRAP_OPTIONS } from "../src/options.ts";
import { read, sources } from "./sources.ts";
import {
  figureTables,
  goalRows,
  markdownTable,
  peerRows,
  type Results,
  summaryRows,
} from "../bench/report.ts";

const ROOT = new URL("../", import.meta.url);

/** The README's table of options. */
export function optionTable(): string {
  const options: readonly Option<unknown>[] = Object.values(OPTIONS);
  return markdownTable([
    ["option", "variable", "default", "meaning"],
    ...options.map((option) => [
      `\`${usage(option)}\``,
      `\`${option.variable}\``,
      defaultText(option),
      option.help,
    ]),
    ...ACTIONS.map(({ name, short, argument, help }) => {
      const form = `\`--${name}${argument === undefined ? "" : ` ${argument}`}\``;
      return [short === undefined ? form : `\`-${short}\`, ${form}`, "", "", help];
    }),
    ...WRAP_OPTIONS.map((option) => {
      const { variable, defaultText = "", help } = option;
      const name = variable === undefined ? "" : `\`${variable}\``;
      return [`\`${wrapUsage(option)}\``, name, defaultText, help];
    }),
  ]);
}

/** The headings of the levels on the page of messages. */
const LEVEL_HEADINGS: Readonly<Record<Message["level"], string>> = {
  error: "Errors: something did not work, and the pod or the job may be affected",
  warn: "Warnings: worth a look",
  info: "Information: what an ordinary job logs",
  debug: "Details: with `--log-level debug`",
};

/** Each message with its level, fields and meaning, the most important first. */
export function messageList(): string {
  const messages: readonly (readonly [event: string, message: Message])[] = Object.entries(
    MESSAGES,
  );
  return LOG_LEVELS.map((level) => {
    const entries = messages.filter(([, message]) => message.level === level).map(messageEntry);
    return [`## ${LEVEL_HEADINGS[level]}`, ...entries].join("\n\n");
  }).join("\n\n");
}

function messageEntry([event, { text, meaning }]: readonly [string, Message]): string {
  const fields = fieldNames(text).map((name) => `\`${name}\``).join(", ");
  return [
    `### ${event}`,
    "```text\n" + text + "\n```",
    meaning,
    ...(fields === "" ? [] : [`Fields: ${fields}.`]),
  ].join("\n\n");
}

/** The names of a message's fields, in the order in which its text has them. */
export function fieldNames(text: string): readonly string[] {
  return [...text.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
}

/** What each file does: the first sentence of its module comment. */
export function fileTable(): string {
  const described = ["cli.ts", "mod.ts", ...sources("src"), ...sources("hooks")].map((path) => {
    const text = read(path);
    const [, comment = ""] = /^\/\*\*\n((?: \*.*\n)*?) \* @module/.exec(text) ?? [];
    const [sentence = ""] = comment.replaceAll(/^ \* ?/gm, "").split(/\n\n|(?<=\.)\s/);
    return { path, sentence: sentence.replaceAll("\n", " ").trim() };
  });
  const presets = described.filter(({ path, sentence }) =>
    path.startsWith("hooks/") && sentence === ""
  );
  const names = presets.map(({ path }) => `\`${path.slice("hooks/".length)}\``).join(", ");
  return markdownTable([
    ["file", "what it does"],
    ...described.filter(({ sentence }) => sentence !== "")
      .map(({ path, sentence }) => [`\`${path}\``, sentence]),
    ["the rest of `hooks/`", `One sidecar each: ${names}`],
  ]);
}

/** The figures of the last full run of the benchmark. */
function benchResults(): Results {
  return JSON.parse(Deno.readTextFileSync(new URL("docs/performance.json", ROOT)));
}

/** An example's file as a code block. The example is a program with its own test. */
function program(path: string): string {
  return `\`\`\`ts ignore\n${Deno.readTextFileSync(new URL(path, ROOT)).trimEnd()}\n\`\`\``;
}

/** Every generated part: the page, the marker around it, and its text. */
export const PARTS: readonly { page: string; marker: string; text: () => string }[] = [
  { page: "README.md", marker: "options", text: optionTable },
  { page: "docs/messages.md", marker: "messages", text: messageList },
  {
    page: "docs/writing-a-hook.md",
    marker: "my_wrapper.ts",
    text: () => program("examples/custom-hook/my_wrapper.ts"),
  },
  { page: "docs/architecture.md", marker: "files", text: fileTable },
  {
    page: "docs/performance.md",
    marker: "figures",
    text: () => figureTables(benchResults()),
  },
  {
    page: "docs/performance.md",
    marker: "summary",
    text: () => markdownTable(summaryRows(benchResults())),
  },
  {
    page: "docs/optimizing.md",
    marker: "goals",
    text: () => markdownTable(goalRows(benchResults())),
  },
  {
    page: "README.md",
    marker: "performance",
    text: () => markdownTable(peerRows(benchResults())),
  },
  { page: "docs/library.md", marker: "job.ts", text: () => program("examples/own-job/job.ts") },
];

/** A page with the part between its markers replaced. */
export function withPart(page: string, marker: string, text: string): string {
  const [open, close] = [`<!-- ${marker} -->\n\n`, `\n\n<!-- /${marker} -->`];
  const start = page.indexOf(open);
  const end = page.indexOf(close, start);
  if (start < 0 || end < 0) throw new Error(`no markers for ${marker}`);
  return page.slice(0, start + open.length) + text + page.slice(end);
}

if (import.meta.main) {
  for (const { page, marker, text } of PARTS) {
    const url = new URL(page, ROOT);
    Deno.writeTextFileSync(url, withPart(Deno.readTextFileSync(url), marker, text()));
    console.log(`${page}: ${marker}`);
  }
}
