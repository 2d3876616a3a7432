/** The HTTP client, against sockets that answer with the very bytes that a test gives. */

import { connect } from "../platform/mod.ts";
import { NobodyListensError, openEndpoint } from "./endpoint.ts";
import { openHttpClient } from "./client.ts";
import { assert, assertEquals, assertRejects } from "../../tests/support/assert.ts";

interface Answering {
  readonly path: string;
  /** All that clients have sent. */
  readonly received: () => string;
  /** Settles when a request's head has arrived. */
  readonly asked: Promise<void>;
  /** Settles when the client has hung up on the first connection. */
  readonly hungUp: Promise<void>;
  [Symbol.dispose](): void;
}

/** A Unix socket that sends these pieces, one write each, once a request's head has arrived. */
function startAnswering(pieces: readonly string[], options: { close: boolean }): Answering {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/it.sock`;
  const listener = Deno.listen({ transport: "unix", path });
  const { promise: asked, resolve: resolveAsked } = Promise.withResolvers<void>();
  const { promise: hungUp, resolve } = Promise.withResolvers<void>();
  let received = "";
  (async () => {
    for await (const connection of listener) {
      (async () => {
        const buffer = new Uint8Array(4096);
        while (!received.includes("\r\n\r\n")) {
          const length = await connection.read(buffer);
          if (length === null) break;
          received += new TextDecoder().decode(buffer.subarray(0, length));
        }
        resolveAsked();
        for (const piece of pieces) {
          await connection.write(Uint8Array.from(piece, (letter) => letter.charCodeAt(0)));
          // Lets the piece arrive alone.
          await new Promise((resolve) => setTimeout(resolve));
        }
        if (!options.close) { while (await connection.read(buffer) !== null); }
        connection.close();
      })().catch(() => {}).finally(resolve);
    }
  })();
  return {
    path,
    asked,
    hungUp,
    received: () => received,
    [Symbol.dispose]: () => {
      listener.close();
      Deno.removeSync(folder, { recursive: true });
    },
  };
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const GOOD: readonly (readonly [
  title: string,
  pieces: readonly string[],
  status: number,
  body: string,
])[] = [
  [
    "a body of known length",
    ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more"],
    200,
    "hello",
  ],
  ["a body up to the end", ["HTTP/1.0 200 OK\r\n\r\nhel", "lo"], 200, "hello"],
  [
    "a chunked body",
    [
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r",
      "\n2\r\nlo\r\n0\r\n\r\n",
    ],
    200,
    "hello",
  ],
  ["an answer byte by byte", [..."HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"], 503, "no"],
  ["line feeds alone", ["HTTP/1.1 200 OK\nContent-Length: 2\n\nok"], 200, "ok"],
  ["no reason phrase", ["HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n"], 404, ""],
  ["no body", ["HTTP/1.1 204 No Content\r\n\r\n"], 204, ""],
  [
    "an interim answer first",
    ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhi"],
    200,
    "hi",
  ],
  ["an undefined status", ["HTTP/1.1 999 Odd\r\n\r\n"], 999, ""],
  [
    "invalid headers",
    ["HTTP/1.1 200 OK\r\n: x\r\nb c: d\r\nx\r\n\xff: y\r\nz: a\rb\r\ne: \0\r\n\r\nhi"],
    200,
    "hi",
  ],
  [
    "any byte in the reason and in a header",
    ["HTTP/1.1 200 \x1b[31m\x80\xff\r\na: \x01\x82\x9f\r\nContent-Length: 2\r\n\r\nhi"],
    200,
    "hi",
  ],
  [
    "two lengths, which count as none",
    [OK.replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n")],
    200,
    "ok",
  ],
];

for (const [title, pieces, status, body] of GOOD) {
  Deno.test(`the HTTP client accepts ${title}`, async () => {
    using server = startAnswering(pieces, { close: true });
    const client = openHttpClient({ path: server.path }, connect);
    const response = await client.fetch(new Request("http://localhost/quit?x", { method: "POST" }));
    assertEquals([response.status, response.ok], [status, status >= 200 && status <= 299]);
    assertEquals(await response.text(), body);
    assert(server.received().startsWith("POST /quit?x HTTP/1.1\r\n"), server.received());
    assert(server.received().includes("\r\nhost: localhost\r\n"), server.received());
    assert(server.received().includes("\r\ncontent-length: 0\r\n"), server.received());
  });
}

Deno.test("the HTTP client accepts bytes that the platform's classes refuse", async () => {
  const head = new TextEncoder().encode("HTTP/1.1 200 \u597d\x1b\r\nserver: \u20ac\x07\r\n\r\n");
  const piece = Array.from(head, (byte) => String.fromCharCode(byte)).join("");
  using server = startAnswering([piece], { close: true });
  const client = openHttpClient({ path: server.path }, connect);
  const response = await client.fetch(new Request("http://localhost/"));
  assertEquals([response.status, response.statusText], [200, "\xe5\xa5\xbd?"]);
  assertEquals(response.headers.get("server"), "\xe2\x82\xac?");
});

const BAD: readonly (readonly [title: string, pieces: readonly string[], message: string])[] = [
  ["nothing", [], "closed without an answer"],
  ["half a head", ["HTTP/1.1 200 OK\r\nA: b\r\n"], "closed within the answer"],
  ["the first words of another protocol", ["SSH-2.0-"], "not HTTP"],
  ["a TLS alert", ["\x15\x03\x01\x00\x02\x02\x46"], "the answer is TLS"],
  ["garbage that begins like a TLS alert", ["\x15garbage\r\n\r\n"], "not HTTP"],
  ["half a word", ["HTT"], "closed within the answer"],
  ["another protocol", ["220 mail.example ESMTP\r\n\r\n"], "not HTTP"],
  [
    "endless interim answers",
    Array(200).fill("HTTP/1.1 100 Go\r\n\r\n".repeat(200)),
    "no end",
  ],
  ["an endless head", ["HTTP/1.1 200 OK\r\n", "A: b\r\n".repeat(20_000)], "no end"],
];

for (const [title, pieces, message] of BAD) {
  Deno.test(`the HTTP client refuses ${title}`, async () => {
    using server = startAnswering(pieces, { close: true });
    const client = openHttpClient({ path: server.path }, connect);
    await assertRejects(() => client.fetch(new Request("http://localhost/")), Error, message);
  });
}

Deno.test("the HTTP client rejects a body that ends too early or is invalid", async () => {
  const rows = [
    ["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhel", "closed within the answer"],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "closed within the answer"],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", "not HTTP"],
  ] as const;
  for (const [piece, message] of rows) {
    using server = startAnswering([piece], { close: true });
    const response = await openHttpClient({ path: server.path }, connect)
      .fetch(new Request("http://localhost/"));
    await assertRejects(() => response.text(), Error, message);
  }
});

Deno.test("the HTTP client hangs up when the signal is aborted, and when a body is canceled", async () => {
  using silent = startAnswering([], { close: false });
  const givenUp = new AbortController();
  const asking = openHttpClient({ path: silent.path }, connect)
    .fetch(new Request("http://localhost/", { signal: givenUp.signal }));
  await silent.asked;
  givenUp.abort(new Error("enough"));
  await assertRejects(() => asking, Error, "enough");
  await silent.hungUp;

  using endless = startAnswering(["HTTP/1.1 200 OK\r\n\r\nand so on"], { close: false });
  const response = await openHttpClient({ path: endless.path }, connect)
    .fetch(new Request("http://localhost/"));
  await response.body?.cancel();
  await endless.hungUp;
});

Deno.test("the HTTP client sends a body", async () => {
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => new Response(`${request.method} ${await request.text()}`),
  );
  const client = openHttpClient({ hostname: "127.0.0.1", port: server.addr.port }, connect);
  const request = new Request("http://localhost/", { method: "PUT", body: "grüße" });
  assertEquals(await (await client.fetch(request)).text(), "PUT grüße");
});

Deno.test("a port that fetch refuses can be reached", async () => {
  for (const port of [10080, 6669, 6566]) {
    let server;
    try {
      server = Deno.serve(
        { port, hostname: "127.0.0.1", onListen: () => {} },
        () => new Response(),
      );
    } catch (error) {
      // Another program has that port: try the next one.
      if (error instanceof Deno.errors.AddrInUse) continue;
      throw error;
    }
    await using _ = server;
    const url = `http://127.0.0.1:${port}/`;
    const endpoint = openEndpoint([{ hostname: "127.0.0.1", port }]);
    assertEquals((await endpoint.send(new Request(url))).status, 200);
    return;
  }
  throw new Error("all these ports are in use");
});

