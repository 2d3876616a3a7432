/** The recipes for a shell as COMMAND, with dash and with bash. */

import { assertEquals } from "../support/assert.ts";
import { findProgram, type Need, testWith } from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";
import { startWrapper } from "../support/wrapper.ts";

/** The shells of the recipes. */
const SHELLS: Need<readonly string[]> = {
  what: "dash and bash (apt-get install dash bash)",
  find: () => {
    const found = ["dash", "bash"].flatMap((name) => findProgram(name) ?? []);
    return found.length === 2 ? found : undefined;
  },
};

/** The job of the recipes: it ends with 7 a moment after SIGTERM, and says what it got. */
const JOB =
  'trap "echo job got SIGTERM; sleep 0.2; echo job saved; exit 7" TERM; echo "job ready"; ' +
  "while :; do sleep 0.05; done";

/** The functions that stand for programs in the recipes. */
const PROGRAMS = 'job() { sh -c "$JOB"; }; upload() { echo uploaded; }; ';

/** Runs a recipe, tells the pod to end, and returns the exit code and what was printed. */
async function runRecipe(shell: string, options: readonly string[], script: string) {
  await using sidecar = startSidecar();
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "export SETTING=on\n");
  await using running = startWrapper("binary", {
    args: [`--hook=${sidecar.origin}/quit`, ...options, shell, "-c", script],
    env: { JOB, FILE: file },
    detached: true,
  });
  await running.waitFor("job ready");
  running.kill("SIGTERM");
  const { code, stdout } = await running.ended;
  assertEquals(sidecar.posts().length, 1);
  await Deno.remove(file);
  const lines = stdout.split("\n").filter((line) => line !== "" && line !== "Terminated");
  return { code, lines };
}

const [READY, GOT, SAVED] = ["job ready", "job got SIGTERM", "job saved"];

const RECIPES: readonly (readonly [
  title: string,
  options: readonly string[],
  script: string,
  code: number,
  lines: readonly string[],
])[] = [
  [
    "a last step: trap, and --process-group",
    ["--process-group"],
    `${PROGRAMS}trap : TERM; job; rc=$?; upload; exit $rc`,
    7,
    [READY, GOT, SAVED, "uploaded"],
  ],
  [
    "the same with set -e",
    ["--process-group"],
    `${PROGRAMS}set -e; trap : TERM; rc=0; job || rc=$?; upload; exit $rc`,
    7,
    [READY, GOT, SAVED, "uploaded"],
  ],
  [
    "a pipe: trap, and --process-group",
    ["--process-group"],
    `${PROGRAMS}trap : TERM; sh -c "$JOB" | (trap "" TERM; exec cat); upload`,
    0,
    [READY, GOT, SAVED, "uploaded"],
  ],
  ["no last step: exec", [], 'exec sh -c "$JOB"', 7, [READY, GOT, SAVED]],
  [
    "settings from a file: exec",
    [],
    '. "$FILE" && echo "$SETTING" && exec sh -c "$JOB"',
    7,
    ["on", READY, GOT, SAVED],
  ],
];

for (const [title, options, script, code, lines] of RECIPES) {
  testWith(SHELLS, `a shell as COMMAND, ${title}`, async (shells) => {
    for (const shell of shells) {
      assertEquals(await runRecipe(shell, options, script), { code, lines: [...lines] }, shell);
    }
  });
}

testWith(
  SHELLS,
  "a shell as COMMAND without any of this dies at once, and loses its last step",
  async (shells) => {
    for (const shell of shells) {
      const script = `${PROGRAMS}job; rc=$?; upload; exit $rc`;
      // With --process-group the job itself can end in order, and the sidecar stays for that long.
      const grouped = await runRecipe(shell, ["--process-group"], script);
      assertEquals(grouped, { code: 143, lines: [READY, GOT, SAVED] }, shell);
    }
  },
);
