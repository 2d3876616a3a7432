/** The wrapper as a whole process, with random arguments, environments and answers from its sidecar. */

import * as fc from "fast-check";
import { parseHook, parseWaitFor } from "../../hooks/registry.ts";
import { fieldNames } from "../../scripts/docs.ts";
import { type Message, MESSAGES } from "../../src/log/messages.ts";
import { PRESETS } from "../../hooks/registry.ts";
import { couldBeTarget } from "../../hooks/target_hint.ts";
import * as scuttle from "../../src/cli/scuttle.ts";
import { readInvocation } from "../../src/cli/settings.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { BINARY } from "../support/wrapper.ts";
import { type Answer, answers, closeAll, type RawSidecar, startSidecar } from "./sidecar.ts";
import { argumentList, environment, leaks, word } from "./values.ts";

/** How COMMAND ends, and the exit code for it. */
interface Ending {
  readonly script: string;
  readonly code: number;
}

const ending: fc.Arbitrary<Ending> = fc.oneof(
  fc.nat({ max: 255 }).map((code) => ({ script: `exit ${code}`, code })),
  fc.constantFrom(1, 2, 6, 9, 11, 15, 34, 64).map((signal) => ({
    script: `kill -${signal} $$`,
    code: 128 + signal,
  })),
);

/** COMMAND: it prints its words and a variable, using only shell built-ins. */
const PRINT = `printf '%s\\0' "$FUZZ" "$@"; `;

const SHUTDOWN_MS = 12_000;
/** Long enough for a busy machine to answer, if an answer is expected. */
const REQUEST_MS = 1500;
/** The time that a busy machine may need in addition to the limits. */
const SLACK_MS = 30_000;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

