/** Stop requests that stand ready while COMMAND runs, and sidecars that end the connection for them. */

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { HELD, OK, PATIENT, release, runJob } from "../support/faults.ts";
import { answer, type Connection, startFaultySidecar } from "../support/faulty_sidecar.ts";
import { PROC, testWith } from "../support/needs.ts";
import { BINARY, startProgram } from "../support/wrapper.ts";

/** COMMAND that runs until it is released, with a log that says when a sidecar was seen. */
const WATCHED = ["--log-level=debug", ...HELD];

const presetOn = (port: number) => `envoy=http://127.0.0.1:${port}`;

/** A sidecar that answers, and lets the test wait for its next answer to a GET. */
async function startAnsweringSidecar() {
  let answered = Promise.withResolvers<Connection>();
  const sidecar = await startFaultySidecar({
    async onProbe(connection) {
      await connection.send(OK);
      answered.resolve(connection);
    },
    onStop: (connection) => connection.send(OK),
  });
  return {
    sidecar,
    /** Waits until a GET was answered that no earlier call has returned. */
    async probed(): Promise<Connection> {
      const connection = await answered.promise;
      answered = Promise.withResolvers();
      return connection;
    },
  };
}

Deno.test("a sidecar that ends the connection while COMMAND runs is quietly connected to again", async () => {
  const { sidecar, probed } = await startAnsweringSidecar();
  await using _ = sidecar;
  const { port } = sidecar;
  const { stderr } = await runJob([presetOn(port)], PATIENT, WATCHED, {}, async (job) => {
    const first = await probed();
    await job.waitFor("seen at");
    first.end();
    await probed();
    assertEquals(sidecar.connections, 2);
    await release(job);
  });
  assertMatch(stderr, /envoy: told to quit \(200 OK\)/);
  // The request came on the second connection.
  assertEquals([sidecar.connections, sidecar.posts()], [2, ["POST /quitquitquit"]]);
  assertEquals(stderr.match(/seen at/g)?.length, 1, stderr);
});

Deno.test("a sidecar that is started again while COMMAND runs is told on a connection to the new one", async () => {
  const { sidecar, probed } = await startAnsweringSidecar();
  await using _ = sidecar;
  const { port } = sidecar;
  await runJob([presetOn(port)], PATIENT, WATCHED, {}, async (job) => {
    const first = await probed();
    await job.waitFor("seen at");
    sidecar.stopListening();
    first.reset();
    await first.closed;
    const seenAgain = Promise.withResolvers<void>();
    await using again = await startFaultySidecar({
      async onProbe(connection) {
        await connection.send(OK);
        seenAgain.resolve();
      },
      onStop: (connection) => connection.send(OK),
    }, { port });
    await seenAgain.promise;
    await release(job);
    await job.ended;
    assertEquals([again.connections, again.posts()], [1, ["POST /quitquitquit"]]);
  });
  assertEquals(sidecar.posts(), []);
});

Deno.test("a sidecar that soon ends each connection is left alone after three times", async () => {
  const times: number[] = [];
  const third = Promise.withResolvers<void>();
  const fourth = Promise.withResolvers<void>();
  await using sidecar = await startFaultySidecar({
    async onProbe(connection) {
      times.push(performance.now());
      await connection.send(OK);
      // Once the wrapper has its request ready.
      await new Promise((resolve) => setTimeout(resolve, 200));
      connection.end();
      if (times.length === 3) third.resolve();
      if (times.length > 3) fourth.resolve();
    },
    onStop: (connection) => connection.send(OK),
  });
  const { stderr } = await runJob([presetOn(sidecar.port)], PATIENT, WATCHED, {}, async (job) => {
    await third.promise;
    // A fourth look would come a second later.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const none = new Promise<void>((resolve) => timer = setTimeout(resolve, 2500));
    await Promise.race([fourth.promise, none]);
    clearTimeout(timer);
    await release(job);
  });
  assertEquals(times.length, 3);
  for (const [index, time] of times.entries()) {
    // Not more often than once a second; the requests' own time varies.
    const before = times[index - 1] ?? -Infinity;
    assert(time - before > 900, `${time - before} ms`);
  }
  assertMatch(stderr, /envoy: told to quit \(200 OK\)/);
  assertEquals(sidecar.posts(), ["POST /quitquitquit"]);
});

Deno.test("a request whose connection has ended unnoticed is sent again within the same attempt", async () => {
  await using sidecar = await startFaultySidecar({
    onProbe: (connection) => connection.send(OK),
    onStop: (connection, number) => number === 1 ? connection.end() : connection.send(OK),
  });
  const limits = { ...PATIENT, retries: 0 };
  const { stderr } = await runJob([presetOn(sidecar.port)], limits, WATCHED, {}, async (job) => {
    await job.waitFor("seen at");
    await release(job);
  });
  assertMatch(stderr, /envoy: told to quit \(200 OK\)/);
  assertEquals(sidecar.posts(), ["POST /quitquitquit", "POST /quitquitquit"]);
});

Deno.test("the answer to a request that was sent ahead is waited for as long as for any other", async () => {
  await using sidecar = await startFaultySidecar({
    onProbe: (connection) => connection.send(OK),
    onStop: (connection, number) =>
      number === 1 ? connection.send(answer("503 Busy")) : connection.send(OK),
  });
  const { stderr } = await runJob([presetOn(sidecar.port)], PATIENT, WATCHED, {}, async (job) => {
    await job.waitFor("seen at");
    await release(job);
  });
  assertMatch(stderr, /envoy: told to quit \(200 OK\)/);
  assertEquals(sidecar.posts().length, 2);
  assertEquals(sidecar.connections, 1);
});

testWith(PROC, "held connections take at most a quarter of the limit on open files", async () => {
  const HOOKS = 40;
  const open = new Set<Connection>();
  const sidecars = await Promise.all(Array.from({ length: HOOKS }, () =>
    startFaultySidecar({
      onConnection(connection) {
        open.add(connection);
        connection.closed.finally(() => open.delete(connection));
      },
      onProbe: (connection) => connection.send(OK),
      onStop: (connection) => connection.send(OK),
    })));
  try {
    const hooks = sidecars.flatMap(({ port }) => ["--hook", presetOn(port)]);
    const limited = ["sh", "-c", 'ulimit -n 128; exec "$0" "$@"', BINARY];
    await using job = startProgram([...limited, ...hooks, ...WATCHED], { stdin: "piped" });
    await job.waitFor("seen at", HOOKS);
    while (open.size > 32) await new Promise((resolve) => setTimeout(resolve, 20));
    assertEquals(open.size, 32);
    await release(job);
    assertEquals((await job.ended).code, 3);
    for (const { posts } of sidecars) assertEquals(posts(), ["POST /quitquitquit"]);
  } finally {
    await Promise.all(sidecars.map((one) => one[Symbol.asyncDispose]()));
  }
});
