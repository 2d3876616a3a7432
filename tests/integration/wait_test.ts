/** `--wait` and `--on-wait-timeout` with the real command line. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { answer, startFaultySidecar } from "../support/faulty_sidecar.ts";
import { freePort, startSidecar } from "../support/sidecar.ts";
import { runWrapper, startWrapper } from "../support/wrapper.ts";

const run = (...args: readonly string[]) => runWrapper("binary", { args });
const COMMAND = ["sh", "-c", "echo started; exit 3"];

/** The lines of the log about waiting. */
const aboutWaiting = (stderr: string) =>
  stderr.split("\n").filter((line) => /waiting|ready/.test(line));

Deno.test("--wait probes again after 50 ms, then half as often each time, down to once a second", async () => {
  const pausesMs = [50, 100, 200, 400, 800, 1000, 1000, 1000];
  await using sidecar = await startFaultySidecar({
    onProbe(connection) {
      const isReady = sidecar.requests.length > pausesMs.length;
      return connection.send(answer(isReady ? "200 OK" : "503 Not Yet"));
    },
    onStop: (connection) => connection.send(answer("200 OK")),
  });
  const { code, stderr } = await run(
    `--hook=envoy=http://127.0.0.1:${sidecar.port}`,
    "--wait=60s",
    ...COMMAND,
  );
  assertEquals(code, 3, stderr);
  const atMs = sidecar.requests.slice(0, pausesMs.length + 1).map((request) => request.atMs);
  for (const [index, pauseMs] of pausesMs.entries()) {
    const gapMs = (atMs[index + 1] ?? 0) - (atMs[index] ?? 0);
    // The clocks of two processes may differ by the fraction of a millisecond that they round.
    assert(gapMs >= pauseMs - 1, `${gapMs} ms instead of ${pauseMs}`);
  }
  const tookMs = (atMs.at(-1) ?? 0) - (atMs[0] ?? 0);
  const alwaysDoubledMs = 50 * (2 ** pausesMs.length - 1);
  assert(tookMs < alwaysDoubledMs, `took ${tookMs} ms`);
});

Deno.test("--wait writes one line when it starts, and one for each that is ready", async () => {
  const port = freePort();
  let isReady = false;
  await using slow = startSidecar([200], { get: () => isReady ? 200 : 503 });
  await using wrapper = startWrapper("binary", {
    args: [
      ...[`--hook=envoy=${slow.origin}`, `--hook=http://127.0.0.1:${port}/quit`, "--wait=5m"],
      ...COMMAND,
    ],
  });
  await wrapper.waitFor("waiting up to 5m");
  await using late = startSidecar([200], { port });
  isReady = true;
  const { code, stdout, stderr } = await wrapper.ended;
  assertEquals([code, stdout], [3, "started\n"], stderr);
  const [start = "", first = "", end = "", ...more] = aboutWaiting(stderr);
  assertEquals(start, `wrapper: waiting up to 5m for envoy, 127.0.0.1:${port} to be ready`);
  const names = ["envoy", `127.0.0.1:${port}`];
  if (first.startsWith("wrapper: 127.")) names.reverse();
  assertEquals(
    first.replace(/after [\d.]+m?s/, "after …"),
    `wrapper: ${names[0]} ready after …; still waiting for ${names[1]}`,
  );
  assertMatch(end, /^wrapper: envoy, 127\.0\.0\.1:\d+ ready after [\d.]+m?s$/);
  assertEquals(more, []);
  assertEquals([slow.posts().length, late.posts().length], [1, 1]);
});

const TIMEOUTS = [
  ["fail", 125, "", "command not started (exit code 125)"],
  ["start", 3, "started\n", "command started anyway"],
] as const;

for (const [what, expectedCode, expectedOutput, consequence] of TIMEOUTS) {
  Deno.test(`--on-wait-timeout ${what}: the line names the late sidecars and why, and hooks run`, async () => {
    await using never = startSidecar([200], { get: 503 });
    await using ready = startSidecar();
    const port = freePort();
    const { code, stdout, stderr, durationMs } = await run(
      `--hook=envoy=${never.origin}`,
      `--hook=linkerd=${ready.origin}`,
      `--hook=dapr=http://127.0.0.1:${port}`,
      "--wait=700ms",
      `--on-wait-timeout=${what}`,
      ...COMMAND,
    );
    assertEquals([code, stdout], [expectedCode, expectedOutput], stderr);
    const [, first = "", end, ...more] = aboutWaiting(stderr);
    assertMatch(first, /^wrapper: linkerd ready after [\d.]+m?s; still waiting for envoy, dapr$/);
    assertEquals(
      end,
      "wrapper: error: not ready after 700ms (--wait): envoy (503 Service Unavailable), " +
        `dapr (connection refused); ${consequence}`,
    );
    assertEquals(more, []);
    assert(durationMs >= 700, `took ${durationMs} ms`);
    assertEquals(never.posts().map(({ path }) => path), ["/quitquitquit"]);
    assertEquals(ready.posts().map(({ path }) => path), ["/shutdown"]);
    assertStringIncludes(stderr, "dapr: no such sidecar");
  });
}

Deno.test("--wait ends in time even if a sidecar takes longer for one answer", async () => {
  await using silent = await startFaultySidecar({
    onStop: (connection) => connection.send(answer("200 OK")),
  });
  const { code, stderr } = await run(
    `--hook=envoy=http://127.0.0.1:${silent.port}`,
    "--wait=700ms",
    "--request-timeout=1h",
    ...COMMAND,
  );
  assertEquals(code, 125);
  assertMatch(stderr, /not ready after 700ms \(--wait\): envoy \(no answer\); command not started/);
  assertEquals(silent.posts(), ["POST /quitquitquit"]);
});

for (
  const [signal, expectedCode] of [["SIGTERM", 143], ["SIGINT", 130], ["SIGHUP", 129]] as const
) {
  Deno.test(`${signal} ends --wait at once, even during a probe`, async () => {
    const asked = Promise.withResolvers<void>();
    await using silent = await startFaultySidecar({
      onProbe: () => asked.resolve(),
      onStop: (connection) => connection.send(answer("200 OK")),
    });
    await using wrapper = startWrapper("binary", {
      args: [
        `--hook=envoy=http://127.0.0.1:${silent.port}`,
        "--wait=1h",
        "--request-timeout=1h",
        ...COMMAND,
      ],
      // Not the test's own terminal, if it has one.
      detached: true,
    });
    await asked.promise;
    wrapper.kill(signal);
    const { code, stdout, stderr } = await wrapper.ended;
    assertEquals([code, stdout], [expectedCode, ""], stderr);
    assertStringIncludes(
      stderr,
      `${signal} while waiting: command not started (exit code ${expectedCode})`,
    );
    assertEquals(silent.posts(), ["POST /quitquitquit"]);
  });
}

Deno.test("without --wait, COMMAND starts at once, and the log says nothing about waiting", async () => {
  await using never = startSidecar([200], { get: 503 });
  for (const wait of [[], ["--wait=0"]]) {
    const { code, stderr } = await run(...wait, `--hook=envoy=${never.origin}`, ...COMMAND);
    assertEquals(code, 3);
    assertEquals(aboutWaiting(stderr), []);
  }
});