/** Random words never run a program: PATH leads nowhere, and the folder is empty. */
async function runBinary(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Ended> {
  const startMs = performance.now();
  const child = new Deno.Command(BINARY, {
    args: [...args],
    env: { ...env, PATH: "/nonexistent" },
    clearEnv: true,
    cwd: emptyFolder,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const limitMs = SHUTDOWN_MS + SLACK_MS;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, limitMs);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const decode = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  assert(!late, `did not end within ${limitMs} ms:\n${decode(stderr)}`);
  const durationMs = performance.now() - startMs;
  return { code, stdout: decode(stdout), stderr: decode(stderr), durationMs };
}

/** The working directory of all processes; {@linkcode fuzzProcesses} creates and removes it. */
let emptyFolder = "";

/** Checks everything that the wrapper wrote to its log. */
function checkLog(stderr: string): void {
  for (const line of stderr.split("\n").slice(0, -1)) {
    if (line.startsWith("{")) checkJson(JSON.parse(line));
    else assert(line.startsWith("wrapper: "), `not a log line: ${line}`);
  }
  assert(stderr === "" || stderr.endsWith("\n"));
  const trace = /^\s+at |Uncaught|panicked|RUST_BACKTRACE|\.[tj]s:\d+:\d/m.exec(stderr);
  assertEquals(trace?.[0], undefined, stderr);
  assertEquals(leaks(stderr), [], stderr);
}

/** Checks that a line in JSON has the keys and types in docs/messages.md, and no others. */
function checkJson(line: Readonly<Record<string, unknown>>): void {
  const { time, level, event, msg, ...fields } = line;
  const message = Object.entries<Message>(MESSAGES).find(([name]) => name === event)?.[1];
  assert(message !== undefined, `${event}`);
  assertEquals([level, typeof msg], [message.level, "string"]);
  assert(typeof time === "string" && new Date(time).toISOString() === time, `${time}`);
  assertEquals(Object.keys(fields).toSorted(), fieldNames(message.text).toSorted(), `${event}`);
  for (const [name, value] of Object.entries(fields)) {
    if (/^(code|pid|.*Ms)$/.test(name)) assert(Number.isInteger(value), `${name}: ${value}`);
    else assertEquals(typeof value, "string", name);
  }
}

const quitUrl = ({ port }: RawSidecar) => `http://me:hunter2@127.0.0.1:${port}/quit?token=sesame`;
const quitPosts = ({ requests }: RawSidecar, path: string) =>
  requests.filter((line) => line === `POST ${path}`).length;

/** A job with valid settings and a sidecar that may misbehave. */
interface Job {
  readonly ending: Ending;
  readonly words: readonly string[];
  readonly variable: string;
  readonly preset: boolean;
  readonly wait: boolean;
  readonly debug: boolean;
  readonly json: boolean;
  readonly probes: readonly Answer[];
  readonly stops: readonly Answer[];
}

/** The answers to stop requests end with the first one that is not retried. */
const job: fc.Arbitrary<Job> = fc.record({
  ending,
  words: fc.array(word, { maxLength: 4 }),
  variable: word,
  preset: fc.boolean(),
  wait: fc.nat({ max: 9 }).map((n) => n === 0),
  debug: fc.boolean(),
  json: fc.boolean(),
  probes: fc.array(fc.oneof(answers("retry"), answers("final"), answers("done")), {
    maxLength: 2,
  }),
  stops: fc.tuple(
    fc.oneof(
      { weight: 5, arbitrary: fc.constant([]) },
      { weight: 3, arbitrary: fc.array(answers("retry"), { minLength: 1, maxLength: 2 }) },
    ),
    fc.oneof(
      { weight: 3, arbitrary: answers("done") },
      { weight: 1, arbitrary: answers("final") },
    ),
  ).map(([retries, last]) => [...retries, last]),
});

async function checkJob(
  { ending, words, variable, preset, wait, debug, json, probes, stops }: Job,
): Promise<void> {
  const sidecar = startSidecar({ probes, stops });
  try {
    const hook = preset ? `envoy=http://127.0.0.1:${sidecar.port}` : quitUrl(sidecar);
    const { code, stdout, stderr, durationMs } = await runBinary([
      `--hook=${hook}`,
      `--request-timeout=${REQUEST_MS}ms`,
      `--shutdown-timeout=${SHUTDOWN_MS}ms`,
      ...(wait ? ["--wait=300ms", "--on-wait-timeout=start"] : []),
      ...(debug ? ["--log-level=debug"] : []),
      ...(json ? ["--log-format=json"] : []),
      "--",
      "/bin/sh",
      "-c",
      PRINT + ending.script,
      "sh",
      ...words,
    ], { FUZZ: variable });
    assertEquals(code, ending.code, stderr);
    assertEquals(stdout, [variable, ...words].map((text) => `${text}\0`).join(""));
    checkLog(stderr);
    const path = preset ? "/quitquitquit" : "/quit?token=sesame";
    assert(quitPosts(sidecar, path) >= stops.length, `${sidecar.requests.join("\n")}\n${stderr}`);
    const told = /told to quit/.test(stderr);
    const failed = /NOT stopped/.test(stderr);
    assertEquals(
      [told, failed],
      [stops.at(-1)?.kind === "done", stops.at(-1)?.kind === "final"],
      stderr,
    );
    assert(durationMs < SHUTDOWN_MS + SLACK_MS);
  } finally {
    closeAll(sidecar);
  }
}

/** A secret in a variable, as people put it there, with what a file or a copy adds to it. */
const token: fc.Arbitrary<string> = fc.tuple(
  fc.oneof(word, fc.constantFrom("\n", "\r\n", " ", "\t", "x\n", "ü", "€", "\x7f")),
  fc.constant("opensaysme"),
  fc.oneof(word, fc.constantFrom("\n", "\r\n", " ", "\ny", "\x01", "\u{1f511}")),
).map((parts) => parts.join(""));

/** Whatever a variable with a secret contains: it is sent, or refused; it is never printed. */
async function checkToken(secret: string, { ending, wait, json }: Job): Promise<void> {
  const sidecar = startSidecar({ probes: [], stops: [] });
  try {
    const { code, stdout, stderr } = await runBinary([
      `--hook=dapr=http://127.0.0.1:${sidecar.port}`,
      "--log-level=debug",
      "--termination-log=/dev/stdout",
      ...(wait ? ["--wait=300ms", "--on-wait-timeout=start"] : []),
      ...(json ? ["--log-format=json"] : []),
      "/bin/sh",
      "-c",
      ending.script,
    ], { DAPR_API_TOKEN: secret });
    checkLog(stderr);
    assertEquals(leaks(stdout), [], stdout);
    const canBeSent = /^[\t\x20-\x7e\x80-\xff]+$/.test(secret.trim());
    assertEquals(code, canBeSent ? ending.code : 125, stderr);
    assertEquals(quitPosts(sidecar, "/v1.0/shutdown"), 1, stderr);
    assertEquals(stderr.includes("DAPR_API_TOKEN cannot be sent"), !canBeSent, stderr);
  } finally {
    closeAll(sidecar);
  }
}

/** A command line that is probably wrong, with a sidecar that behaves correctly. */
interface Typo {
  readonly before: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly ending: Ending;
}

const LONGEST_MS = 2000;

/** Whether it is safe to run: hooks lead nowhere, files stay in this folder, nothing takes long. */
function isHarmless({ before, env }: Typo): boolean {
  const { settings, action } = readInvocation([...before, "--", "c"], (name) => env[name], {
    variables: Object.keys(env),
    scuttle,
  });
  const { waitMs, startupWindowMs, confirmMs, containers, timeoutMs, terminationLog } = settings;
  const staysInFolder = /^(?!\/)(?!.*\.\.)/s.test(terminationLog) && action !== "install";
  return staysInFolder && waitMs <= LONGEST_MS && startupWindowMs <= LONGEST_MS &&
    // The sidecar listens on, and other containers never come.
    confirmMs <= LONGEST_MS && containers === 1 &&
    (timeoutMs === 0 || timeoutMs > 60_000) &&
    settings.hook.every((target) => isRefused(target)) &&
    settings.waitTargets.every((target) => isRefused(target, parseWaitFor));
}

/** Whether a TARGET sends no request: it is refused, or means nothing. */
function isRefused(target: string, parse: (target: string) => unknown = parseHook): boolean {
  try {
    return parse(target) === undefined;
  } catch {
    return true;
  }
}

const typo: fc.Arbitrary<Typo> = fc.record({
  before: argumentList.map((words) => words.filter((text) => text !== "--")),
  env: environment,
  ending,
}).filter(isHarmless);

async function checkTypo({ before, env, ending }: Typo): Promise<void> {
  const sidecar = startSidecar({ probes: [], stops: [] });
  try {
    const command = ["/bin/sh", "-c", PRINT + ending.script, "sh"];
    const args = [`--hook=${quitUrl(sidecar)}`, ...before, "--", ...command];
    const read = readInvocation(args, (name) => env[name], {
      variables: Object.keys(env),
      scuttle,
      couldBeTarget: (text) => couldBeTarget(text, PRESETS),
    });
    const { code, stdout, stderr } = await runBinary(args, { ...env, FUZZ: "x" });
    checkLog(stderr);
    const wrong = read.problems.length > 0 ||
      read.settings.hook.some((target) => target !== "none" && isRefused(target)) ||
      read.settings.waitTargets.some((target) => target !== "none");
    // Only when COMMAND is about to start is it seen that there is no such file.
    const hasNoVariables = read.settings.envFile.length > 0;
    const posts = quitPosts(sidecar, "/quit?token=sesame");
    const isHelp = read.action === "help" || read.action === "version";
    if (read.actionIsLost) {
      // What was meant starts nothing, and no hook runs.
      assertEquals([code, posts, stdout], [125, 0, ""], stderr);
    } else if (read.action === "wrap") {
      // There is no such file, or nothing in it.
      assert([0, 1, 125].includes(code), `${code}: ${stderr}`);
      assertEquals(posts, 0, stderr);
    } else if (isHelp && !read.hasSeveralActions) {
      assertEquals([code, posts, stdout !== ""], [0, 0, true], stderr);
    } else if (read.action !== undefined) {
      assertEquals([code, posts], [wrong ? 125 : 0, 0], stderr);
    } else if (wrong || hasNoVariables) {
      assertEquals([code, posts, stdout], [125, 1, ""], stderr);
    } else {
      const own = read.command.join("\0") === command.join("\0");
      if (own) assertEquals([code, stdout], [ending.code, "x\0"], stderr);
      else assert([126, 127].includes(code), `${code}: ${stderr}`);
      const { on } = read.settings;
      const wanted = on === "always" || (on === "success") === (code === 0);
      assertEquals(posts, wanted ? 1 : 0, stderr);
    }
  } finally {
    closeAll(sidecar);
  }
}

/** `--check` with a sidecar that may misbehave: it reports what it found, and stops nothing. */
async function checkCheck({ preset, json, probes }: Job): Promise<void> {
  const sidecar = startSidecar({ probes, stops: [] });
  try {
    const hook = preset ? `envoy=http://127.0.0.1:${sidecar.port}` : quitUrl(sidecar);
    const { code, stdout, stderr } = await runBinary([
      "--check",
      `--hook=${hook}`,
      `--request-timeout=${REQUEST_MS}ms`,
      ...(json ? ["--log-format=json"] : []),
    ], {});
    assert(code === 0 || code === 1, stderr);
    assertEquals(stderr, "");
    assertEquals(leaks(stdout), [], stdout);
    assert(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(stdout.replaceAll("\n", "")), stdout);
    const rows = stdout.split("\n").slice(json ? 0 : 1, -1);
    assertEquals(rows.length, 1, stdout);
    if (json) assertEquals(JSON.parse(rows[0] ?? "").state === "ready", code === 0);
    assertEquals(sidecar.requests.filter((line) => !line.startsWith("GET ")), []);
  } finally {
    closeAll(sidecar);
  }
}

/** Runs that many whole processes, several at once; throws at the first violation. */
export async function fuzzProcesses(
  seed: number,
  processes: number,
): Promise<number> {
  const lanes = 6;
  const numRuns = Math.ceil(processes / lanes);
  const lane = (index: number) => {
    const parameters = { seed: seed + index, numRuns, endOnFailure: true };
    if (index === 0) return fc.assert(fc.asyncProperty(job, checkCheck), parameters);
    if (index === 1) return fc.assert(fc.asyncProperty(token, job, checkToken), parameters);
    return index % 3 === 2
      ? fc.assert(fc.asyncProperty(typo, checkTypo), parameters)
      : fc.assert(fc.asyncProperty(job, checkJob), parameters);
  };
  emptyFolder = Deno.makeTempDirSync({ prefix: "wrapper-fuzz-" });
  try {
    await Promise.all(Array.from({ length: lanes }, (_, index) => lane(index)));
  } finally {
    Deno.removeSync(emptyFolder, { recursive: true });
  }
  return numRuns * lanes;
}
