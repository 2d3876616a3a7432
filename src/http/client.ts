/**
 * A small HTTP/1.1 client on a socket. It sends a request in half the time that `fetch` needs and in
 * less memory, and does what `fetch` cannot do: a Unix socket with a request line as every server
 * expects it, a port that the fetch standard forbids, and an address of one's own on Node.
 *
 * It is not made of `node:http` because Deno 2.7 never settles that module's request when the server
 * hangs up without an answer, and ends the process when it hangs up in the middle of a body.
 *
 * @module
 */

import type { Connection, HttpClient, SocketAddress } from "../platform/types.ts";

/** No server needs a longer status line with headers, nor a longer line before a chunk. */
const LONGEST_HEAD_BYTES = 64 * 1024;

/** A whole answer, with what announces it, frames it and follows it. No hook reads as much. */
const LONGEST_ANSWER_BYTES = 512 * 1024;

const LINE_FEED = 10;

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

/** Whether `fetch` refuses an address's port. */
export function isClosedToFetch(address: SocketAddress): boolean {
  return "port" in address && PORTS_CLOSED_TO_FETCH.has(address.port);
}

/** Opens a connection, over TLS if `isSecure`; gives up when the signal is aborted. */
export type Connect = (
  address: SocketAddress,
  isSecure: boolean,
  signal: AbortSignal,
) => Promise<Connection>;

/**
 * Makes an HTTP client that is bound to one address, whatever the URL says. A connection whose
 * answer was read to its end is kept for the next request; one on which anything comes before that
 * request was sent, its end most of all, is thrown away at once.
 *
 * @param address where connections go
 * @param connect opens one
 *
 * @example
 * ```ts
 * import { connect } from "../platform/mod.ts";
 * import { openHttpClientOnSocket } from "./client.ts";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = Deno.serve(
 *   { port: 0, hostname: "127.0.0.1", onListen: () => {} },
 *   () => new Response("hello"),
 * );
 * const address = { hostname: "127.0.0.1", port: server.addr.port };
 * const response = await openHttpClientOnSocket(address, connect)
 *   .fetch(new Request("http://any.name/greeting"));
 * assertEquals(await response.text(), "hello");
 * ```
 */
export function openHttpClientOnSocket(address: SocketAddress, connect: Connect): HttpClient {
  let kept: Line | undefined;

  async function openLine(isSecure: boolean, signal: AbortSignal): Promise<Line> {
    const opening = connect(address, isSecure, signal);
    let giveUp = () => {};
    const givenUp = new Promise<never>((_, reject) => {
      giveUp = () => reject(signal.reason);
    });
    signal.addEventListener("abort", giveUp);
    try {
      return lineOn(await Promise.race([opening, givenUp]));
    } catch (error) {
      opening.then((connection) => connection.close(), () => {});
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  function keep(line: Line): void {
    if (kept !== undefined) return line.close();
    kept = line;
    line.watch(() => {
      if (kept === line) kept = undefined;
    });
  }

  return {
    async fetch(request) {
      const { signal } = request;
      signal.throwIfAborted();
      const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer());
      const line = kept ?? await openLine(request.url.startsWith("https:"), signal);
      if (kept === line) kept = undefined;
      line.unwatch();
      const giveUp = () => line.close();
      const finish = (canBeKept: boolean) => {
        signal.removeEventListener("abort", giveUp);
        if (canBeKept && !signal.aborted) keep(line);
        else line.close();
      };
      signal.addEventListener("abort", giveUp);
      try {
        signal.throwIfAborted();
        // The connection stays open for writing: some servers give up on a client that half-closes.
        await line.write(requestBytes(request, body));
        return await readResponse(line, request.method, signal, finish);
      } catch (error) {
        finish(false);
        throw signal.aborted ? signal.reason : error;
      }
    },
  };
}

function requestBytes(
  request: Request,
  body: Uint8Array<ArrayBuffer> = new Uint8Array(),
): Uint8Array<ArrayBuffer> {
  const url = new URL(request.url);
  const headers = new Headers(request.headers);
  headers.set("host", url.host);
  if (!headers.has("accept")) headers.set("accept", "*/*");
  if (body.byteLength > 0 || !["GET", "HEAD"].includes(request.method)) {
    headers.set("content-length", String(body.byteLength));
  }
  const lines = [...headers].map(([name, value]) => `${name}: ${value}\r\n`);
  const start = `${request.method} ${url.pathname}${url.search} HTTP/1.1\r\n`;
  // A header's value has one byte a character (the class lets no other in), so this has too.
  const text = `${start}${lines.join("")}\r\n`;
  const head = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) head[index] = text.charCodeAt(index);
  return concatenate(head, body);
}

