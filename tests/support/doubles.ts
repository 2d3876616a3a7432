/**
 * Doubles of real sidecars. Each goes through the phases of the program's life and gives the program's
 * own answers in each of them; `recordings/` has what was seen, with the program and its version.
 */

import { STATUS_CODES } from "node:http";

/** One answer. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Whether the body is sent in chunks, as Envoy does. */
  readonly chunked?: boolean;
}

/** What a request leads to. */
export interface Page {
  /** The name of the answer; without one, the connection is closed. */
  readonly answer?: string;
  /** The phase that follows. */
  readonly then?: string;
  readonly note?: string;
}

/** A phase of a sidecar's life: what each open port answers, by method and path, `*` to all else. */
export interface Phase {
  readonly ports: Readonly<Record<string, Readonly<Record<string, string | Page>>>>;
  /** The phase that follows by itself. */
  readonly next?: string;
  readonly note?: string;
}

/** What was seen of a program. */
export interface Recording {
  /** The preset's name. */
  readonly name: string;
  readonly program: string;
  readonly version: string;
  /** Whether it was run, or read in its source. */
  readonly how: string;
  /** The request that makes it quit: `POST :9901/quitquitquit`. */
  readonly stop: string;
  /** How it ends. */
  readonly end: string;
  readonly answers: Readonly<Record<string, Reply>>;
  readonly phases: Readonly<Record<string, Phase>>;
}

/** What a request to a port leads to. */
export interface Turn {
  /** The answer; without one, the connection is closed. */
  readonly reply?: Reply;
  /** Called when the answer has been sent. */
  readonly then?: () => void;
}

/** A server on one port of the loopback. */
export interface PortServer {
  /** Ends it and its connections, as the end of a process does; the port is free when that is done. */
  close(): Promise<void>;
}

/** Serves a port, byte for byte. */
export function servePort(port: number, answer: (request: string) => Turn): PortServer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const open = new Set<Deno.TcpConn>();

  async function converse(connection: Deno.TcpConn): Promise<void> {
    open.add(connection);
    let received = "";
    for await (const chunk of connection.readable.pipeThrough(new TextDecoderStream())) {
      received += chunk;
      // A hook's requests have no body.
      for (let end; (end = received.indexOf("\r\n\r\n")) >= 0;) {
        const [method = "", path = ""] = received.split(" ", 2);
        received = received.slice(end + 4);
        const { reply, then } = answer(`${method} ${path}`);
        if (reply !== undefined) await connection.write(encode(reply, method));
        then?.();
        if (reply === undefined) return;
      }
    }
  }

  const accepting = (async () => {
    for await (const connection of listener) {
      converse(connection).catch(() => {}).finally(() => {
        open.delete(connection);
        closeQuietly(connection);
      });
    }
  })().catch(() => {});

  return {
    async close() {
      listener.close();
      for (const connection of open) closeQuietly(connection);
      await accepting;
    },
  };
}

function closeQuietly(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // The other side was faster.
  }
}

function encode({ status, headers = {}, body = "", chunked }: Reply, method: string): Uint8Array {
  const bytes = new TextEncoder().encode(body);
  const isEmpty = status === 204 || method === "HEAD";
  const framing = chunked
    ? ["transfer-encoding: chunked"]
    : isEmpty
    ? []
    : [`content-length: ${bytes.length}`];
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `date: ${new Date().toUTCString()}`,
    ...framing,
  ].join("\r\n");
  const size = bytes.length.toString(16);
  const content = chunked ? `${size}\r\n${body}\r\n0\r\n\r\n` : body;
  return new TextEncoder().encode(`${head}\r\n\r\n${isEmpty ? "" : content}`);
}

/** A running double. */
export interface Double extends AsyncDisposable {
  /** The requests so far, each as `POST :9901/quitquitquit`. */
  readonly requests: readonly string[];
  /** The phase that it is in. */
  readonly phase: string;
  /** Enters a phase; `ended` closes all ports. */
  enter(phase: string): void;
  /** Enters the phase that follows by itself. */
  goOn(): void;
  /** Waits until the ports that it has closed are free. */
  closed(): Promise<void>;
  /** Waits until it has had this request this many times. */
  asked(request: string, times?: number): Promise<void>;
  /** Waits until it has had this many requests. */
  busy(requests: number): Promise<void>;
  /** Waits until it is in a phase. */
  reached(phase: string): Promise<void>;
  /** Waits until it has left a phase. */
  left(phase: string): Promise<void>;
}

/** Starts a double in a phase of its life. */
export function startDouble(recording: Recording, first: string): Double {
  const requests: string[] = [];
  const servers = new Map<string, PortServer>();
  const closing = new Set<Promise<void>>();
  const waiting = new Set<() => void>();
  let phase = first;

  const phaseNamed = (name: string): Phase => {
    const found = name === "ended" ? { ports: {} } : recording.phases[name];
    if (found === undefined) throw new Error(`${recording.name} has no phase ${name}`);
    return found;
  };
  const notify = () => {
    for (const check of waiting) check();
  };

  function answer(port: string, request: string): Turn {
    requests.push(request.replace(" ", ` :${port}`));
    const pages = phaseNamed(phase).ports[port] ?? {};
    const page = pages[request] ?? pages["*"] ?? {};
    const { answer: name, then } = typeof page === "string" ? { answer: page } : page;
    notify();
    const reply = name === undefined ? undefined : recording.answers[name];
    if (name !== undefined && reply === undefined) throw new Error(`no answer named ${name}`);
    return {
      ...(reply !== undefined && { reply }),
      ...(then !== undefined && { then: () => enter(then) }),
    };
  }

  function enter(name: string): void {
    phase = name;
    const { ports } = phaseNamed(name);
    for (const [port, server] of servers) {
      if (port in ports) continue;
      servers.delete(port);
      closing.add(server.close());
    }
    for (const port of Object.keys(ports)) {
      if (servers.has(port)) continue;
      servers.set(port, servePort(Number(port), (request) => answer(port, request)));
    }
    notify();
  }

  function until(isTrue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!isTrue()) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    });
  }

  enter(first);
  return {
    requests,
    get phase() {
      return phase;
    },
    enter,
    goOn: () => enter(phaseNamed(phase).next ?? phase),
    closed: async () => {
      await Promise.all(closing);
    },
    asked: (request, times = 1) =>
      until(() => requests.filter((one) => one === request).length >= times),
    busy: (count) => until(() => requests.length >= count),
    reached: (name) => until(() => phase === name),
    left: (name) => until(() => phase !== name),
    [Symbol.asyncDispose]: async () => {
      enter("ended");
      await Promise.all(closing);
    },
  };
}
