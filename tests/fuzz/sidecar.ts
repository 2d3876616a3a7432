/** A sidecar that answers with raw bytes, where a server would send valid HTTP. */

import * as fc from "fast-check";

/** What it does with one request. */
export interface Answer {
  /** What follows from it: success, a retry, or a final failure. */
  readonly kind: "done" | "retry" | "final";
  /** What it sends, piece by piece, one byte a character; nothing if the list is empty. */
  readonly pieces: readonly string[];
  /** The pause before each piece, in milliseconds. */
  readonly pauseMs: number;
  /** What it does then: it closes the connection, leaves it open, or keeps sending forever. */
  readonly then: "close" | "stall" | "drip";
}

/** What the sidecar does with a GET, and with every other request. */
export interface Behavior {
  readonly probes: readonly Answer[];
  readonly stops: readonly Answer[];
}

/** A running sidecar. */
export interface RawSidecar {
  readonly port: number;
  /** `METHOD PATH?QUERY` of each request, the oldest first. */
  readonly requests: readonly string[];
  readonly connections: Set<Deno.TcpConn>;
  readonly listener: Deno.TcpListener;
}

const GOOD: Answer = {
  kind: "done",
  pieces: ["HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"],
  pauseMs: 0,
  then: "close",
};

/** Starts a sidecar; once its answers are used up, it answers correctly. */
export function startSidecar(behavior: Behavior): RawSidecar {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const requests: string[] = [];
  const connections = new Set<Deno.TcpConn>();
  const next = { probes: 0, stops: 0 };

  async function serve(connection: Deno.TcpConn): Promise<void> {
    for await (const line of requestLines(connection)) {
      const [method = "", path = ""] = line.split(" ");
      requests.push(`${method} ${path}`);
      const turn = method === "GET" ? "probes" : "stops";
      const answer = behavior[turn][next[turn]++] ?? GOOD;
      await give(connection, answer);
      if (answer.then === "close") break;
    }
    connection.close();
  }

  (async () => {
    for await (const connection of listener) {
      connections.add(connection);
      serve(connection).catch(() => {
        // The wrapper has hung up, or this sidecar was closed. Both are expected.
      });
    }
  })().catch(() => {});
  return { port: listener.addr.port, requests, connections, listener };
}

/** The request lines on a connection; the requests have no body. */
async function* requestLines(connection: Deno.TcpConn): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  let text = "";
  for (;;) {
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0) {
      yield text.slice(0, text.indexOf("\r\n"));
      text = text.slice(end + 4);
      continue;
    }
    const length = await connection.read(buffer);
    if (length === null) return;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

async function give(connection: Deno.TcpConn, answer: Answer): Promise<void> {
  for (const piece of answer.pieces) {
    if (answer.pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, answer.pauseMs));
    await writeAll(connection, piece);
  }
  while (answer.then === "drip") {
    await writeAll(connection, "drip\r\n");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function writeAll(connection: Deno.TcpConn, text: string): Promise<void> {
  const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0) & 0xff);
  for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
}

/** Ends a sidecar and its connections. */
export function closeAll({ listener, connections }: RawSidecar): void {
  listener.close();
  for (const connection of connections) {
    try {
      connection.close();
    } catch {
      // Its answer has already closed it.
    }
  }
}

const RETRY_STATUSES = [408, 425, 429, 500, 501, 502, 503, 504, 507, 599] as const;
const FINAL_STATUSES = [300, 301, 302, 304, 307, 400, 401, 403, 404, 405, 410, 418, 451] as const;
const DONE_STATUSES = [200, 201, 202, 203, 204, 205, 206, 226, 299] as const;

const reason = fc.oneof(
  fc.constantFrom("", "OK", "Not Found", "\x1b[31mred", "ü", "x".repeat(5000)),
  fc.string({ maxLength: 20 }).map((text) => text.replaceAll(/[^\t\x20-\x7e]/g, "")),
);

