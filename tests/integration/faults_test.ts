/**
 * What a sidecar may do wrong, each against a real server: what it is asked, what the log says, what
 * the exit code is, and that it takes no longer than the settings allow.
 */

import { formatDuration } from "../../src/time.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../support/assert.ts";
import {
  answer,
  type Behavior,
  type FaultySidecar,
  type Line,
  type Place,
  startFaultySidecar,
} from "../support/faulty_sidecar.ts";
import { findProgram, IPV6_LOOPBACK, type Need, testWith } from "../support/needs.ts";
import { freePort, startSidecar } from "../support/sidecar.ts";
import { type Running, runWrapper, startWrapper } from "../support/wrapper.ts";

/** The limits of one run. */
interface Limits {
  readonly requestTimeoutMs: number;
  readonly shutdownTimeoutMs: number;
  readonly startupWindowMs?: number;
  readonly retries?: number;
}

/** For a sidecar that is waited for in vain. */
const SHORT: Limits = { requestTimeoutMs: 300, shutdownTimeoutMs: 1500 };
/** For one that answers, on however busy a machine. */
const PATIENT: Limits = { requestTimeoutMs: 5000, shutdownTimeoutMs: 10_000 };
const NO_ANSWER = /NOT stopped, the pod may not end: no answer within 300ms \(\d+ attempts? in /;
/** How often a sidecar can be asked within SHORT, at least and at most. */
const SHORT_POSTS = [2, Math.ceil(SHORT.shutdownTimeoutMs / SHORT.requestTimeoutMs)] as const;

const EXIT_3 = ["sh", "-c", "exit 3"];
/** COMMAND where its end waits for {@linkcode release}. */
const HELD = ["sh", "-c", "read line; exit 3"];

/** Lets a held COMMAND end. */
async function release(job: Running): Promise<void> {
  await job.type("\n");
}

interface Row {
  readonly title: string;
  /** What the sidecar does; nobody listens if it is not there. */
  readonly behavior?: Behavior;
  readonly place?: Place;
  /** TARGET, if it is not `http://127.0.0.1:PORT/quit`. */
  readonly target?: (port: number) => string;
  readonly limits?: Limits;
  /** Options and COMMAND; `sh -c 'exit 3'` by default. */
  readonly words?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What happens meanwhile. */
  readonly during?: (job: Running, sidecar: FaultySidecar) => void | Promise<void>;
  /** How many requests other than GET it saw, or how many at least and at most. */
  readonly posts: number | readonly [least: number, most: number];
  /** The hook's last line. */
  readonly log: RegExp;
  /** What holds beside that. */
  readonly then?: (sidecar: FaultySidecar, job: Job) => void | Promise<void>;
}

/** A job that is over. */
interface Job {
  readonly code: number;
  readonly stderr: string;
  readonly durationMs: number;
}

/** How long the wrapper takes on this machine, at this moment, where there is nothing to stop. */
const { durationMs: idleMs } = await runWrapper("binary", {
  args: ["--hook=none", "sh", "-c", "exit 3"],
});

/** The longest that the settings allow, and as much again; the rest is for a busy machine. */
function mostMs({ shutdownTimeoutMs, startupWindowMs = 0 }: Limits): number {
  return 2 * (startupWindowMs + shutdownTimeoutMs) + 20 * idleMs;
}

function options({ requestTimeoutMs, shutdownTimeoutMs, startupWindowMs = 0, retries }: Limits) {
  return [
    `--request-timeout=${requestTimeoutMs}ms`,
    `--shutdown-timeout=${shutdownTimeoutMs}ms`,
    `--startup-window=${startupWindowMs}ms`,
    ...(retries === undefined ? [] : [`--retries=${retries}`]),
  ];
}

/** Runs a job beside sidecars; it fails where the job takes longer than its limits allow. */
async function runJob(
  hooks: readonly string[],
  limits: Limits,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  during: (job: Running) => void | Promise<void> = () => {},
): Promise<Job> {
  const args = [...options(limits), ...hooks.map((hook) => `--hook=${hook}`), ...words];
  await using job = startWrapper("binary", { args, env, stdin: "piped" });
  const limitMs = mostMs(limits);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const text = `still running after ${formatDuration(limitMs)}: ${job.output.stderr}`;
      reject(new Error(text));
    }, limitMs);
  });
  try {
    const [ended] = await Promise.race([Promise.all([job.ended, during(job)]), late]);
    return ended;
  } finally {
    clearTimeout(timer);
    await job.child.stdin.close().catch(() => {});
  }
}

