import { fieldNames } from "../../scripts/docs.ts";
import { createLogger, createReport, type LogEntry, silentLogger } from "./log.ts";
import { type Message, MESSAGES } from "./messages.ts";
import { assert, assertEquals } from "../../tests/support/assert.ts";
import { read, sources } from "../../scripts/sources.ts";

const messages: readonly (readonly [event: string, message: Message])[] = Object.entries(MESSAGES);

Deno.test("no field of a message is named like a key that every JSON line has", () => {
  for (const [event, { text }] of messages) {
    for (const name of fieldNames(text)) {
      assert(!["time", "level", "event", "msg"].includes(name), `${event}: ${name}`);
    }
  }
});

Deno.test("every message has its meaning in whole sentences", () => {
  for (const [event, { text, meaning }] of messages) {
    assert(/^[A-Z1].*\.$/s.test(meaning), `${event}: ${meaning}`);
    assert(!text.includes("\n") && !/[.]$/.test(text), `${event}: ${text}`);
  }
});

Deno.test("a field in milliseconds is a duration in the line and a whole number in JSON", () => {
  const entries: LogEntry[] = [];
  const log = createReport((entry) => entries.push(entry));
  log("command-ended", { code: 3, durationMs: 1499.7 });
  assertEquals(entries, [{
    level: "info",
    event: "command-ended",
    msg: "command ended with exit code 3 after 1.5s",
    fields: { code: 3, durationMs: 1500 },
  }]);
});

Deno.test("a line is always one line of limited length, without control characters", () => {
  const lines: string[] = [];
  const log = createReport(
    createLogger({ level: "debug", format: "text", write: (line) => lines.push(line) }),
  );
  const text = `a\r\nb\u001b[31mc\u009bd\u2028e\u202ef ${"x".repeat(10_000)}`;
  log("hook-note", { hook: "mine", text });
  createReport(createLogger({ level: "debug", format: "json", write: (line) => lines.push(line) }))(
    "hook-note",
    { hook: "mine", text },
  );
  assertEquals(lines.length, 2);
  assert((lines[1] ?? "").length < 4500, lines[1]);
  const [line = ""] = lines;
  assert(line.startsWith("wrapper: mine: a b [31mc d e f xxx"), line.slice(0, 60));
  assert(line.endsWith(" …\n") && line.length < 2100);
});

Deno.test("a message that nobody wants is not put together", () => {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line);
  const fields = {
    hook: "mine",
    get text(): string {
      throw new Error("it was looked at");
    },
  };
  for (const format of ["text", "json"] as const) {
    createReport(createLogger({ level: "info", format, write }))("hook-note", fields);
  }
  createReport(silentLogger)("hook-note", fields);
  assertEquals(lines, []);
  // The same is a line where it is wanted, and a logger without levels gets everything.
  const noted: LogEntry[] = [];
  const kept = { hook: "mine", text: "seen" };
  createReport(createLogger({ level: "debug", write }))("hook-note", kept);
  createReport((entry) => noted.push(entry))("hook-note", kept);
  assertEquals(lines, ["wrapper: mine: seen\n"]);
  assertEquals(noted.map(({ msg }) => msg), ["mine: seen"]);
});

Deno.test("every message in the table is logged somewhere in the code", () => {
  const code = [...sources("src"), ...sources("hooks")]
    .filter((path) => !path.endsWith("/messages.ts")).map(read).join("\n");
  for (const [event] of messages) assert(code.includes(`"${event}"`), event);
});

Deno.test("the page names every event after which a pod may hang, with its level", () => {
  const [, section = ""] = read("docs/messages.md").split("\n## Alerts\n");
  const rows = [...section.split("\n## ")[0]?.matchAll(/^\| `(\S+)` +\| (\w+) /gm) ?? []];
  const listed = new Map(rows.map(([, event = "", level = ""]) => [event, level]));
  const hanging = /pod (may|will|does) not end|sidecars? .*keeps? running|nothing stops it/;
  for (const [event, { level, text, meaning }] of messages) {
    if (hanging.test(`${text}\n${meaning}`)) assert(listed.has(event), event);
    if (listed.has(event)) assertEquals(listed.get(event), level, event);
  }
  assert([...listed.keys()].every((event) => event in MESSAGES));
  assert(listed.size >= 10, `${listed.size} events`);
});
