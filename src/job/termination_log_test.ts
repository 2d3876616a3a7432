import type { HookOutcome } from "./result.ts";
import { terminationSummary } from "./termination_log.ts";
import { assert, assertEquals } from "../../tests/support/assert.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text).length;

function hook(name: string, changes: Partial<HookOutcome> = {}): HookOutcome {
  return {
    hook: name,
    address: `http://localhost:1/${name}`,
    outcome: "stopped",
    answer: "200 OK",
    durationMs: 1.7,
    ...changes,
  };
}

function summaryOf(hooks: readonly HookOutcome[], command = "job", problems: string[] = []) {
  const result = { command, exitCode: 3, durationMs: 10.6, timedOut: false, hooks };
  const line = terminationSummary(result, problems);
  assert(bytesOf(line) <= 4096, `${bytesOf(line)} bytes`);
  assert(line.endsWith("}\n") && line.indexOf("\n") === line.length - 1, "one line");
  return JSON.parse(line);
}

Deno.test("the summary has how COMMAND ended and each hook's outcome, in whole milliseconds", () => {
  assertEquals(summaryOf([hook("istio"), hook("envoy", { outcome: "failed", hint: "do this" })]), {
    command: "job",
    exitCode: 3,
    durationMs: 11,
    timedOut: false,
    hooks: [
      {
        hook: "istio",
        address: "http://localhost:1/istio",
        outcome: "stopped",
        answer: "200 OK",
        durationMs: 2,
      },
      {
        hook: "envoy",
        address: "http://localhost:1/envoy",
        outcome: "failed",
        answer: "200 OK",
        hint: "do this",
        durationMs: 2,
      },
    ],
  });
});

Deno.test("long texts are cut, and every hook is kept", () => {
  const hooks = Array.from(
    { length: 12 },
    (_, n) => hook(`h${n}`, { answer: "long ".repeat(200) }),
  );
  const summary = summaryOf(hooks);
  assertEquals(summary.hooks.length, 12);
  assertEquals(summary.hooksOmitted, undefined);
  assert(summary.hooks[0].answer.startsWith("long ") && summary.hooks[0].answer.endsWith("…"));
});

Deno.test("if there are too many hooks, those that failed are kept, and the others are counted", () => {
  const hooks = Array.from(
    { length: 300 },
    (_, n) => hook(`h${n}`, n >= 297 ? { outcome: "failed" } : {}),
  );
  const summary = summaryOf(hooks);
  const failed = summary.hooks.filter(({ outcome }: HookOutcome) => outcome === "failed");
  assertEquals(failed.length, 3);
  assertEquals(summary.hooks.length + summary.hooksOmitted, 300);
  assert(summary.hooks.length > 10);
});

Deno.test("it fits, whatever it contains", () => {
  for (const text of ["\u0000", "\ud83d\ude00", "\ud800", '"', "ü", "a"]) {
    const long = text.repeat(20_000);
    const hooks = Array.from(
      { length: 40 },
      () => hook(long, { address: long, answer: long, hint: long, outcome: "failed" }),
    );
    summaryOf(hooks, long, [long, long, long]);
    summaryOf([], long, [long]);
  }
});
