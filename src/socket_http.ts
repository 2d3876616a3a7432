/**
 * A small HTTP/1.1 client on a socket, for what `fetch` cannot do: a Unix socket with a request line
 * as every server expects it, a port that the fetch standard forbids, and an address of one's own on
 * Node.
 *
 * It is not made of `node:http` because Deno 2.7 never settles that module's request when the server
 * hangs up without an answer, and ends the process when it hangs up in the middle of a body.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { HttpClient, SocketAddress } from "./platform_types.ts";

/** No server needs a longer status line with headers, nor a longer line before a chunk. */
const LONGEST_HEAD_BYTES = 64 * 1024;

/**
 * The ports that `fetch` refuses with a network error: "bad ports" of the fetch standard.
 *
 * @see https://fetch.spec.whatwg.org/#port-blocking
 */
// deno-fmt-ignore
const PORTS_CLOSED_TO_FETCH: ReadonlySet<number> = new Set([
  1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
  103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
  512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
  995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668,
  6669, 6679, 6697, 10080,
]);

/** Whether `fetch` cannot go to an address. */
export function isClosedToFetch(address: SocketAddress): boolean {
  return "path" in address || PORTS_CLOSED_TO_FETCH.has(address.port);
}

/**
 * Makes an HTTP client that is bound to one address, whatever the URL says. Each request has a
 * connection of its own: on a machine's own sockets that costs less than it takes to find out that
 * a kept one has gone stale.
 *
 * @param address where connections go
 *
 * @example
 * ```ts
 * import { openSocketHttpClient } from "./socket_http.ts";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = Deno.serve(
 *   { port: 0, hostname: "127.0.0.1", onListen: () => {} },
 *   () => new Response("hello"),
 * );
 * const client = openSocketHttpClient({ hostname: "127.0.0.1", port: server.addr.port });
 * const response = await client.fetch(new Request("http://any.name/greeting"));
 * assertEquals(await response.text(), "hello");
 * ```
 */
export function openSocketHttpClient(address: SocketAddress): HttpClient {
  return { fetch: (request) => send(request, address) };
}

async function send(request: Request, address: SocketAddress): Promise<Response> {
  const { signal } = request;
  const body = new Uint8Array(await request.arrayBuffer());
  const socket = await connect(address, new URL(request.url));
  const giveUp = () => socket.destroy(new Error("given up"));
  // An error that comes when nobody reads any more must not end the process.
  socket.on("error", () => {});
  socket.once("close", () => signal.removeEventListener("abort", giveUp));
  signal.addEventListener("abort", giveUp);
  try {
    signal.throwIfAborted();
    // The connection stays open for writing: some servers give up on a client that half-closes.
    socket.write(requestHead(request, body.byteLength));
    if (body.byteLength > 0) socket.write(body);
    return await readResponse(readerOf(socket), request.method, () => socket.destroy());
  } catch (error) {
    socket.destroy();
    throw signal.aborted ? signal.reason : error;
  }
}

