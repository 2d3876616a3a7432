/** The doubles give the real programs' answers: each recorded request, sent to both. */

import { PRESETS, waitUntilReady } from "../../mod.ts";
import { assertEquals } from "../support/assert.ts";
import { type Recording, startDouble } from "../support/doubles.ts";
import {
  ALLOYDB_AUTH_PROXY_PROGRAM,
  CLOUD_SQL_PROXY_PROGRAM,
  ENVOY,
  type Need,
  OPENBAO_PROGRAM,
  testWith,
} from "../support/needs.ts";
import { adminAt, agentConfig, envoyArgs, startProgram } from "../support/programs.ts";
import { CLOUD_SQL_PROXY_LIFE, ENVOY_LIFE, VAULT_AGENT_LIFE } from "../support/recordings.ts";

const PROXY = ["--token=none", "--quitquitquit", "--address=127.0.0.1"];
const CLOUD_SQL = [...PROXY, "--port=5432", "project:region:instance"];
const ALLOYDB = [...PROXY, "--port=5433", "projects/p/locations/l/clusters/c/instances/i"];

/** OpenBao's agent takes its configuration from a file. */
function agentArgs(): readonly string[] {
  const file = Deno.makeTempFileSync({ suffix: ".hcl" });
  Deno.writeTextFileSync(file, agentConfig("agent_api { enable_quit = true }"));
  return ["agent", "-config", file];
}

const PROGRAMS: readonly (readonly [
  need: Need<string>,
  name: string,
  recording: Recording,
  phase: string,
  args: () => readonly string[],
])[] = [
  [ENVOY, "Envoy", ENVOY_LIFE, "ready", () => envoyArgs({ admin: adminAt(9901) })],
  [
    CLOUD_SQL_PROXY_PROGRAM,
    "the Cloud SQL proxy",
    CLOUD_SQL_PROXY_LIFE,
    "ready",
    () => ["--health-check", ...CLOUD_SQL],
  ],
  [
    CLOUD_SQL_PROXY_PROGRAM,
    "the Cloud SQL proxy",
    CLOUD_SQL_PROXY_LIFE,
    "without --health-check",
    () => CLOUD_SQL,
  ],
  [
    ALLOYDB_AUTH_PROXY_PROGRAM,
    "the AlloyDB proxy",
    CLOUD_SQL_PROXY_LIFE,
    "without --health-check",
    () => ALLOYDB,
  ],
  [OPENBAO_PROGRAM, "OpenBao's agent", VAULT_AGENT_LIFE, "ready", agentArgs],
];

for (const [need, name, recording, phase, args] of PROGRAMS) {
  testWith(
    need,
    `${name}, ${phase}: the double answers as the real program does`,
    async (program) => {
      const requests = requestsOf(recording, phase);
      const answersOf = async () => {
        const answers = [];
        for (const request of requests) answers.push(await ask(request));
        return answers;
      };
      const fromProgram = await (async () => {
        await using real = startProgram(program, args());
        await untilOpen(recording, phase);
        const preset = PRESETS.find(({ hookName }) => hookName === recording.name);
        if (phase === "ready" && preset !== undefined) await waitUntilReady([preset()]);
        const answers = await answersOf();
        assertEquals(await real.endsByItself(), 0, await real.output());
        return answers;
      })();
      await using double = startDouble(recording, phase);
      assertEquals(await answersOf(), fromProgram);
      assertEquals(double.phase, "ended");
    },
  );
}

/** The recorded requests, as `GET :9901/ready`; what ends the sidecar is the last. */
function requestsOf(recording: Recording, phase: string): readonly string[] {
  const ports = Object.entries(recording.phases[phase]?.ports ?? {});
  const harmless = ports.flatMap(([port, pages]) =>
    Object.entries(pages)
      .filter(([request, page]) => request !== "*" && typeof page === "string")
      .map(([request]) => request.replace(" ", ` :${port}`))
  );
  return [...harmless, recording.stop];
}

async function untilOpen(recording: Recording, phase: string): Promise<void> {
  for (const port of Object.keys(recording.phases[phase]?.ports ?? {})) {
    for (;;) {
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port: Number(port) })).close();
        break;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }
}

/** What depends on the run: times, versions of the machine, the connection. */
const VARIABLE = new Set(["date", "connection"]);

/** The answer of whoever listens there: its status, its headers, and its body or that body's form. */
async function ask(request: string): Promise<unknown> {
  const [, method = "", port = "", path = ""] = /^(\S+) :(\d+)(.*)$/.exec(request) ?? [];
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  const head = `${method} ${path} HTTP/1.1\r\nhost: localhost:${port}\r\nconnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(head));
  const text = await untilClosed(connection);
  const [start = "", ...lines] = text.slice(0, text.indexOf("\r\n\r\n")).split("\r\n");
  const headers = lines.map((line) => line.replace(/^[^:]*/, (name) => name.toLowerCase()))
    .filter((line) => !VARIABLE.has(line.split(":")[0] ?? "")).toSorted();
  const body = text.slice(text.indexOf("\r\n\r\n") + 4);
  return { request, start: start.trim(), headers: headers.filter(isFixed), body: formOf(body) };
}

async function untilClosed(connection: Deno.TcpConn): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of connection.readable) {
    text += decoder.decode(chunk, { stream: true });
    if (isWhole(text)) break;
  }
  return text;
}

/** Whether this is a whole answer; the double keeps its connections open. */
function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  if (/^transfer-encoding: chunked/im.test(text)) return text.endsWith("\r\n0\r\n\r\n");
  const length = Number(/^content-length: (\d+)/im.exec(text.slice(0, end + 2))?.[1] ?? 0);
  return text.length >= end + 4 + length;
}

/** The length of a body depends on the run where its values do. */
const isFixed = (header: string) => !/^content-length: \d{2,}$/.test(header);

/** A body, or the keys and the kinds of values if it is JSON. Envoy's is long; a few keys are recorded. */
function formOf(body: string): unknown {
  const plain = body.replaceAll(/(^|\r\n)[\da-f]+\r\n/g, "").replace(/\r\n$/, "").trim();
  if (!plain.startsWith("{")) return plain.split("\n")[0];
  const kinds = Object.entries(JSON.parse(plain)).map(([key, value]) => `${key}: ${typeof value}`);
  return kinds.toSorted();
}