async function runRow(row: Row, place: Place = row.place ?? {}): Promise<void> {
  const { behavior, limits = PATIENT, words = EXIT_3 } = row;
  await using sidecar = await startFaultySidecar(behavior ?? {}, place);
  if (behavior === undefined) sidecar.stopListening();
  const { port } = sidecar;
  const target = row.target?.(port) ?? `http://127.0.0.1:${port}/quit`;
  const job = await runJob([target], limits, words, row.env, (job) => row.during?.(job, sidecar));

  const { code, stderr } = job;
  assertEquals(code, 3, stderr);
  assertMatch(stderr.trimEnd().split("\n").at(-1) ?? "", row.log, stderr);
  const posts = sidecar.posts();
  const [least, most] = typeof row.posts === "number" ? [row.posts, row.posts] : row.posts;
  assert(least <= posts.length && posts.length <= most, `${posts.length} posts; ${stderr}`);
  assertEquals(posts.filter((line) => !/^POST \/quit/.test(line)), []);
  await row.then?.(sidecar, job);
}

const OK = answer("200 OK");
/** A sidecar that does nothing wrong. */
const ANSWERING: Behavior = { onLook: (line) => line.send(OK), onStop: (line) => line.send(OK) };
/** Sends a text, and then another one again and again, for as long as somebody reads it. */
async function sendForever(line: Line, first: string, piece: string): Promise<void> {
  await line.send(first);
  const pieces = piece.repeat(Math.ceil(64 * 1024 / piece.length));
  for (;;) await line.send(pieces);
}

const GIGABYTE = 2 ** 30;

/** Sends bytes without an end; the wrapper hangs up at some time. */
async function sendGigabyte(line: Line, head: string): Promise<void> {
  await line.send(head);
  const piece = new Uint8Array(64 * 1024).fill(97);
  for (let sent = 0; sent < GIGABYTE; sent += piece.length) await line.send(piece);
}

/** Sends a text, one byte a second. */
async function drip(line: Line, text: string): Promise<void> {
  for (const letter of text) {
    await line.send(letter);
    await Promise.race([line.over, new Promise((resolve) => setTimeout(resolve, 1000))]);
  }
}

/** How long the sidecar was left alone between the first two requests. */
function firstPauseMs({ requests: [first, second] }: FaultySidecar): number {
  return (second?.atMs ?? 0) - (first?.atMs ?? 0);
}

