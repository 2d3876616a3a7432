/** Answers of a sidecar: every status, what is not HTTP, and what never ends. */

import { assert, assertEquals } from "../support/assert.ts";
import {
  ANSWERING,
  drip,
  EXIT_3,
  NO_ANSWER,
  OK,
  PATIENT,
  type Row,
  runRow,
  SHORT,
  SHORT_POSTS,
} from "../support/faults.ts";
import { answer, type Connection, startFaultySidecar } from "../support/faulty_sidecar.ts";

/** Sends a text, and then another one again and again, for as long as the wrapper reads. */
async function sendForever(connection: Connection, first: string, piece: string): Promise<void> {
  await connection.send(first);
  const pieces = piece.repeat(Math.ceil(64 * 1024 / piece.length));
  for (;;) await connection.send(pieces);
}

const GIGABYTE = 2 ** 30;

/** Sends a text and a gigabyte; the wrapper hangs up at some point. */
async function sendGigabyte(connection: Connection, head: string): Promise<void> {
  await connection.send(head);
  const piece = new Uint8Array(64 * 1024).fill(97);
  for (let sent = 0; sent < GIGABYTE; sent += piece.length) await connection.send(piece);
}

const ROWS: readonly Row[] = [
  {
    title: "sends garbage",
    behavior: {
      onStop: async (connection) => {
        await connection.send(crypto.getRandomValues(new Uint8Array(1000)));
        await connection.send("\r\n\r\n");
      },
    },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: the answer is not HTTP \(3 attempts in /,
  },
  {
    title: "sends endless garbage",
    behavior: { onStop: (connection) => sendGigabyte(connection, "") },
    limits: { ...PATIENT, retries: 1 },
    posts: 2,
    log: /NOT stopped.*: connection broke: the answer is not HTTP \(2 attempts in /,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 50, `${sentBytes} bytes`),
  },
  {
    title: "sends an endless header",
    behavior: { onStop: (connection) => sendGigabyte(connection, "HTTP/1.1 200 OK\r\nserver: ") },
    limits: { ...PATIENT, retries: 1 },
    posts: 2,
    log: /NOT stopped.*: connection broke: the answer's head has no end \(2 attempts in /,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 50, `${sentBytes} bytes`),
  },
  {
    title: "answers 200 with a body of 1 GB",
    behavior: {
      onStop: (connection) =>
        sendGigabyte(connection, `HTTP/1.1 200 OK\r\ncontent-length: ${GIGABYTE}\r\n\r\n`),
    },
    posts: 1,
    log: /: told to quit \(200 OK\)/,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 50, `${sentBytes} bytes`),
  },
  {
    title: "reports readiness with a body of 1 GB",
    behavior: {
      onProbe: (connection) =>
        sendGigabyte(connection, `HTTP/1.1 200 OK\r\ncontent-length: ${GIGABYTE}\r\n\r\n`),
      onStop: (connection) => connection.send(OK),
    },
    target: (port) => `envoy=http://127.0.0.1:${port}`,
    args: ["--wait=5s", ...EXIT_3],
    posts: 1,
    log: /envoy: told to quit \(200 OK\)/,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 50, `${sentBytes} bytes`),
  },
  {
    title: "answers, with a body of one byte a second",
    behavior: {
      onStop: async (connection) => {
        await connection.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        await drip(connection, "x".repeat(1000));
      },
    },
    posts: 1,
    log: /: told to quit \(200 OK\)/,
  },
  {
    title: "answers 100 Continue endlessly",
    behavior: {
      onStop: (connection) => sendForever(connection, "", "HTTP/1.1 100 Continue\r\n\r\n"),
    },
    limits: { ...SHORT, retries: 1 },
    posts: 2,
    log: /NOT stopped.*: (connection broke: the answer has no end|no answer within 300ms) \(2 att/,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 50, `${sentBytes} bytes`),
  },
  ...[["chunks of one byte", "1\r\na\r\n"], ["trailers", "a: b\r\n"]].map((
    [what, piece = ""],
  ): Row => ({
    title: `reports readiness with endless ${what}`,
    behavior: {
      onProbe: (connection) =>
        sendForever(
          connection,
          "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" +
            (piece.startsWith("1") ? "" : "0\r\n"),
          piece,
        ),
      onStop: (connection) => connection.send(OK),
    },
    target: (port) => `envoy=http://127.0.0.1:${port}`,
    args: ["--wait=1s", "--on-wait-timeout=start", ...EXIT_3],
    posts: 1,
    log: /envoy: told to quit \(200 OK\)/,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 10, `${sentBytes} bytes`),
  })),
  {
    title: "speaks SSH and waits for an answer",
    behavior: {
      onConnection: (connection) => connection.send("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
    },
    limits: { ...PATIENT, retries: 2 },
    // Its greeting may arrive before the request is sent.
    posts: [0, 3],
    log: /NOT stopped.*: connection broke: the answer is not HTTP \(3 attempts in /,
  },
  {
    title: "speaks SSH",
    behavior: {
      onConnection: (connection) => connection.send("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
      async onStop(connection) {
        await connection.send("Invalid SSH identification string.\r\n");
        connection.end();
      },
    },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: the answer is not HTTP \(3 attempts in /,
  },
  {
    title: "speaks Redis",
    behavior: {
      async onStop(connection) {
        await connection.send("-ERR wrong number of arguments for 'post' command\r\n");
        await connection.send("-ERR unknown command 'host:', with args beginning with:\r\n");
        connection.end();
      },
    },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: .+ \(3 attempts in /,
  },
  {
    title: "answers 404",
    behavior: { onStop: (connection) => connection.send(answer("404 Not Found")) },
    posts: 1,
    log: /NOT stopped.*: answered 404 Not Found \(1 attempt in /,
  },
  {
    title: "answers with an undefined status",
    behavior: { onStop: (connection) => connection.send(answer("999 Whatever")) },
    posts: 1,
    log: /NOT stopped.*: answered 999 Whatever \(1 attempt in /,
  },
  {
    title: "answers 101 Switching Protocols",
    behavior: {
      onStop: (connection) => connection.send(answer("101 Switching Protocols", "upgrade: x")),
    },
    posts: 1,
    log: /NOT stopped.*: answered 101 Switching Protocols \(1 attempt in /,
  },
  {
    title: "answers 100 Continue and nothing more",
    behavior: { onStop: (connection) => connection.send("HTTP/1.1 100 Continue\r\n\r\n") },
    limits: SHORT,
    posts: SHORT_POSTS,
    log: NO_ANSWER,
  },
  {
    title: "answers with control characters in its status line",
    behavior: { onStop: (connection) => connection.send(answer("403 \x1b[31mno\x07\u0085!")) },
    posts: 1,
    log: /NOT stopped.*: answered 403 [ -~]+ \(1 attempt in /,
  },
  {
    title: "answers with text that is not ASCII",
    behavior: {
      onStop: (connection) =>
        connection.send(new TextEncoder().encode(answer("200 好", "server: 好", "x-€: €"))),
    },
    posts: 1,
    log: /: told to quit \(200 .+\)/,
  },
];

for (const row of ROWS) Deno.test(`a sidecar that ${row.title}`, () => runRow(row));

Deno.test("a sidecar that redirects to another host", async () => {
  await using other = await startFaultySidecar(ANSWERING);
  const location = `location: http://localhost:${other.port}/quit`;
  for (const status of ["301 Moved Permanently", "307 Temporary Redirect"]) {
    await runRow({
      title: "redirects",
      behavior: { onStop: (connection) => connection.send(answer(status, location)) },
      posts: 1,
      log: new RegExp(`NOT stopped.*: answered ${status} \\(1 attempt in `),
    });
  }
  assertEquals([other.requests, other.connections], [[], 0]);
});