const headerLine = fc.oneof(
  fc.constantFrom(
    "server: envoy",
    "content-type: text/plain; charset=utf-16",
    "content-encoding: gzip",
    "location: http://me:hunter2@127.0.0.1:1/?token=sesame",
    "set-cookie: token=sesame",
    "www-authenticate: Basic realm=hunter2",
    "retry-after: 0",
    "retry-after: -1",
    "retry-after: soon",
    "retry-after: Mon, 01 Jan 1990 00:00:00 GMT",
    "date: never",
    "x: \x80\xff",
    "keep-alive: timeout=0",
    "upgrade: h2c",
    'alt-svc: h3=":443"',
  ),
  // Three of these are just shorter than the longest head that the wrapper reads.
  fc.nat({ max: 19_000 }).map((length) => `x-long: ${"y".repeat(length)}`),
  fc.nat({ max: 60 }).map((count) => "x-many: 1\r\n".repeat(count) + "x-last: 1"),
);

/** How the body is framed, correctly or not. */
const framed = fc.oneof(
  fc.constant("content-length: 0\r\n\r\n"),
  fc.nat({ max: 100_000 }).map((length) =>
    `content-length: ${length}\r\n\r\n${"b".repeat(length)}`
  ),
  fc.constant("transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
  // Too short, too long, unfinished, or nonsense: the status has arrived anyway.
  fc.constant("content-length: 5\r\n\r\nab"),
  fc.constant("content-length: 2\r\n\r\nabcdefgh"),
  fc.constant("transfer-encoding: chunked\r\n\r\nFFFFFFF\r\nab"),
  fc.constant("transfer-encoding: chunked\r\n\r\nzz\r\nab"),
  fc.constant("content-length: -1\r\n\r\n"),
  fc.constant("content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
  fc.constant("no colon\r\n\r\n"),
  fc.constant("\r\nno length at all"),
);

/** Cuts a text where a packet might end. */
function cut(text: string, places: readonly number[]): string[] {
  const at = [...new Set(places.map((place) => place % (text.length + 1)))].sort((a, b) => a - b);
  return [...at, text.length].map((end, index) => text.slice(index === 0 ? 0 : at[index - 1], end));
}

const places = fc.array(fc.nat({ max: 5000 }), { maxLength: 3 });

/** An answer in HTTP, with a status of the list. */
function http(kind: Answer["kind"], statuses: readonly number[]): fc.Arbitrary<Answer> {
  return fc.record({
    before: fc.constantFrom("", "", "", "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"),
    version: fc.constantFrom("HTTP/1.1", "HTTP/1.1", "HTTP/1.0"),
    status: fc.constantFrom(...statuses),
    reason,
    headers: fc.array(headerLine, { maxLength: 3 }),
    body: framed,
    places,
    pauseMs: fc.constantFrom(0, 0, 1, 20),
    then: fc.constantFrom<Answer["then"][]>("close", "close", "stall", "drip"),
  }).map(({ before, version, status, reason, headers, body, places, pauseMs, then }) => {
    const lines = [`${before}${version} ${status} ${reason}`, ...headers, body];
    return { kind, pieces: cut(lines.join("\r\n"), places), pauseMs, then };
  });
}

/** Something that is not an answer. */
const broken: fc.Arbitrary<Answer> = fc.record({
  text: fc.constantFrom(
    "",
    "\r\n\r\n",
    "HELLO\r\n",
    "HTTP/1.1",
    "HTTP/1.1 200",
    "HTTP/1.1 2",
    "HTTP/1.1 abc OK\r\n\r\n",
    "HTTP/3 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nx: " + "y".repeat(600_000),
    "SSH-2.0-OpenSSH_9.2\r\n",
    "\x16\x03\x01\x02\x00\x01\x00",
  ),
  places,
  pauseMs: fc.constantFrom(0, 5),
  then: fc.constantFrom<Answer["then"][]>("close", "close", "close", "stall"),
}).map(({ text, places, pauseMs, then }) => ({
  kind: "retry",
  pieces: cut(text, places),
  pauseMs,
  then,
}));

/** Answers of this kind. */
export function answers(kind: Answer["kind"]): fc.Arbitrary<Answer> {
  if (kind === "done") return http(kind, DONE_STATUSES);
  if (kind === "final") return http(kind, FINAL_STATUSES);
  return fc.oneof(http(kind, RETRY_STATUSES), broken);
}