function concatenate(
  first: Uint8Array<ArrayBuffer>,
  second: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  if (first.length === 0) return second;
  if (second.length === 0) return first;
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

/** A connection, read in the pieces that HTTP has. */
interface Line {
  /** Sends bytes. */
  readonly write: (bytes: Uint8Array<ArrayBuffer>) => Promise<void>;
  /** What comes first, so many bytes of it or all that there are; it is not taken. */
  readonly ahead: (length: number) => Promise<string>;
  /** One line, without what marks its end. */
  readonly textLine: () => Promise<string>;
  /** What is there, or comes next, but not more than `most`; undefined at the end. */
  readonly some: (most: number) => Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Nothing is due to come: closes as soon as something does, and tells so. */
  readonly watch: (closed: () => void) => void;
  /** Something is due to come again. */
  readonly unwatch: () => void;
  /** Ends the connection. */
  readonly close: () => void;
}

function lineOn(connection: Connection): Line {
  let rest = new Uint8Array();
  let answerBytes = 0;
  let coming: Promise<Uint8Array<ArrayBuffer> | undefined> | undefined;
  let onStray: (() => void) | undefined;

  async function write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    answerBytes = 0;
    await connection.write(bytes);
  }

  async function more(): Promise<boolean> {
    const bytes = await (coming ?? connection.read());
    coming = undefined;
    if (bytes === undefined) return false;
    answerBytes += bytes.length;
    // What never ends and never pauses would leave no time for a deadline, or for COMMAND's end.
    if (answerBytes > LONGEST_ANSWER_BYTES) throw new Error("the answer has no end");
    rest = concatenate(rest, bytes);
    return true;
  }

  async function ahead(length: number): Promise<string> {
    while (rest.length < length && await more());
    return oneCharacterAByte(rest.subarray(0, length));
  }

  async function textLine(): Promise<string> {
    for (let searched = 0;;) {
      const end = rest.indexOf(LINE_FEED, searched);
      if (end >= 0) {
        const text = oneCharacterAByte(rest.subarray(0, end));
        rest = rest.subarray(end + 1);
        return text.replace(/\r$/, "");
      }
      if (rest.length > LONGEST_HEAD_BYTES) throw new Error("the answer's head has no end");
      searched = rest.length;
      if (!await more()) {
        throw new Error(answerBytes > 0 ? "closed within the answer" : "closed without an answer");
      }
    }
  }

  async function some(most: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    while (rest.length === 0) if (!await more()) return undefined;
    const taken = rest.subarray(0, most);
    rest = rest.subarray(taken.length);
    return taken;
  }

  function watch(closed: () => void): void {
    const stray = () => {
      connection.close();
      closed();
    };
    if (rest.length > 0) return stray();
    connection.setIdle(true);
    onStray = stray;
    // The same read takes the next answer: there is never more than one.
    coming = connection.read();
    coming.then(() => onStray?.(), () => onStray?.());
  }

  function unwatch(): void {
    onStray = undefined;
    connection.setIdle(false);
  }

  return {
    write,
    ahead,
    textLine,
    some,
    watch,
    unwatch,
    close: () => connection.close(),
  };
}

/**
 * Bytes as the text that `Headers` takes. A decoder for "latin1" makes other characters of 0x80 to
 * 0x9F, as the encoding standard has it.
 */