/** Opens a socket; what is loaded for that is loaded when it is needed, which in most jobs is never. */
async function connect(address: SocketAddress, url: URL): Promise<Socket> {
  const where = "path" in address
    ? { path: address.path }
    : { host: address.hostname, port: address.port };
  if (url.protocol !== "https:") return (await import("node:net")).connect(where);
  const { connect } = await import("node:tls");
  // A certificate is for the URL's name, wherever the connection goes; an IP address is no name.
  const isName = !/^[\d.]+$|^\[/.test(url.hostname);
  return connect({ ...where, ...(isName ? { servername: url.hostname } : {}) });
}

function requestHead(request: Request, bodyLength: number): string {
  const url = new URL(request.url);
  const headers = new Headers(request.headers);
  headers.set("host", url.host);
  headers.set("connection", "close");
  if (!headers.has("accept")) headers.set("accept", "*/*");
  if (bodyLength > 0 || !["GET", "HEAD"].includes(request.method)) {
    headers.set("content-length", String(bodyLength));
  }
  const lines = [...headers].map(([name, value]) => `${name}: ${value}\r\n`);
  return `${request.method} ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** Takes bytes from a socket. */
interface Reader {
  /** All that comes up to an end mark, which is left out. */
  readonly upTo: (mark: "\n" | "\n\n") => Promise<string>;
  /** What is there, or comes next, but not more than `most`; undefined at the end. */
  readonly some: (most: number) => Promise<Uint8Array<ArrayBuffer> | undefined>;
}

function readerOf(socket: Socket): Reader {
  const chunks: AsyncIterator<Uint8Array> = socket[Symbol.asyncIterator]();
  // One character for each byte, so that an index in the text is one in the bytes too.
  const latin1 = new TextDecoder("latin1");
  let rest = new Uint8Array();

  async function more(): Promise<boolean> {
    const { done, value } = await chunks.next();
    if (done) return false;
    const joined = new Uint8Array(rest.length + value.length);
    joined.set(rest);
    joined.set(value, rest.length);
    rest = joined;
    return true;
  }

  async function upTo(mark: "\n" | "\n\n"): Promise<string> {
    for (;;) {
      const text = latin1.decode(rest);
      const end = mark === "\n" ? /\r?\n/.exec(text) : /\r?\n\r?\n/.exec(text);
      if (end !== null) {
        rest = rest.slice(end.index + end[0].length);
        return text.slice(0, end.index);
      }
      if (rest.length > LONGEST_HEAD_BYTES) throw new Error("the answer's head has no end");
      if (!await more()) {
        throw new Error(rest.length > 0 ? "closed within the answer" : "closed without an answer");
      }
    }
  }

  async function some(most: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    while (rest.length === 0) if (!await more()) return undefined;
    const taken = rest.slice(0, most);
    rest = rest.slice(taken.length);
    return taken;
  }

  return { upTo, some };
}

async function readResponse(
  reader: Reader,
  method: string,
  close: () => void,
): Promise<Response> {
  const { status, statusText, headers } = await readHead(reader);
  // 100 and its kin announce the answer proper.
  if (status < 200 && status !== 101) return await readResponse(reader, method, close);
  const isBodiless = method === "HEAD" || status < 200 || [204, 205, 304].includes(status);
  if (isBodiless) close();
  const body = isBodiless ? null : toStream(bodyOf(reader, headers), close);
  if (status >= 200 && status <= 599) return new Response(body, { status, statusText, headers });
  // The class refuses other numbers. A server does not.
  const response = new Response(body, { status: 599, statusText, headers });
  return Object.defineProperty(response, "status", { value: status });
}

async function readHead(reader: Reader) {
  const [statusLine = "", ...lines] = (await reader.upTo("\n\n")).split(/\r?\n/);
  const [, code, statusText = ""] = /^HTTP\/1\.\d (\d{3})(?: (.*))?$/.exec(statusLine) ?? [];
  if (code === undefined) throw new Error("the answer is not HTTP");
  const headers = new Headers();
  for (const line of lines) {
    const [, name = "", value = ""] = /^([\w!#$%&'*+.^`|~-]+):\s*(.*?)\s*$/.exec(line) ?? [];
    if (name !== "" && !value.includes("\0")) headers.append(name, value);
  }
  return { status: Number(code), statusText, headers };
}

/** The body's bytes, however the server marks its end. */
async function* bodyOf(reader: Reader, headers: Headers): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (/\bchunked\s*$/i.test(headers.get("transfer-encoding") ?? "")) {
    for (;;) {
      const [, size] = /^\s*([\da-f]{1,12})\s*(?:;.*)?$/i.exec(await reader.upTo("\n")) ?? [];
      if (size === undefined) throw new Error("the answer's body is not HTTP");
      if (Number.parseInt(size, 16) === 0) return;
      yield* exactly(reader, Number.parseInt(size, 16));
      await reader.upTo("\n");
    }
  }
  const length = headers.get("content-length");
  if (length !== null && /^\d+$/.test(length)) return yield* exactly(reader, Number(length));
  for (let bytes; (bytes = await reader.some(Infinity)) !== undefined;) yield bytes;
}

async function* exactly(reader: Reader, length: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let missing = length; missing > 0;) {
    const bytes = await reader.some(missing);
    if (bytes === undefined) throw new Error("closed within the answer");
    missing -= bytes.length;
    yield bytes;
  }
}

/** Bytes as a stream; to cancel it closes the connection, however much is still to come. */
function toStream(
  chunks: AsyncGenerator<Uint8Array<ArrayBuffer>>,
  close: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (!done) return controller.enqueue(value);
      controller.close();
      close();
    },
    cancel: close,
  });
}
