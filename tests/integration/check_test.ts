/** `--check` with the real command line. */

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { findProgram, testWith } from "../support/needs.ts";
import { freePort, startRawSidecar, startSidecar } from "../support/sidecar.ts";
import { BINARY, runWrapper } from "../support/wrapper.ts";

const run = (...args: readonly string[]) => runWrapper("binary", { args });

Deno.test("--check prints a table, stops nothing, and exits with 0 only if all are ready", async () => {
  await using ready = startSidecar();
  const absent = `http://127.0.0.1:${freePort()}`;
  const hooks = [`--hook=envoy=${ready.origin}`, `--hook=${ready.origin}/quit?token=secret`];

  const good = await run("--check", ...hooks, "--hook=file:/nowhere/done");
  assertEquals([good.code, good.stderr], [0, ""]);
  const [heading, ...rows] = good.stdout.trimEnd().split("\n");
  assertMatch(heading ?? "", /^HOOK +READY ADDRESS +STATE +ANSWER +TIME$/);
  assertMatch(rows[0] ?? "", /^envoy +http:\S+\/ready +ready +200 OK +\d+m?s$/);
  assertMatch(rows[1] ?? "", /^127\S+ +http:\S+\/quit +ready +accepts connections +\d+m?s$/);
  assertMatch(rows[2] ?? "", /^done +\/nowhere\/done +ready +nothing to wait for +\d+m?s$/);
  assertEquals(rows.length, 3);

  const bad = await run("--check", ...hooks, `--hook=linkerd=${absent}`);
  assertEquals([bad.code, bad.stderr], [1, ""]);
  assertMatch(bad.stdout, /\nlinkerd +http:\S+\/ready +absent +connection refused +\d+m?s\n$/);
  assertEquals(ready.posts(), []);
});

Deno.test("--check --log-format json prints one object per hook", async () => {
  await using sidecar = startSidecar([200], { get: 503 });
  const { code, stdout } = await run(
    "--check",
    "--log-format=json",
    `--hook=envoy=${sidecar.origin}`,
    "--hook=file:/nowhere/done",
  );
  assertEquals(code, 1);
  const [envoy, file] = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert(Number.isInteger(envoy.durationMs));
  assertEquals(envoy, {
    hook: "envoy",
    address: `${sidecar.origin}/ready`,
    state: "present",
    answer: "503 Service Unavailable",
    durationMs: envoy.durationMs,
  });
  assertEquals([file.hook, file.state], ["done", "ready"]);
});

Deno.test("--check probes all at the same time, each within the request timeout", async () => {
  const silent = Array.from({ length: 8 }, () => startRawSidecar(() => new Promise(() => {})));
  try {
    const hooks = silent.map(({ port }) => `--hook=envoy=http://127.0.0.1:${port}`);
    const args = ["--check", "--request-timeout=2s", ...hooks];
    const { code, stdout, durationMs } = await run(...args);
    assertEquals(code, 1);
    const rows = stdout.trimEnd().split("\n").slice(1);
    assertEquals(rows.length, silent.length);
    for (const row of rows) assertMatch(row, / not ready +no answer within 2s +[\d.]+s$/);
    assert(durationMs < silent.length * 2000, `took ${durationMs} ms`);
  } finally {
    for (const sidecar of silent) sidecar[Symbol.dispose]();
  }
});

Deno.test("--check with a wrong setting reports it and probes nothing", async () => {
  await using sidecar = startSidecar();
  const { code, stdout } = await run("--check", `--hook=envoy=${sidecar.origin}`, "--hook=nope");
  assertEquals([code, stdout], [125, ""]);
  assertEquals(sidecar.requests, []);
});

testWith(
  { what: "script, of util-linux, for a terminal", find: () => findProgram("script") },
  "--check uses color on a terminal, unless NO_COLOR is set",
  async (script) => {
    const show = async (env: Record<string, string>) => {
      const { stdout } = await new Deno.Command(script, {
        args: ["-qec", `${BINARY} --check --hook=file:/nowhere/done`, "/dev/null"],
        env: { TERM: "xterm", NO_COLOR: "", ...env },
        stdin: "null",
      }).output();
      return new TextDecoder().decode(stdout);
    };
    assert((await show({})).includes("\x1b[32mready\x1b[0m"));
    assert(!(await show({ NO_COLOR: "1" })).includes("\x1b"));
    assert(!(await show({ TERM: "dumb" })).includes("\x1b"));
  },
);