/** Answers each request with the next piece, and closes the connection after those with `close`. */
function startTalking(answers: readonly (readonly [piece: string, close: boolean])[]) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.TcpConn[] = [];
  let answered = 0;
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      (async () => {
        const buffer = new Uint8Array(4096);
        while (await connection.read(buffer) !== null) {
          const [piece, close] = answers[answered++] ?? ["", true];
          await connection.write(new TextEncoder().encode(piece));
          if (close) break;
        }
        connection.close();
        resolve();
      })().catch(() => {});
    }
  })();
  const { port } = listener.addr;
  return {
    address: { hostname: "127.0.0.1", port },
    url: `http://127.0.0.1:${port}/`,
    connections: () => connections.length,
    closed,
    [Symbol.dispose]: () => listener.close(),
  };
}

const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n";

Deno.test("the HTTP client keeps a connection whose answer was read to its end", async () => {
  using server = startTalking([[OK, false], [CHUNKED, false], [OK, true]]);
  const client = openHttpClient(server.address, connect);
  for (let count = 0; count < 3; count++) {
    assertEquals(await (await client.fetch(new Request(server.url))).text(), "ok");
  }
  assertEquals(server.connections(), 1);
});

const NOT_KEPT: readonly (readonly [title: string, piece: string])[] = [
  ["the server closes", OK],
  ["the server announces that it closes", OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")],
  ["the server speaks HTTP/1.0", OK.replace("1.1", "1.0")],
  ["more arrives than was due", `${OK}and more`],
];

for (const [title, piece] of NOT_KEPT) {
  Deno.test(`the HTTP client opens a new connection if ${title}`, async () => {
    using server = startTalking([[piece, title === "the server closes"], [OK, true]]);
    const client = openHttpClient(server.address, connect);
    assertEquals(await (await client.fetch(new Request(server.url))).text(), "ok");
    await server.closed;
    // The client notices the end of the connection once the event loop has run.
    await new Promise((resolve) => setTimeout(resolve));
    assertEquals(await (await client.fetch(new Request(server.url))).text(), "ok");
    assertEquals(server.connections(), 2);
  });
}

Deno.test("the HTTP client gives up on a connection that nobody accepts", async () => {
  const givenUp = new AbortController();
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  const client = openHttpClient({ hostname: "127.0.0.1", port: 1 }, async () => {
    await opened;
    const never = () => new Promise<never>(() => {});
    return { read: never, write: never, setIdle: () => {}, close };
  });
  const asking = client.fetch(new Request("http://127.0.0.1:1/", { signal: givenUp.signal }));
  givenUp.abort(new Error("enough"));
  await assertRejects(() => asking, Error, "enough");
  open();
  await closed;
});

Deno.test("a request that is sent ahead is one write, on the connection that was kept", async () => {
  const writes: string[] = [];
  const answers = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let reads = 0;
  const client = openHttpClient({ path: "" }, () =>
    Promise.resolve({
      async read() {
        await answers[reads++]?.promise;
        return new TextEncoder().encode(OK);
      },
      write(bytes) {
        writes.push(new TextDecoder().decode(bytes));
        answers[writes.length - 1]?.resolve();
        return Promise.resolve();
      },
      setIdle: () => {},
      close: () => {},
    }));
  const url = "http://agent.test/quit";
  await (await client.fetch(new Request("http://agent.test/ready"))).text();
  const sending = client.arm(new Request(url, { method: "POST" })).send();
  // Before anything is awaited.
  assertEquals(writes.length, 2);
  assertEquals(
    writes[1],
    "POST /quit HTTP/1.1\r\naccept: */*\r\ncontent-length: 0\r\nhost: agent.test\r\n\r\n",
  );
  await sending;
  const response = await client.fetch(new Request(url, { method: "POST" }));
  assertEquals([response.status, writes.length], [200, 2]);
});

Deno.test("a kept connection that takes no request which is sent ahead is closed", async () => {
  let [opened, closed, writes] = [0, 0, 0];
  const client = openHttpClient({ path: "" }, () => {
    opened++;
    let reads = 0;
    return Promise.resolve({
      read: () =>
        reads++ === 0 ? Promise.resolve(new TextEncoder().encode(OK)) : new Promise(() => {}),
      write: () => ++writes === 2 ? Promise.reject(new Error("broken pipe")) : Promise.resolve(),
      setIdle: () => {},
      close: () => {
        closed++;
      },
    });
  });
  const url = "http://agent.test/quit";
  await (await client.fetch(new Request("http://agent.test/ready"))).text();
  await client.arm(new Request(url, { method: "POST" })).send();
  const response = await client.fetch(new Request(url, { method: "POST" }));
  assertEquals([await response.text(), opened], ["ok", 2]);
  client.close();
  assertEquals(closed, 2);
});

Deno.test("a request that is sent ahead without a kept connection opens one", async () => {
  using server = startTalking([[OK, false]]);
  const client = openHttpClient(server.address, connect);
  await client.arm(new Request(server.url)).send();
  assertEquals(await (await client.fetch(new Request(server.url))).text(), "ok");
  assertEquals(server.connections(), 1);
  client.close();
});

Deno.test("a request that was sent ahead on a new connection is not sent twice in one attempt", async () => {
  using server = startTalking([["", true], [OK, true]]);
  const client = openHttpClient(server.address, connect);
  await client.arm(new Request(server.url)).send();
  await assertRejects(() => client.fetch(new Request(server.url)), Error, "without an answer");
  assertEquals(server.connections(), 1);
});

Deno.test("an answer that has begun on a kept connection is not asked for again", async () => {
  using server = startTalking([[OK, false], ["HTTP/1.1 2", true], [OK, true]]);
  const client = openHttpClient(server.address, connect);
  await (await client.fetch(new Request(server.url))).text();
  await client.arm(new Request(server.url)).send();
  await assertRejects(() => client.fetch(new Request(server.url)), Error, "within the answer");
  assertEquals(server.connections(), 1);
});

Deno.test("an endpoint whose server quits at a request that was sent ahead says that it was sent", async () => {
  const server = startTalking([[OK, false], ["", true]]);
  const endpoint = openEndpoint([server.address]);
  await (await endpoint.send(new Request(server.url))).text();
  const armed = endpoint.arm(new Request(server.url));
  server[Symbol.dispose]();
  await armed?.send();
  const error = await endpoint.send(new Request(server.url)).catch((error) => error);
  assert(error instanceof NobodyListensError && error.wasSent, String(error));
});

Deno.test("a request that is sent ahead to nobody is refused in the ordinary way", async () => {
  const server = startTalking([]);
  const endpoint = openEndpoint([server.address]);
  const armed = endpoint.arm(new Request(server.url));
  server[Symbol.dispose]();
  await armed?.send();
  const error = await endpoint.send(new Request(server.url)).catch((error) => error);
  assert(error instanceof NobodyListensError && !error.wasSent, String(error));
});
