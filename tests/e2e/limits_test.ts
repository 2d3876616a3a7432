/** The rows of docs/security.md about surroundings in which the runtime itself cannot start. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { C_COMPILER, compileFixture } from "../support/fixtures.ts";
import { both, findProgram, LIMITS, type Need, testWith } from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";
import { BINARY, type Ended, runWrapper, startProgram } from "../support/wrapper.ts";

const SECURITY = Deno.readTextFileSync(new URL("../../docs/security.md", import.meta.url));

/** The exit codes that the page has for a row. */
function documented(surroundings: string): readonly number[] {
  const row = SECURITY.split("\n").find((line) =>
    line.startsWith("|") && line.includes(surroundings)
  );
  assert(row !== undefined, `no row about ${surroundings}`);
  const codes = row.split("|")[2]?.match(/\d{2,3}/g) ?? [];
  return codes.map(Number);
}

/** Runs a job with a sidecar where something is limited. */
async function runLimited(
  words: readonly string[],
  binary = BINARY,
): Promise<Ended & { posts: number }> {
  await using sidecar = startSidecar();
  const job = [binary, `--hook=${sidecar.origin}/quit`, "true"];
  const ended = await startProgram([...words, ...job]).ended;
  return { ...ended, posts: sidecar.posts().length };
}

const limit = (
  option: string,
  value: number,
) => ["bash", "-c", `ulimit ${option} ${value}; exec "$0" "$@"`];

/** Runs the same with each value: the runtime cannot start, the wrapper cannot start COMMAND, all is well. */
async function climb(
  row: string,
  values: readonly number[],
  words: (value: number) => readonly string[],
  binary?: string,
) {
  const codes = documented(row);
  const seen: number[] = [];
  for (const value of values) {
    const { code, posts, stderr } = await runLimited(words(value), binary);
    assert(code === 0 || codes.includes(code), `${value}: ${code}, not of ${codes}: ${stderr}`);
    // The wrapper's own failure does not leave the pod hanging; that of the runtime does.
    assertEquals(posts, code === 0 || code === 125 ? 1 : 0, `${value}: ${code}`);
    seen.push(code);
  }
  assertEquals(seen.at(-1), 0, seen.join());
  assert(seen[0] !== 0 && seen[0] !== 125, seen.join());
}

// In between it depends on how many files the wrapper's parent leaves open.
testWith(
  LIMITS,
  "few open files: the runtime cannot start, and with more all is well",
  () => climb("ulimit -n", [4, 8, 32], (value) => limit("-n", value)),
);

testWith(
  LIMITS,
  "little address space: the runtime cannot start",
  () => climb("ulimit -v", [8_000_000, 80_000_000], (value) => limit("-v", value)),
);

const OTHER_USER: Need<string> = {
  what: "root, to become a user whose processes are counted (setpriv of util-linux)",
  find: () => Deno.uid() === 0 ? findProgram("setpriv") : undefined,
  onlyOnLinux: true,
};

testWith(
  OTHER_USER,
  "few processes: the runtime cannot start, or COMMAND cannot, and then all is well",
  async (setpriv) => {
    const folder = await Deno.makeTempDir();
    await Deno.chmod(folder, 0o755);
    await Deno.copyFile(BINARY, `${folder}/wrapper`);
    // Nobody else has processes under this id.
    const id = 100_000 + Deno.pid;
    const as = [setpriv, `--reuid=${id}`, `--regid=${id}`, "--clear-groups"];
    const words = (value: number) => [...as, ...limit("-u", value)];
    await climb("ulimit -u", [1, 2, 3, 32], words, `${folder}/wrapper`);
    await Deno.remove(folder, { recursive: true });
  },
);

testWith(
  both(C_COMPILER, LIMITS),
  "a seccomp profile without clone3: the runtime cannot start",
  async () => {
    const { code, posts } = await runLimited([compileFixture("no_clone3")]);
    assertEquals([code, posts], [...documented("clone3"), 0]);
  },
);

Deno.test("DENO_LOG makes the runtime write lines of its own, and env gives it to COMMAND alone", async () => {
  const args = ["--hook=none", "--log-format=json", "sh", "-c", "echo $DENO_LOG"];
  const loud = await runWrapper("binary", { args, env: { DENO_LOG: "debug" } });
  assertMatch(loud.stderr, /^DEBUG RS - /);
  assertStringIncludes(SECURITY, "DENO_LOG");
  const quiet = await runWrapper("binary", {
    args: [...args.slice(0, 2), "env", "DENO_LOG=debug", ...args.slice(2)],
  });
  assertEquals(quiet.stdout, "debug\n");
  for (const line of quiet.stderr.trimEnd().split("\n")) JSON.parse(line);
});