const ROWS: readonly Row[] = [
  {
    title: "refuses for ever",
    posts: 0,
    log: /: no such sidecar \(connection refused at http:\S+\/quit\)/,
  },
  {
    title: "refuses for ever, in a pod",
    limits: { ...PATIENT, startupWindowMs: 1000, shutdownTimeoutMs: 500 },
    posts: 0,
    log: /: no such sidecar \(connection refused at/,
    then(_, { stderr, durationMs }) {
      assertMatch(stderr, /not there yet; expecting it for another \d+ms at http:\S+\/quit/);
      assert(durationMs >= 1000, `took ${durationMs} ms`);
    },
  },
  {
    title: "refuses, then comes",
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
    title: "has answered and is gone",
    behavior: {},
    words: ["--wait=5s", "--startup-window=1h", ...HELD],
    async during(job, sidecar) {
      await job.waitFor(" ready after ");
      sidecar.stopListening();
      await release(job);
    },
    posts: 0,
    log: /: has already stopped \(connection refused\)/,
  },
  {
    title: "accepts and never answers",
    behavior: {},
    limits: SHORT,
    posts: SHORT_POSTS,
    log: NO_ANSWER,
  },
  {
    title: "answers one byte a second",
    behavior: { onStop: (line) => drip(line, OK) },
    limits: SHORT,
    posts: SHORT_POSTS,
    log: NO_ANSWER,
  },
  {
    title: "answers, with a body of one byte a second",
    behavior: {
      onStop: async (line) => {
        await line.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        await drip(line, "x".repeat(1000));
      },
    },
    posts: 1,
    log: /: told to quit \(200 OK\)/,
  },
  {
    title: "resets every connection before the request",
    behavior: { onConnection: (line) => line.reset() },
    limits: { ...PATIENT, retries: 2 },
    posts: 0,
    log: /NOT stopped.*: connection broke: .+ \(3 attempts in /,
  },
  {
    title: "resets every connection after the request",
    behavior: { onStop: (line) => line.reset() },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: .+ \(3 attempts in /,
  },
  {
    title: "resets two connections after the request, then answers",
    behavior: { onStop: (line, number) => number <= 2 ? line.reset() : line.send(OK) },
    posts: 3,
    log: /: told to quit \(200 OK\)/,
  },
  {
    title: "resets the connection that was kept open for the request",
    behavior: {
      onLook: (line) => line.send(OK),
      onStop: (line, number) => number === 1 ? line.reset() : line.send(OK),
    },
    target: (port) => `envoy=http://127.0.0.1:${port}`,
    words: ["--wait=5s", ...EXIT_3],
    posts: 2,
    log: /envoy: told to quit \(200 OK\)/,
  },
  {
    title: "ends the connection that was kept open, with a status that nobody has asked for",
    behavior: {
      onLook: async (line) => {
        await line.send(OK);
        await line.send(answer("408 Request Timeout", "connection: close"));
        line.end();
      },
      onStop: (line) => line.send(OK),
    },
    target: (port) => `envoy=http://127.0.0.1:${port}`,
    words: ["--wait=5s", ...HELD],
    async during(job) {
      await job.waitFor(" ready after ");
      await release(job);
    },
    posts: 1,
    log: /envoy: told to quit \(200 OK\)/,
  },
  {
    title: "closes without an answer",
    behavior: { onStop: (line) => line.end() },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: closed without an answer \(3 attempts in /,
  },
  {
    title: "closes within the answer",
    behavior: {
      onStop: async (line) => {
        await line.send("HTTP/1.1 200 OK\r\nserver: x");
        line.end();
      },
    },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: closed within the answer \(3 attempts in /,
  },
  {
    title: "sends garbage",
    behavior: {
      onStop: async (line) => {
        await line.send(crypto.getRandomValues(new Uint8Array(1000)));
        await line.send("\r\n\r\n");
      },
    },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: the answer is not HTTP \(3 attempts in /,
  },
  {
    title: "sends garbage without an end",
    behavior: { onStop: (line) => sendGigabyte(line, "") },
    limits: { ...PATIENT, retries: 1 },
    posts: 2,
    log: /NOT stopped.*: connection broke: the answer is not HTTP \(2 attempts in /,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 50, `${sentBytes} bytes`),
  },
  {
    title: "sends a header without an end",
    behavior: { onStop: (line) => sendGigabyte(line, "HTTP/1.1 200 OK\r\nserver: ") },
    limits: { ...PATIENT, retries: 1 },
    posts: 2,
    log: /NOT stopped.*: connection broke: the answer's head has no end \(2 attempts in /,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 50, `${sentBytes} bytes`),
  },
  {
    title: "answers 200 with a body of 1 GB",
    behavior: {
      onStop: (line) =>
        sendGigabyte(line, `HTTP/1.1 200 OK\r\ncontent-length: ${GIGABYTE}\r\n\r\n`),
    },
    posts: 1,
    log: /: told to quit \(200 OK\)/,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 50, `${sentBytes} bytes`),
  },
  {
    title: "says that it is ready with a body of 1 GB",
    behavior: {
      onLook: (line) =>
        sendGigabyte(line, `HTTP/1.1 200 OK\r\ncontent-length: ${GIGABYTE}\r\n\r\n`),
      onStop: (line) => line.send(OK),
    },
    target: (port) => `envoy=http://127.0.0.1:${port}`,
    words: ["--wait=5s", ...EXIT_3],
    posts: 1,
    log: /envoy: told to quit \(200 OK\)/,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 50, `${sentBytes} bytes`),
  },
  {
    title: "answers 404",
    behavior: { onStop: (line) => line.send(answer("404 Not Found")) },
    posts: 1,
    log: /NOT stopped.*: answered 404 Not Found \(1 attempt in /,
  },
  {
    title: "answers 429 with Retry-After: 1, then 200",
    behavior: {
      onStop: (line, number) =>
        line.send(number === 1 ? answer("429 Too Many Requests", "retry-after: 1") : OK),
    },
    posts: 2,
    log: /: told to quit \(200 OK\)/,
    then: (sidecar) => assert(firstPauseMs(sidecar) >= 1000, `${firstPauseMs(sidecar)} ms`),
  },
  {
    title: "answers 429 with Retry-After: a date in a year",
    behavior: {
      onStop(line) {
        const date = new Date(Date.now() + 365 * 24 * 60 * 60 * 1000).toUTCString();
        return line.send(answer("429 Too Many Requests", `retry-after: ${date}`));
      },
    },
    limits: SHORT,
    posts: 2,
    log: /NOT stopped.*: answered 429 Too Many Requests \(2 attempts in /,
  },
  {
    title: "answers 503 with Retry-After: a year",
    behavior: {
      onStop: (line) => line.send(answer("503 Service Unavailable", "retry-after: 31536000")),
    },
    limits: SHORT,
    posts: 2,
    log: /NOT stopped.*: answered 503 Service Unavailable \(2 attempts in /,
    // The last request is as late as an answer to it can still be waited for.
    then: (sidecar) => assert(firstPauseMs(sidecar) >= SHORT.shutdownTimeoutMs / 2),
  },
  {
    title: "answers 429 with a Retry-After that nobody can read, then 200",
    behavior: {
      onStop: (line, number) =>
        line.send(number === 1 ? answer("429 Too Many Requests", "retry-after: soon") : OK),
    },
    posts: 2,
    log: /: told to quit \(200 OK\)/,
  },
  {
    title: "answers 503 with Retry-After: 0, then 200",
    behavior: {
      onStop: (line, number) =>
        line.send(number <= 4 ? answer("503 Service Unavailable", "retry-after: 0") : OK),
    },
    posts: 5,
    log: /: told to quit \(200 OK\)/,
    // 100, 200, 400 and 800 ms, each cut by half at most: attempts at once would be over too soon.
    then: ({ requests }) => {
      const timesMs = requests.filter(({ line }) => line.startsWith("POST ")).map((r) => r.atMs);
      const tookMs = (timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0);
      assert(tookMs >= 750, `${tookMs} ms`);
    },
  },
  {
    title: "announces an answer to a stop request without end",
    behavior: { onStop: (line) => sendForever(line, "", "HTTP/1.1 100 Continue\r\n\r\n") },
    limits: { ...SHORT, retries: 1 },
    posts: 2,
    log: /NOT stopped.*: (connection broke: the answer has no end|no answer within 300ms) \(2 att/,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 50, `${sentBytes} bytes`),
  },
  ...[["chunks of one byte", "1\r\na\r\n"], ["headers after its body", "a: b\r\n"]].map((
    [what, piece = ""],
  ): Row => ({
    title: `says that it is ready with ${what} without end`,
    behavior: {
      onLook: (line) =>
        sendForever(
          line,
          "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" +
            (piece.startsWith("1") ? "" : "0\r\n"),
          piece,
        ),
      onStop: (line) => line.send(OK),
    },
    target: (port) => `envoy=http://127.0.0.1:${port}`,
    words: ["--wait=1s", "--on-wait-timeout=start", ...EXIT_3],
    posts: 1,
    log: /envoy: told to quit \(200 OK\)/,
    then: ({ sentBytes }) => assert(sentBytes < GIGABYTE / 10, `${sentBytes} bytes`),
  })),
  {
    title: "answers 500 four times, then 200",
    behavior: {
      onStop: (line, number) => line.send(number <= 4 ? answer("500 Internal Server Error") : OK),
    },
    posts: 5,
    log: /: told to quit \(200 OK\)/,
  },
  {
    title: "answers 500 for ever",
    behavior: { onStop: (line) => line.send(answer("500 Internal Server Error")) },
    limits: { ...PATIENT, retries: 3 },
    posts: 4,
    log: /NOT stopped.*: answered 500 Internal Server Error \(4 attempts in /,
  },
  {
    title: "dies before it answers",
    behavior: {
      onStop(line, _, sidecar) {
        sidecar.stopListening();
        line.end();
      },
    },
    posts: 1,
    log: /: has already stopped \(it quit without an answer\)/,
  },
  {
    title: "dies while it answers",
    behavior: {
      async onStop(line, _, sidecar) {
        await line.send("HTTP/1.1 200 OK\r\ncontent-");
        sidecar.stopListening();
        line.reset();
      },
    },
    posts: 1,
    log: /: has already stopped \(it quit without an answer\)/,
  },
  {
    title: "breaks the connection, and dies a moment later",
    behavior: {
      async onStop(line, _, sidecar) {
        line.reset();
        await line.over;
        sidecar.stopListening();
      },
    },
    posts: [1, 2],
    log: /: has already stopped \(.+\)/,
  },
  {
    title: "answers and lives on",
    behavior: { onStop: (line) => line.send(OK) },
    posts: 1,
    log: /: told to quit \(200 OK\)/,
    async then({ port }) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      connection.close();
    },
  },
  {
    title: "listens on 127.0.0.1 only, and is named localhost",
    behavior: { onStop: (line) => line.send(OK) },
    target: (port) => `http://localhost:${port}/quit`,
    posts: 1,
    log: /: told to quit \(200 OK\)/,
  },
  {
    title: "speaks SSH and waits for an answer",
    behavior: { onConnection: (line) => line.send("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n") },
    limits: { ...PATIENT, retries: 2 },
    // It is plain who is there before the request has come.
    posts: [0, 3],
    log: /NOT stopped.*: connection broke: the answer is not HTTP \(3 attempts in /,
  },
  {
    title: "speaks SSH",
    behavior: {
      onConnection: (line) => line.send("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
      async onStop(line) {
        await line.send("Invalid SSH identification string.\r\n");
        line.end();
      },
    },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: the answer is not HTTP \(3 attempts in /,
  },
  {
    title: "speaks Redis",
    behavior: {
      async onStop(line) {
        await line.send("-ERR wrong number of arguments for 'post' command\r\n");
        await line.send("-ERR unknown command 'host:', with args beginning with:\r\n");
        line.end();
      },
    },
    limits: { ...PATIENT, retries: 2 },
    posts: 3,
    log: /NOT stopped.*: connection broke: .+ \(3 attempts in /,
  },
  {
    title: "answers with a status that nobody has defined",
    behavior: { onStop: (line) => line.send(answer("999 Whatever")) },
    posts: 1,
    log: /NOT stopped.*: answered 999 Whatever \(1 attempt in /,
  },
  {
    title: "answers 101 Switching Protocols",
    behavior: { onStop: (line) => line.send(answer("101 Switching Protocols", "upgrade: x")) },
    posts: 1,
    log: /NOT stopped.*: answered 101 Switching Protocols \(1 attempt in /,
  },
  {
    title: "answers 100 Continue and nothing more",
    behavior: { onStop: (line) => line.send("HTTP/1.1 100 Continue\r\n\r\n") },
    limits: SHORT,
    posts: SHORT_POSTS,
    log: NO_ANSWER,
  },
  {
    title: "answers with words that no terminal should be shown",
    behavior: { onStop: (line) => line.send(answer("403 \x1b[31mno\x07\u0085!")) },
    posts: 1,
    log: /NOT stopped.*: answered 403 [ -~]+ \(1 attempt in /,
  },
  {
    title: "answers in a language of its own",
    behavior: {
      onStop: (line) =>
        line.send(new TextEncoder().encode(answer("200 好", "server: 好", "x-€: €"))),
    },
    posts: 1,
    log: /: told to quit \(200 .+\)/,
  },
];

for (const row of ROWS) Deno.test(`a sidecar that ${row.title}`, () => runRow(row));

testWith(IPV6_LOOPBACK, "a sidecar that listens on ::1 only", async () => {
  for (const host of ["localhost", "[::1]"]) {
    await runRow({
      title: "is named in both ways",
      behavior: ANSWERING,
      place: { hostname: "::1" },
      target: (port) => `http://${host}:${port}/quit`,
      posts: 1,
      log: /: told to quit \(200 OK\)/,
    });
  }
});

Deno.test("a sidecar that answers 301 to another host", async () => {
  await using other = await startFaultySidecar(ANSWERING);
  const location = `location: http://localhost:${other.port}/quit`;
  for (const status of ["301 Moved Permanently", "307 Temporary Redirect"]) {
    await runRow({
      title: "redirects",
      behavior: { onStop: (line) => line.send(answer(status, location)) },
      posts: 1,
      log: new RegExp(`NOT stopped.*: answered ${status} \\(1 attempt in `),
    });
  }
  assertEquals([other.requests, other.connections], [[], 0]);
});

Deno.test("a sidecar that answers 429 with Retry-After: a date, then 200", async () => {
  // A date has whole seconds.
  const dateMs = Math.ceil(Date.now() / 1000) * 1000 + 2000;
  const date = new Date(dateMs).toUTCString();
  let secondAtMs = 0;
  await runRow({
    title: "names a date",
    behavior: {
      onStop(line, number) {
        if (number > 1) secondAtMs = Date.now();
        return line.send(number > 1 ? OK : answer("429 Wait", `retry-after: ${date}`));
      },
    },
    posts: 2,
    log: /: told to quit \(200 OK\)/,
  });
  assert(secondAtMs >= dateMs, `${dateMs - secondAtMs} ms too early`);
});

/** A port whose queue of connections is full. */
async function fullQueue() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const { hostname, port } = listener.addr;
  // Two fit, and the system leaves the third without an answer.
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

Deno.test("a job that tells a sidecar whose queue is full to quit ends when it has given up", async () => {
  using full = await fullQueue();
  const script = new URL("../support/quit_nobody.ts", import.meta.url).pathname;
  const startMs = performance.now();
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-net", script, String(full.port)],
  }).output();
  assertEquals([code, new TextDecoder().decode(stdout)], [0, "failed\n"]);
  // 15 s are the limit of a hook. The system would try for more than two minutes.
  const tookMs = performance.now() - startMs;
  assert(tookMs < 15_000 + 60_000, `${tookMs} ms`);
});

/** A path for a Unix socket, in a folder that is removed in the end. */
function socketPath() {
  const folder = Deno.makeTempDirSync();
  return {
    path: `${folder}/it.sock`,
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

const unixTarget = (path: string) => `http+unix://${encodeURIComponent(path)}/quit`;

Deno.test("a sidecar on a Unix socket", async () => {
  using socket = socketPath();
  const place = { path: socket.path };
  const target = () => unixTarget(socket.path);
  const told = /: told to quit \(200 OK\)/;
  const title = "on a socket";
  await runRow({ title, behavior: ANSWERING, place, target, posts: 1, log: told });
  const resetting: Behavior = {
    onStop: (line, number) => number === 1 ? line.reset() : line.send(OK),
  };
  await runRow({ title, behavior: resetting, place, target, posts: 2, log: told });
});

Deno.test("a Unix socket that nobody accepts on", async () => {
  using socket = socketPath();
  const listener = Deno.listen({ transport: "unix", path: socket.path });
  try {
    const { code, stderr } = await runJob([unixTarget(socket.path)], SHORT, EXIT_3);
    assertEquals(code, 3);
    assertMatch(stderr, NO_ANSWER);
  } finally {
    listener.close();
  }
});

Deno.test("a Unix socket whose server has died, and one that never was", async () => {
  using socket = socketPath();
  const gone = `${socket.path}.gone`;
  const listener = Deno.listen({ transport: "unix", path: gone });
  // Deno removes the file of a listener that it closes; a server that dies does not.
  Deno.renameSync(gone, socket.path);
  listener.close();
  for (const path of [socket.path, gone]) {
    const { code, stderr } = await runJob([unixTarget(path)], PATIENT, EXIT_3);
    assertEquals(code, 3);
    assertMatch(stderr, /: no such sidecar \(connection refused at http\+unix:/);
  }
});

/** How many connections a listener of Deno's on a Unix socket has in its queue. */
const UNIX_QUEUE = 1024;

const MANY_FILES: Need<true> = {
  what: `${UNIX_QUEUE + 200} open files (ulimit -n)`,
  find() {
    const [, limit = ""] = /^Max open files +(\S+)/m.exec(
      Deno.readTextFileSync("/proc/self/limits"),
    ) ?? [];
    return limit === "unlimited" || Number(limit) > UNIX_QUEUE + 200 ? true : undefined;
  },
};

testWith(MANY_FILES, "a Unix socket whose queue of connections is full", async () => {
  using socket = socketPath();
  const address = { transport: "unix", path: socket.path } as const;
  const listener = Deno.listen(address);
  const queued: Deno.UnixConn[] = [];
  try {
    // Here the system says so.
    const fill = async () => {
      while (queued.length < UNIX_QUEUE + 100) queued.push(await Deno.connect(address));
    };
    await assertRejects(fill, Deno.errors.WouldBlock);
    const limits = { ...PATIENT, retries: 2 };
    const { code, stderr } = await runJob([unixTarget(socket.path)], limits, EXIT_3);
    assertEquals(code, 3);
    assertMatch(stderr, /NOT stopped.*: connection broke: .+ \(3 attempts in /);
  } finally {
    listener.close();
    for (const connection of queued) connection.close();
  }
});

Deno.test("ten hooks, three of which hang: seven are done at once, all within one deadline", async () => {
  const good = await Promise.all(Array.from({ length: 7 }, () => startFaultySidecar(ANSWERING)));
  const hanging = await Promise.all(Array.from({ length: 3 }, () => startFaultySidecar({})));
  const limits = { requestTimeoutMs: 60_000, shutdownTimeoutMs: 3000 };
  try {
    const hooks = [...hanging, ...good].map(({ port }) => `http://127.0.0.1:${port}/quit`);
    const { code, stderr } = await runJob(hooks, limits, EXIT_3, {}, async (job) => {
      // Those that hang have most of their time yet.
      await job.waitFor(": told to quit (200 OK)", good.length);
      assert(!job.output.stderr.includes("NOT stopped"), job.output.stderr);
    });
    assertEquals(code, 3);
    for (const { posts } of [...hanging, ...good]) assertEquals(posts(), ["POST /quit"]);
    const failed = [
      ...stderr.matchAll(/NOT stopped.*: no answer .*\(1 attempt in (\d+(\.\d)?)s\)/g),
    ];
    assertEquals(failed.length, hanging.length, stderr);
    for (const [line, seconds] of failed) assert(Number(seconds) < 2 * 3, line);
  } finally {
    await Promise.all([...good, ...hanging].map((one) => one[Symbol.asyncDispose]()));
  }
});

interface Identities {
  /** The authority's certificate. */
  readonly authority: string;
  /** A server's key and certificate, for 127.0.0.1 and localhost. */
  readonly good: { readonly key: string; readonly cert: string };
  /** One for another name. */
  readonly elsewhere: { readonly key: string; readonly cert: string };
  readonly [Symbol.dispose]: () => void;
}

/** Makes an authority and the certificates that it has signed. */
function makeIdentities(openssl: string): Identities {
  const folder = Deno.makeTempDirSync();
  const make = (name: string, ...more: readonly string[]) => {
    const key = `${folder}/${name}.key`;
    const cert = `${folder}/${name}.pem`;
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    const args = ["req", "-x509", ...curve, "-subj", `/CN=${name}`, "-days", "2"];
    const { success, stderr } = new Deno.Command(openssl, {
      args: [...args, "-keyout", key, "-out", cert, ...more],
    }).outputSync();
    assert(success, new TextDecoder().decode(stderr));
    return { key: Deno.readTextFileSync(key), cert: Deno.readTextFileSync(cert) };
  };
  make("authority");
  const signed = (names: string) => [
    ...["-CA", `${folder}/authority.pem`, "-CAkey", `${folder}/authority.key`],
    ...["-addext", `subjectAltName=${names}`, "-addext", "basicConstraints=critical,CA:FALSE"],
  ];
  return {
    authority: `${folder}/authority.pem`,
    good: make("good", ...signed("IP:127.0.0.1,DNS:localhost")),
    elsewhere: make("elsewhere", ...signed("DNS:elsewhere")),
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

const OPENSSL: Need<string> = {
  what: "OpenSSL 3 (apt-get install openssl)",
  find: () => findProgram("openssl"),
};

/**
 * A port that `fetch` refuses to go to, and on which nobody listens here: what goes there takes the
 * wrapper's own way.
 */
function portClosedToFetch(): number {
  const port = [10080, 6666, 6667, 6668, 6669, 6679, 6697, 4045, 4190, 5060, 5061, 2049].find(
    (port) => {
      try {
        Deno.listen({ hostname: "127.0.0.1", port }).close();
        return true;
      } catch {
        return false;
      }
    },
  );
  assert(port !== undefined, "every port that fetch refuses is taken");
  return port;
}

testWith(OPENSSL, "TLS, where it is expected and where it is not", async (openssl, context) => {
  using identities = makeIdentities(openssl);
  const trusted = { DENO_CERT: identities.authority };
  const { good, elsewhere } = identities;
  const limits = { ...PATIENT, retries: 1 };
  const told = /: told to quit \(200 OK\)/;
  const rows: readonly Row[] = [
    {
      title: "a certificate that is trusted",
      place: { identity: good },
      env: trusted,
      posts: 1,
      log: told,
    },
    {
      title: "a sidecar that says first that it is ready",
      place: { identity: good },
      target: (port) => `envoy=https://127.0.0.1:${port}`,
      words: ["--wait=5s", ...EXIT_3],
      env: trusted,
      posts: 1,
      log: told,
    },
    {
      title: "a certificate that is not trusted",
      place: { identity: good },
      posts: 0,
      log: /certificate.*\(1 attempt in .*Its certificate is not trusted here/,
    },
    {
      title: "a certificate for another name",
      place: { identity: elsewhere },
      env: trusted,
      posts: 0,
      log: /certificate.*\(1 attempt in .*Its certificate is not trusted here/,
    },
    {
      title: "TLS where HTTP is expected",
      place: { identity: good },
      target: (port) => `http://127.0.0.1:${port}/quit`,
      posts: 0,
      log: /connection broke: the answer is TLS, not HTTP \(2 attempts in .*name it with https:/,
    },
    {
      title: "something that never answers where TLS is expected",
      place: {},
      limits: SHORT,
      posts: 0,
      log: NO_ANSWER,
    },
  ];
  for (const row of rows) {
    for (const port of [0, portClosedToFetch()]) {
      const way = port === 0 ? "" : ", on a port that fetch refuses";
      await context.step(`${row.title}${way}`, () =>
        runRow({
          behavior: ANSWERING,
          target: (port) => `https://127.0.0.1:${port}/quit`,
          limits,
          ...row,
        }, { ...row.place, port }));
    }
  }
});

Deno.test("HTTP where TLS is expected", async () => {
  for (const port of [0, portClosedToFetch()]) {
    await using sidecar = startSidecar([200], { port });
    const hook = `https://127.0.0.1:${sidecar.port}/quit`;
    const { code, stderr } = await runJob([hook], { ...PATIENT, retries: 1 }, EXIT_3);
    assertEquals(code, 3);
    assertMatch(
      stderr,
      /connection broke: .+ \(2 attempts in .*does not speak TLS: name it with http:/,
    );
    assertEquals(sidecar.requests, []);
  }
});

testWith(OPENSSL, "a sidecar that wants its client's certificate", async (openssl) => {
  using identities = makeIdentities(openssl);
  const folder = identities.authority.replace(/authority\.pem$/, "");
  const port = freePort();
  const pair = ["-key", `${folder}good.key`, "-cert", `${folder}good.pem`];
  const server = new Deno.Command(openssl, {
    args: ["s_server", "-accept", `127.0.0.1:${port}`, "-Verify", "1", ...pair, "-www"],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    for await (const text of server.stdout.pipeThrough(new TextDecoderStream())) {
      if (text.includes("ACCEPT")) break;
    }
    const env = { DENO_CERT: identities.authority };
    const hook = `https://127.0.0.1:${port}/quit`;
    const { code, stderr } = await runJob([hook], PATIENT, EXIT_3, env);
    assertEquals(code, 3);
    assertMatch(stderr, /CertificateRequired \(1 attempt in .*wants a certificate of its clients/);
  } finally {
    server.kill();
    await server.status;
  }
});
