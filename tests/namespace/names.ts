/** Sidecars with a host name, and a name server that misbehaves. */

import dgram from "node:dgram";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { startSidecar } from "../support/sidecar.ts";
import { type Ended, startProgram, wrapperWords } from "../support/wrapper.ts";

/** A name's entry: its addresses and how late a query is answered, or that there is no such name. */
type Entry = { readonly addresses: readonly string[]; readonly delayMs?: number } | "no such name";

/** Starts a name server on port 53 with these names; it never answers a query about another name. */
async function startNameServer(names: Readonly<Record<string, Entry>>) {
  const socket = dgram.createSocket("udp4");
  const timers = new Set<ReturnType<typeof setTimeout>>();
  const queries: string[] = [];
  socket.on("message", (query, from) => {
    const name = nameOf(query);
    queries.push(name);
    const entry = names[name];
    if (entry === undefined) return;
    const delayMs = entry === "no such name" ? 0 : entry.delayMs ?? 0;
    const timer = setTimeout(() => {
      timers.delete(timer);
      socket.send(reply(query, entry), from.port, from.address);
    }, delayMs);
    timers.add(timer);
  });
  await new Promise<void>((resolve) => socket.bind(53, "127.0.0.1", resolve));
  return {
    queries,
    async [Symbol.asyncDispose]() {
      for (const timer of timers) clearTimeout(timer);
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    },
  };
}

const HEADER_BYTES = 12;

/** The name that a query asks for. */
function nameOf(query: Uint8Array): string {
  const labels: string[] = [];
  for (let at = HEADER_BYTES; (query[at] ?? 0) > 0;) {
    const end = at + 1 + (query[at] ?? 0);
    labels.push(new TextDecoder().decode(query.subarray(at + 1, end)));
    at = end;
  }
  return labels.join(".");
}

/** The answer to a query (RFC 1035): the addresses for a query of type A, nothing for others. */
function reply(query: Uint8Array, entry: Entry): Uint8Array {
  const questionBytes = nameOf(query).length + 2 + 4;
  const question = query.subarray(HEADER_BYTES, HEADER_BYTES + questionBytes);
  const isTypeA = question.at(-3) === 1;
  const addresses = entry === "no such name" || !isTypeA ? [] : entry.addresses;
  const status = entry === "no such name" ? 3 : 0;
  const head = [query[0] ?? 0, query[1] ?? 0, 0x81, 0x80 | status, 0, 1, 0, addresses.length];
  // Each record: the question's name, type A, class IN, a TTL of a minute, four bytes.
  const records = addresses.flatMap((address) => [
    ...[0xc0, HEADER_BYTES, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4],
    ...address.split(".").map(Number),
  ]);
  return Uint8Array.from([...head, 0, 0, 0, 0, ...question, ...records]);
}

/** Runs the wrapper with only that name server, and a resolver that waits long for an answer. */
async function run(...args: readonly string[]): Promise<Ended> {
  const folder = Deno.makeTempDirSync();
  const file = `${folder}/resolv.conf`;
  Deno.writeTextFileSync(file, "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n");
  const script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
  const words = ["unshare", "--mount", "sh", "-c", script, file, ...wrapperWords("binary")];
  await using job = startProgram([...words, ...args, "sh", "-c", "exit 3"]);
  try {
    return await job.ended;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("the wrapper waits for a name that is slow to resolve, within one attempt's time", async () => {
  await using server = await startNameServer({
    "slow.test": { addresses: ["127.0.0.1"], delayMs: 1000 },
  });
  await using sidecar = startSidecar();
  const { code, stderr } = await run(
    "--request-timeout=20s",
    "--shutdown-timeout=40s",
    `--hook=http://slow.test:${sidecar.port}/quit`,
  );
  assertEquals(code, 3, stderr);
  assertMatch(stderr, /slow\.test:\d+: told to quit \(200 OK\)/);
  assertEquals(sidecar.posts().map(({ path }) => path), ["/quit"]);
  assert(server.queries.includes("slow.test"));
});

Deno.test("a name whose server never answers costs one deadline", async () => {
  await using server = await startNameServer({});
  await using sidecar = startSidecar();
  const shutdownTimeoutMs = 1500;
  const { code, stderr, durationMs } = await run(
    "--request-timeout=300ms",
    `--shutdown-timeout=${shutdownTimeoutMs}ms`,
    `--hook=http://silent.test:${sidecar.port}/quit`,
  );
  assertEquals(code, 3, stderr);
  assertMatch(stderr, /silent\.test:\d+: NOT stopped.*: no answer within 300ms \(\d+ attempts in /);
  assertEquals(sidecar.requests, []);
  assert(server.queries.includes("silent.test"));
  // The resolver itself would wait for 30 s.
  assert(durationMs < 10 * shutdownTimeoutMs, `took ${durationMs} ms`);
});

Deno.test("a name that does not exist is looked up again, because it may appear later", async () => {
  await using _server = await startNameServer({ "nowhere.test": "no such name" });
  const args = ["--retries=2", "--hook=http://nowhere.test:7777/quit"];
  const { code, stderr } = await run(...args);
  assertEquals(code, 3, stderr);
  assertMatch(stderr, /nowhere\.test:7777: NOT stopped.*: cannot be reached: .+ \(3 attempts in /);
});

Deno.test("a name with two addresses, where nothing listens at one of them", async () => {
  await using _server = await startNameServer({
    "two.test": { addresses: ["127.0.0.2", "127.0.0.3"] },
  });
  for (const hostname of ["127.0.0.2", "127.0.0.3"]) {
    await using sidecar = startSidecar([200], { hostname });
    const { code, stderr } = await run(`--hook=http://two.test:${sidecar.port}/quit`);
    assertEquals(code, 3, stderr);
    assertMatch(stderr, /two\.test:\d+: told to quit \(200 OK\)/);
    assertEquals(sidecar.posts().length, 1);
  }
});
