/** Asks a real program and its double the same requests: those that hooks make, and those that are recorded. */

import { assertEquals } from "./assert.ts";
import { type Page, type Recording, startDouble } from "./doubles.ts";
import type { Program } from "./programs.ts";
import { runWrapper } from "./wrapper.ts";

/**
 * Compares a program with its double in a phase of its life. If its stop request ends it in that phase, its
 * exit code has to be 0.
 *
 * @param start starts the program, and waits until it is in that phase
 */
export async function compareWithDouble(
  recording: Recording,
  phase: string,
  start: () => Promise<Program>,
): Promise<void> {
  const requests = await requestsIn(recording, phase);
  const isEnd = endsAt(recording, phase);
  const answers = async () => {
    const all = [];
    for (const request of requests) all.push(await ask(request));
    return all;
  };
  const fromProgram = await (async () => {
    await using real = await start();
    for (const port of portsOf(recording, phase)) await untilOpen(port);
    const all = await answers();
    if (isEnd) assertEquals(await real.endsByItself(), 0, await real.output());
    return all;
  })();
  await using double = startDouble(recording, phase);
  assertEquals(await answers(), fromProgram);
  assertEquals(double.phase, isEnd ? "ended" : phase);
}

const portsOf = (recording: Recording, phase: string): readonly string[] =>
  Object.keys(recording.phases[phase]?.ports ?? {});

function pageOf({ phases }: Recording, phase: string, request: string): string | Page | undefined {
  const [, method, port = "", path] = REQUEST.exec(request) ?? [];
  return phases[phase]?.ports[port]?.[`${method} ${path}`];
}

/** Whether the stop request ends the program in this phase. */
function endsAt(recording: Recording, phase: string): boolean {
  const page = pageOf(recording, phase, recording.stop);
  return typeof page === "object" && page.then === "ended";
}

/** `GET :9901/ready` */
const REQUEST = /^(\S+) :(\d+)(.*)$/;

/** The harmless requests in this phase, and the stop request as the last. */
async function requestsIn(recording: Recording, phase: string): Promise<readonly string[]> {
  const all = new Set<string>();
  for (const [port, pages] of Object.entries(recording.phases[phase]?.ports ?? {})) {
    for (const [request, page] of Object.entries(pages)) {
      if (request !== "*" && typeof page === "string") all.add(request.replace(" ", ` :${port}`));
    }
    if (typeof pages["*"] === "string") all.add(`GET :${port}/no/such/page`);
  }
  for (const request of await requestsOfHooks(recording, phase)) all.add(request);
  const harmless = [...all].filter((request) => !request.startsWith("POST "));
  const isTold = pageOf(recording, phase, recording.stop) !== undefined;
  return isTold ? [...harmless, recording.stop] : harmless;
}

/** The requests that hooks make in this phase. */
async function requestsOfHooks(recording: Recording, phase: string): Promise<readonly string[]> {
  const once = ["--startup-window=0", "--retries=0", "--shutdown-timeout=1s"];
  const all = [];
  for (const hook of [recording.name, "auto"]) {
    for (
      const args of [
        ["--check", `--hook=${hook}`],
        [`--hook=${hook}`, ...once, "--wait=100ms", "--on-wait-timeout=start", "true"],
      ]
    ) {
      await using double = startDouble(recording, phase);
      await runWrapper("binary", { args });
      all.push(...double.requests);
    }
  }
  return all;
}

async function untilOpen(port: string): Promise<void> {
  for (;;) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port: Number(port) })).close();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** What depends on the run: times, versions of the machine, the connection. */
const VARIABLE = new Set(["date", "connection"]);

/** The answer of whoever listens there: its status, its headers, and its body or that body's form. */
export async function ask(request: string): Promise<unknown> {
  const [, method = "", port = "", path = ""] = REQUEST.exec(request) ?? [];
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  const head = `${method} ${path} HTTP/1.1\r\nhost: localhost:${port}\r\nconnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(head));
  const text = await untilClosed(connection, method);
  const [start = "", ...lines] = text.slice(0, text.indexOf("\r\n\r\n")).split("\r\n");
  const headers = lines.map((line) => line.replace(/^[^:]*/, (name) => name.toLowerCase()))
    .filter((line) => !VARIABLE.has(line.split(":")[0] ?? "")).toSorted();
  const body = text.slice(text.indexOf("\r\n\r\n") + 4);
  return { request, start: start.trim(), headers: headers.map(withoutRun), body: formOf(body) };
}

async function untilClosed(connection: Deno.TcpConn, method: string): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  for (;;) {
    const length = await connection.read(buffer).catch(() => null);
    if (length === null) return text;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
    if (isWhole(text, method)) return text;
  }
}

/** Whether this is a whole answer; the double keeps its connections open. */
function isWhole(text: string, method: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  if (method === "HEAD") return true;
  if (/^transfer-encoding: chunked/im.test(text)) return text.endsWith("\r\n0\r\n\r\n");
  const length = Number(/^content-length: (\d+)/im.exec(text.slice(0, end + 2))?.[1] ?? 0);
  return text.length >= end + 4 + length;
}

/** A header without what depends on the run. The length of a body does where its values do. */
function withoutRun(header: string): string {
  return header.replace(/^(content-length): \d{2,}$/, "$1: …")
    .replace(/^(x-envoy-upstream-service-time): \d+$/, "$1: …")
    .replace(/^(traceparent): 00-[\da-f]{32}-[\da-f]{16}-\d\d$/, "$1: …");
}

/** A body, or the keys and the kinds of values if it is JSON. Envoy's is long; a few keys are recorded. */
function formOf(body: string): unknown {
  const plain = body.replaceAll(/(^|\r\n)[\da-f]+\r\n/g, "").replace(/\r\n$/, "").trim();
  if (!plain.startsWith("{")) return plain.split("\n")[0];
  const kinds = Object.entries(JSON.parse(plain)).map(([key, value]) => `${key}: ${typeof value}`);
  return kinds.toSorted();
}
