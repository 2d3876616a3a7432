/** Connections that are refused, reset, closed or never accepted, and the addresses of a name. */

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import {
  ANSWERING,
  EXIT_3,
  HELD,
  NO_ANSWER,
  OK,
  PATIENT,
  release,
  type Row,
  runJob,
  runRow,
  SHORT,
} from "../support/faults.ts";
import { answer, startFaultySidecar } from "../support/faulty_sidecar.ts";
import { IPV6_LOOPBACK, testWith } from "../support/needs.ts";
import { runWrapper } from "../support/wrapper.ts";

const ROWS: readonly Row[] = [
  {
    title: "refuses every connection",
    posts: 0,
    log: /: no such sidecar \(connection refused at http:\S+\/quit\)/,
  },
  {
    title: "refuses every connection, in a pod",
    limits: { ...PATIENT, startupWindowMs: 1000, shutdownTimeoutMs: 500 },
    posts: 0,
    log: /: no such sidecar \(connection refused at/,
    then(_, { stderr, durationMs }) {
      assertMatch(stderr, /not there yet; expecting it for another \d+ms at http:\S+\/quit/);
      assert(durationMs >= 1000, `took ${durationMs} ms`);
    },
  },
  {
    title: "refuses connections, then starts",
    limits: { ...PATIENT, startupWindowMs: 60_000 },
    async during(job, { port }) {
      await job.waitFor("not there yet; expecting it for another ");
      await using late = await startFaultySidecar(ANSWERING, { port });
      await job.ended;
      assertEquals(late.posts(), ["POST /quit"]);
    },
    posts: 0,
    log: /: told to quit \(200 OK\)/,
  },
  {
    title: "was ready and is gone",
    behavior: {},
    args: ["--wait=5s", "--startup-window=1h", ...HELD],
    async during(job, sidecar) {
      await job.waitFor(" ready after ");
      sidecar.stopListening();
      await release(job);
    },
    posts: 0,
    log: /: has already stopped \(connection refused\)/,
  },
  {
    title: "resets every connection before the request",
    behavior: { onConnection: (connection) => connection.reset() },
    limits: { ...PATIENT, retries: 2 },
    posts: 0,
    log: /NOT stopped.*: connection broke: .+ \(3 attempts in /,
  },
  {
    title: "resets every connection after the request",
    behavior: { onStop: (connection) => connection.reset() },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: .+ \(3 attempts in /,
  },
  {
    title: "resets two connections after the request, then answers",
    behavior: {
      onStop: (connection, number) => number <= 2 ? connection.reset() : connection.send(OK),
    },
    posts: 3,
    log: /: told to quit \(200 OK\)/,
  },
  {
    title: "resets the connection that was kept open for the request",
    behavior: {
      onProbe: (connection) => connection.send(OK),
      onStop: (connection, number) => number === 1 ? connection.reset() : connection.send(OK),
    },
    target: (port) => `envoy=http://127.0.0.1:${port}`,
    args: ["--wait=5s", ...EXIT_3],
    posts: 2,
    log: /envoy: told to quit \(200 OK\)/,
  },
  {
    title: "closes the connection that was kept open with an unsolicited 408",
    behavior: {
      onProbe: async (connection) => {
        await connection.send(OK);
        await connection.send(answer("408 Request Timeout", "connection: close"));
        connection.end();
      },
      onStop: (connection) => connection.send(OK),
    },
    target: (port) => `envoy=http://127.0.0.1:${port}`,
    args: ["--wait=5s", ...HELD],
    async during(job) {
      await job.waitFor(" ready after ");
      await release(job);
    },
    posts: 1,
    log: /envoy: told to quit \(200 OK\)/,
  },
  {
    title: "closes the connection without an answer",
    behavior: { onStop: (connection) => connection.end() },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: closed without an answer \(3 attempts in /,
  },
  {
    title: "closes the connection in the middle of an answer",
    behavior: {
      onStop: async (connection) => {
        await connection.send("HTTP/1.1 200 OK\r\nserver: x");
        connection.end();
      },
    },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: closed within the answer \(3 attempts in /,
  },
  {
    title: "dies before it answers",
    behavior: {
      onStop(connection, _, sidecar) {
        sidecar.stopListening();
        connection.end();
      },
    },
    posts: 1,
    log: /: has already stopped \(it quit without an answer\)/,
  },
  {
    title: "dies while it answers",
    behavior: {
      async onStop(connection, _, sidecar) {
        await connection.send("HTTP/1.1 200 OK\r\ncontent-");
        sidecar.stopListening();
        connection.reset();
      },
    },
    posts: 1,
    log: /: has already stopped \(it quit without an answer\)/,
  },
  {
    title: "resets the connection and dies a moment later",
    behavior: {
      async onStop(connection, _, sidecar) {
        connection.reset();
        await connection.closed;
        sidecar.stopListening();
      },
    },
    posts: [1, 2],
    log: /: has already stopped \(it quit without an answer\)/,
  },
  {
    title: "answers and keeps running",
    behavior: { onStop: (connection) => connection.send(OK) },
    posts: 1,
    log: /: told to quit \(200 OK\)/,
    async then({ port }) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      connection.close();
    },
  },
  {
    title: "listens on 127.0.0.1 only and is named localhost",
    behavior: { onStop: (connection) => connection.send(OK) },
    target: (port) => `http://localhost:${port}/quit`,
    posts: 1,
    log: /: told to quit \(200 OK\)/,
  },
];

for (const row of ROWS) Deno.test(`a sidecar that ${row.title}`, () => runRow(row));

testWith(IPV6_LOOPBACK, "a sidecar that listens on ::1 only", async () => {
  for (const host of ["localhost", "[::1]"]) {
    await runRow({
      title: "listens on ::1 only",
      behavior: ANSWERING,
      place: { hostname: "::1" },
      target: (port) => `http://${host}:${port}/quit`,
      posts: 1,
      log: /: told to quit \(200 OK\)/,
    });
  }
});

/** A port whose queue of connections is full. */
async function fullQueue() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const { hostname, port } = listener.addr;
  // Two fit. The system does not answer the third.
  const queued = await Promise.all([1, 2].map(() => Deno.connect({ hostname, port })));
  return {
    port,
    [Symbol.dispose]: () => {
      listener.close();
      for (const connection of queued) connection.close();
    },
  };
}

Deno.test("a sidecar whose queue of connections is full", async () => {
  using full = await fullQueue();
  const target = `http://127.0.0.1:${full.port}/quit`;
  const { code, stderr } = await runJob([target], SHORT, EXIT_3);
  assertEquals(code, 3);
  assertMatch(stderr, NO_ANSWER);
  const check = await runWrapper("binary", {
    args: ["--check", "--request-timeout=300ms", `--hook=${target}`],
  });
  assertEquals(check.code, 1);
  assertMatch(check.stdout, /\/quit +absent +no answer within 300ms +/);
});

Deno.test("a process that stops a sidecar whose queue of connections is full ends with its last attempt", async () => {
  using full = await fullQueue();
  const script = new URL("../support/stop_sidecar.ts", import.meta.url).pathname;
  const startMs = performance.now();
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-net", script, String(full.port)],
  }).output();
  assertEquals([code, new TextDecoder().decode(stdout)], [0, "failed\n"]);
  // A hook's limit is 15 s. The system would try to connect for more than two minutes.
  const tookMs = performance.now() - startMs;
  assert(tookMs < 15_000 + 60_000, `${tookMs} ms`);
});
