/** The sample lines in the documentation are what the program prints, but for the times. */

import { assert, assertEquals } from "../support/assert.ts";
import { ENVOY, ISTIO, LINKERD, startStandIns, withReply } from "../support/stand_ins.ts";
import { runWrapper } from "../support/wrapper.ts";

/** The code block of a page that follows this text. */
function blockAfter(page: string, text: string): string {
  const whole = Deno.readTextFileSync(new URL(`../../${page}`, import.meta.url));
  const start = whole.indexOf(text);
  assert(start >= 0, `${page} has no ${JSON.stringify(text)}`);
  const [, block] = /^```\w+\n([^]*?)^```$/m.exec(whole.slice(start)) ?? [];
  assert(block !== undefined, `${page} has no block after ${JSON.stringify(text)}`);
  return block;
}

/** A text without what differs from run to run: durations. */
const withoutTimes = (text: string) => text.replaceAll(/\b(\d+(\.\d+)?(ms|[dhms]))+\b/g, "TIME");

Deno.test("docs/messages.md: the two text lines", async () => {
  const agent = withReply(ISTIO, 15020, "POST /quitquitquit", { status: 404 });
  await using _started = startStandIns(agent);
  const { stderr } = await runWrapper("binary", { args: ["--hook=istio", "true"] });
  const sample = blockAfter("docs/messages.md", "A text line is");
  assertEquals(withoutTimes(sample), withoutTimes(stderr));
});

Deno.test("docs/messages.md: the JSON line", async () => {
  await using _started = startStandIns(ISTIO);
  const { stderr } = await runWrapper("binary", {
    args: ["--hook=istio", "--log-format=json", "true"],
  });
  const [line = ""] = stderr.split("\n").filter((line) => line.includes('"hook-stopped"'));
  const normal = (json: string) => {
    const entry = JSON.parse(
      json,
      (key, value) => key === "time" || key === "durationMs" ? "" : value,
    );
    // The keys' order, too.
    return withoutTimes(JSON.stringify(entry));
  };
  const sample = blockAfter("docs/messages.md", "## JSON");
  assertEquals(normal(sample), normal(line));
  assertEquals(new Date(JSON.parse(sample).time).toISOString(), JSON.parse(sample).time);
});

Deno.test("README.md: the table of --check", async () => {
  const late = withReply(LINKERD, 4191, "GET /ready", { status: 503, body: "not ready\n" });
  await using _started = startStandIns(ISTIO, late);
  const { code, stdout } = await runWrapper("binary", {
    args: ["--check", "--hook=istio", "--hook=linkerd", `--hook=${ENVOY.name}`],
  });
  assertEquals(code, 1);
  assertEquals(withoutTimes(blockAfter("README.md", "**Check.**")), withoutTimes(stdout));
});
