import { formatDuration, LONGEST_MS, parseDuration } from "./time.ts";
import { assertEquals } from "../tests/support/assert.ts";

Deno.test("parseDuration() reads every form that the README names", () => {
  const forms: Record<string, number> = {
    "500ms": 500,
    "30s": 30_000,
    "1m30s": 90_000,
    "2h": 7_200_000,
    "0": 0,
    "7": 7000,
    "0.5": 500,
    "1.5s": 1500,
    "0s": 0,
    "1h0m1s1ms": 3_601_001,
  };
  for (const [text, ms] of Object.entries(forms)) assertEquals(parseDuration(text), ms, text);
});

Deno.test("parseDuration() refuses what is no duration", () => {
  const others = [
    "",
    " ",
    "s",
    "1d",
    "-1",
    "+1",
    "1 s",
    "1e3",
    "0x10",
    "1,5",
    "NaN",
    "Infinity",
    "5S",
  ];
  for (const text of others) assertEquals(parseDuration(text), undefined, text);
});

Deno.test("parseDuration() refuses what no timer can wait for", () => {
  assertEquals(parseDuration(`${LONGEST_MS}ms`), LONGEST_MS);
  assertEquals(parseDuration(`${LONGEST_MS + 1}ms`), undefined);
  assertEquals(parseDuration("9".repeat(400)), undefined);
});

Deno.test("formatDuration() writes what parseDuration() reads back", () => {
  for (const ms of [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 3_661_500]) {
    assertEquals(parseDuration(formatDuration(ms)), ms);
  }
});
