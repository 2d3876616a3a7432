/** Retries, the Retry-After header, and deadlines. */

import { assert } from "../support/assert.ts";
import {
  drip,
  NO_ANSWER,
  OK,
  PATIENT,
  type Row,
  runRow,
  SHORT,
  SHORT_POSTS,
} from "../support/faults.ts";
import { answer, type FaultySidecar } from "../support/faulty_sidecar.ts";

/** The time between the first two requests. */
function firstPauseMs({ requests: [first, second] }: FaultySidecar): number {
  return (second?.atMs ?? 0) - (first?.atMs ?? 0);
}

const ROWS: readonly Row[] = [
  {
    title: "accepts and never answers",
    behavior: {},
    limits: SHORT,
    posts: SHORT_POSTS,
    log: NO_ANSWER,
  },
  {
    title: "answers one byte a second",
    behavior: { onStop: (connection) => drip(connection, OK) },
    limits: SHORT,
    posts: SHORT_POSTS,
    log: NO_ANSWER,
  },
  {
    title: "answers 500 four times, then 200",
    behavior: {
      onStop: (connection, number) =>
        connection.send(number <= 4 ? answer("500 Internal Server Error") : OK),
    },
    posts: 5,
    log: /: told to quit \(200 OK\)/,
  },
  {
    title: "always answers 500",
    behavior: { onStop: (connection) => connection.send(answer("500 Internal Server Error")) },
    limits: { ...PATIENT, retries: 3 },
    posts: 4,
    log: /NOT stopped.*: answered 500 Internal Server Error \(4 attempts in /,
  },
  {
    title: "answers 429 with Retry-After: 1, then 200",
    behavior: {
      onStop: (connection, number) =>
        connection.send(number === 1 ? answer("429 Too Many Requests", "retry-after: 1") : OK),
    },
    posts: 2,
    log: /: told to quit \(200 OK\)/,
    then: (sidecar) => assert(firstPauseMs(sidecar) >= 1000, `${firstPauseMs(sidecar)} ms`),
  },
  {
    title: "answers 429 with Retry-After: a date in a year",
    behavior: {
      onStop(connection) {
        const date = new Date(Date.now() + 365 * 24 * 60 * 60 * 1000).toUTCString();
        return connection.send(answer("429 Too Many Requests", `retry-after: ${date}`));
      },
    },
    limits: SHORT,
    posts: 2,
    log: /NOT stopped.*: answered 429 Too Many Requests \(2 attempts in /,
  },
  {
    title: "answers 503 with Retry-After: a year",
    behavior: {
      onStop: (connection) =>
        connection.send(answer("503 Service Unavailable", "retry-after: 31536000")),
    },
    limits: SHORT,
    posts: 2,
    log: /NOT stopped.*: answered 503 Service Unavailable \(2 attempts in /,
    // The last request is sent as late as its answer can still arrive in time.
    then: (sidecar) => assert(firstPauseMs(sidecar) >= SHORT.shutdownTimeoutMs / 2),
  },
  {
    title: "answers 429 with an invalid Retry-After, then 200",
    behavior: {
      onStop: (connection, number) =>
        connection.send(number === 1 ? answer("429 Too Many Requests", "retry-after: soon") : OK),
    },
    posts: 2,
    log: /: told to quit \(200 OK\)/,
  },
  {
    title: "answers 503 with Retry-After: 0, then 200",
    behavior: {
      onStop: (connection, number) =>
        connection.send(number <= 4 ? answer("503 Service Unavailable", "retry-after: 0") : OK),
    },
    posts: 5,
    log: /: told to quit \(200 OK\)/,
    // 100, 200, 400 and 800 ms, each cut by at most half: without pauses it would end too soon.
    then: ({ requests }) => {
      const timesMs = requests.filter(({ line }) => line.startsWith("POST ")).map((r) => r.atMs);
      const tookMs = (timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0);
      assert(tookMs >= 750, `${tookMs} ms`);
    },
  },
];

for (const row of ROWS) Deno.test(`a sidecar that ${row.title}`, () => runRow(row));

Deno.test("a sidecar that answers 429 with Retry-After: a date, then 200", async () => {
  // A date in HTTP has whole seconds.
  const dateMs = Math.ceil(Date.now() / 1000) * 1000 + 2000;
  const date = new Date(dateMs).toUTCString();
  let secondAtMs = 0;
  await runRow({
    title: "names a date",
    behavior: {
      onStop(connection, number) {
        if (number > 1) secondAtMs = Date.now();
        return connection.send(number > 1 ? OK : answer("429 Wait", `retry-after: ${date}`));
      },
    },
    posts: 2,
    log: /: told to quit \(200 OK\)/,
  });
  assert(secondAtMs >= dateMs, `${dateMs - secondAtMs} ms too early`);
});
