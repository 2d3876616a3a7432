/**
 * Runs a real job and shows it as a timeline: a sidecar in a separate process, a job under the real
 * command line, the stop request, and the sidecar's end.
 *
 *     deno task demo
 *
 * @module
 */

// deno-lint-ignore-file no-console

import type { SidecarEvent } from "./demo_sidecar.ts";

const ROOT = new URL("../", import.meta.url).pathname;
/** An exit code that nothing else here uses, so that it can only be the job's own. */
const JOB_CODE = 3;
const LIMIT_MS = 60_000;

const inColor = Deno.stdout.isTerminal() && !Deno.env.get("NO_COLOR");
const paint = (color: number, text: string) => inColor ? `\x1b[${color}m${text}\x1b[0m` : text;
const LANES = { sidecar: 35, job: 36, wrapper: 33 } as const;

const startMs = performance.now();
const happened: string[] = [];

/** Writes one line of the timeline. */
function show(lane: keyof typeof LANES, text: string): void {
  const seconds = ((performance.now() - startMs) / 1000).toFixed(2).padStart(6);
  console.log(`${paint(90, `${seconds}s`)}  ${paint(LANES[lane], lane.padEnd(8))} ${text}`);
  happened.push(`${lane}: ${text}`);
}

async function* lines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}

function deno(args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

const sidecar = deno(["--allow-net", `${ROOT}scripts/demo_sidecar.ts`]);
const children = [sidecar];
const limit = setTimeout(() => {
  console.error(`the demo did not end within ${LIMIT_MS / 1000} seconds`);
  for (const child of children) {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has already ended.
    }
  }
  Deno.exit(1);
}, LIMIT_MS);

const port = Promise.withResolvers<number>();
const watching = (async () => {
  for await (const line of lines(sidecar.stdout)) {
    const event: SidecarEvent = JSON.parse(line);
    if (event.event === "port") port.resolve(event.port);
    if (event.event === "up") show("sidecar", "up");
    if (event.event === "request" && event.method === "POST") {
      show("sidecar", `answers POST ${event.path} with 200`);
    }
    if (event.event === "gone") show("sidecar", "gone");
  }
})();

const job = "echo 'job started'; sleep 1.5; exit " + JOB_CODE;
const wrapper = deno([
  "--allow-all",
  `${ROOT}cli.ts`,
  `--hook=istio=http://127.0.0.1:${await port.promise}`,
  "--startup-window=30s",
  "sh",
  "-c",
  job,
]);
children.push(wrapper);
const following = Promise.all([
  (async () => {
    for await (const line of lines(wrapper.stdout)) show("job", line.replace(/^job /, ""));
  })(),
  (async () => {
    for await (const line of lines(wrapper.stderr)) show("wrapper", line.replace(/^wrapper: /, ""));
  })(),
]);

const { code } = await wrapper.status;
await following;
show("wrapper", `exits with code ${code}, the job's own`);
const sidecarStatus = await sidecar.status;
await watching;
clearTimeout(limit);

const expected = [
  "sidecar: up",
  "job: started",
  `wrapper: command ended with exit code ${JOB_CODE}`,
  "sidecar: answers POST /quitquitquit with 200",
  "wrapper: istio: told to quit (200 OK)",
  "sidecar: gone",
  `wrapper: exits with code ${JOB_CODE}`,
];
const missing = expected.filter((text) => !happened.some((line) => line.startsWith(text)));
if (missing.length > 0 || sidecarStatus.code !== 0) {
  for (const text of missing) console.error(paint(31, `did not happen: ${text}`));
  if (sidecarStatus.code !== 0) console.error(await new Response(sidecar.stderr).text());
  Deno.exit(1);
}
console.log(paint(32, "The pod is complete: both containers have stopped."));
