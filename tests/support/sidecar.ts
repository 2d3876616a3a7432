/** Sidecars for tests: real servers in this process. */

/** A request that a sidecar got. */
export interface Seen {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Headers;
}

/** A sidecar that answers HTTP. */
export interface Sidecar {
  readonly port: number;
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  /** All requests, the oldest first. */
  readonly requests: readonly Seen[];
  /** The requests that were not GET. */
  posts(): readonly Seen[];
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a sidecar does with its nth request other than GET; the last answer is repeated. */
export type Answer = number | ((request: Request) => Response | Promise<Response>);

/**
 * Starts a sidecar that answers every GET with `get`, 200 by default, and every other request with the
 * given answers.
 */
export function startSidecar(
  answers: readonly Answer[] = [200],
  options: { port?: number; hostname?: string; get?: number | (() => number) } = {},
): Sidecar {
  const requests: Seen[] = [];
  const hostname = options.hostname ?? "127.0.0.1";
  let posted = 0;
  const server = Deno.serve(
    { port: options.port ?? 0, hostname, onListen: () => {} },
    async (request) => {
      const { pathname, search } = new URL(request.url);
      requests.push({ method: request.method, path: pathname + search, headers: request.headers });
      if (request.method === "GET") {
        const get = options.get ?? 200;
        return new Response("ok", { status: typeof get === "number" ? get : get() });
      }
      const answer = answers[Math.min(posted++, answers.length - 1)] ?? 200;
      return typeof answer === "number"
        ? new Response(null, { status: answer })
        : await answer(request);
    },
  );
  const { port } = server.addr;
  const close = () => server.shutdown();
  return {
    port,
    origin: `http://127.0.0.1:${port}`,
    requests,
    posts: () => requests.filter(({ method }) => method !== "GET"),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A TCP listener that passes each connection to the test. */
export function startRawSidecar(
  handle: (connection: Deno.TcpConn) => Promise<void>,
): { readonly port: number; readonly connections: () => number; [Symbol.dispose](): void } {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  let connections = 0;
  const open = new Set<Deno.TcpConn>();
  (async () => {
    for await (const connection of listener) {
      connections++;
      open.add(connection);
      handle(connection).catch(() => {});
    }
  })().catch(() => {});
  return {
    port: listener.addr.port,
    connections: () => connections,
    [Symbol.dispose]: () => {
      listener.close();
      for (const connection of open) {
        try {
          connection.close();
        } catch {
          // The test has already closed it.
        }
      }
    },
  };
}

/** A port on which nothing listens. */
export function freePort(): number {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** Connects to a port of the loopback as soon as somebody listens; the other side ends the connection. */
export async function holdConnection(port: number): Promise<void> {
  for (;;) {
    try {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      const ended = connection.readable.pipeTo(new WritableStream());
      ended.catch(() => {});
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** Waits until a page is answered with this status. */
export async function untilStatus(url: string, status: number): Promise<void> {
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.status === status) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