function oneCharacterAByte(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

async function readResponse(
  line: Line,
  method: string,
  signal: AbortSignal,
  finish: (canBeKept: boolean) => void,
): Promise<Response> {
  let head = await readHead(line);
  // 100 and its kin announce the answer proper.
  while (head.status < 200 && head.status !== 101) head = await readHead(line);
  const { version, status, statusText, headers } = head;
  const isBodiless = method === "HEAD" || status < 200 || [204, 205, 304].includes(status);
  const framing = isBodiless ? 0 : framingOf(headers);
  const canBeKept = version === "1.1" && status >= 200 && framing !== "to the end" &&
    !/\bclose\b/i.test(headers.get("connection") ?? "");
  if (framing === 0) finish(canBeKept);
  const body = framing === 0
    ? null
    : toStream(bodyOf(line, framing), signal, (isWhole) => finish(isWhole && canBeKept));
  if (status >= 200 && status <= 599) return new Response(body, { status, statusText, headers });
  // The class refuses other numbers. A server does not.
  const response = new Response(body, { status: 599, statusText, headers });
  return Object.defineProperty(response, "status", { value: status });
}

async function readHead(line: Line) {
  // Who speaks something else may never send the end of a head.
  const start = await line.ahead("HTTP/".length);
  // An alert of TLS: it has taken the request for a greeting.
  if (start.startsWith("\x15")) throw new Error("the answer is TLS, not HTTP");
  if (!"HTTP/".startsWith(start)) throw new Error("the answer is not HTTP");
  const statusLine = await line.textLine();
  const [, version, code, statusText = ""] = /^HTTP\/(1\.\d) (\d{3})(?: (.*))?$/.exec(statusLine) ??
    [];
  if (code === undefined) throw new Error("the answer is not HTTP");
  const headers = new Headers();
  let length = statusLine.length;
  for (let text; (text = await line.textLine()) !== "";) {
    length += text.length;
    if (length > LONGEST_HEAD_BYTES) throw new Error("the answer's head has no end");
    const [, name = "", value = ""] = /^([\w!#$%&'*+.^`|~-]+):\s*(.*?)\s*$/.exec(text) ?? [];
    if (name !== "") headers.append(name, printable(value));
  }
  return { version, status: Number(code), statusText: printable(statusText), headers };
}

/** The classes refuse control characters, while a server may write any. */
function printable(text: string): string {
  return text.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, "?");
}

/** How a server marks a body's end: its length, by chunks, or by closing. */
function framingOf(headers: Headers): number | "chunked" | "to the end" {
  if (/\bchunked\s*$/i.test(headers.get("transfer-encoding") ?? "")) return "chunked";
  const length = headers.get("content-length");
  return length !== null && /^\d+$/.test(length) ? Number(length) : "to the end";
}

async function* bodyOf(
  line: Line,
  framing: ReturnType<typeof framingOf>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (framing === "to the end") {
    for (let bytes; (bytes = await line.some(Infinity)) !== undefined;) yield bytes;
  } else if (framing !== "chunked") {
    yield* exactly(line, framing);
  } else {
    for (;;) {
      const [, size] = /^\s*([\da-f]{1,12})\s*(?:;.*)?$/i.exec(await line.textLine()) ?? [];
      if (size === undefined) throw new Error("the answer's body is not HTTP");
      if (Number.parseInt(size, 16) === 0) break;
      yield* exactly(line, Number.parseInt(size, 16));
      await line.textLine();
    }
    // Further headers may stand here, up to an empty line.
    while (await line.textLine() !== "");
  }
}

async function* exactly(line: Line, length: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let missing = length; missing > 0;) {
    const bytes = await line.some(missing);
    if (bytes === undefined) throw new Error("closed within the answer");
    missing -= bytes.length;
    yield bytes;
  }
}

/** Bytes as a stream; to cancel it closes the connection, however much is still to come. */
function toStream(
  chunks: AsyncGenerator<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
  finish: (isWhole: boolean) => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        if (!done) return controller.enqueue(value);
        controller.close();
        finish(true);
      } catch (error) {
        finish(false);
        throw signal.aborted ? signal.reason : error;
      }
    },
    cancel: () => finish(false),
  }, { highWaterMark: 0 });
}
