/** The command line from source without one of the permissions: it reports that, and never asks. */

import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { type Need, NOTHING, ORPHANS, testWith } from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";

const CLI = new URL("../../cli.ts", import.meta.url).pathname;
const ALL = ["run", "env", "net", "read", "write", "ffi"] as const;

interface Row {
  readonly lacking: typeof ALL[number];
  /** Options in addition to the hook of a sidecar that is there. */
  readonly options?: readonly string[];
  /** What it is about, if not every machine has that. */
  readonly need?: Need<true>;
  readonly code: number;
  /** How many stop requests the sidecar gets. */
  readonly posts: number;
  /** A part of the log. */
  readonly log: string;
}

const ROWS: readonly Row[] = [
  {
    lacking: "run",
    code: 126,
    posts: 1,
    log: "cannot start sh: the permission --allow-run is missing",
  },
  {
    lacking: "env",
    code: 125,
    posts: 0,
    log: "WRAPPER_HOOKS cannot be read: the permission --allow-env is missing",
  },
  {
    lacking: "net",
    code: 5,
    posts: 0,
    log:
      "NOT stopped, the pod may not end: cannot be reached: the permission --allow-net is missing",
  },
  { lacking: "read", code: 5, posts: 1, log: "told to quit (200 OK)" },
  {
    lacking: "read",
    options: ["--hook=http+unix://%2Fnowhere.sock/quit"],
    code: 5,
    posts: 1,
    log:
      "NOT stopped, the pod may not end: cannot be reached: the permission --allow-read is missing",
  },
  {
    lacking: "read",
    options: ["--hook=signal:nobody"],
    code: 5,
    posts: 1,
    log: "nobody: NOT stopped",
  },
  { lacking: "write", code: 5, posts: 1, log: "told to quit (200 OK)" },
  {
    lacking: "write",
    options: ["--termination-log=/tmp/log"],
    code: 5,
    posts: 1,
    log: "cannot write the termination log /tmp/log: ",
  },
  {
    lacking: "write",
    options: ["--hook=file:/tmp/done"],
    code: 5,
    posts: 1,
    log: "done: NOT stopped, the pod may not end: cannot be created: ",
  },
  { lacking: "ffi", code: 5, posts: 1, log: "told to quit (200 OK)" },
  {
    lacking: "ffi",
    options: ["--reap"],
    need: ORPHANS,
    code: 5,
    posts: 1,
    log: "cannot reap orphans: the permission --allow-ffi is missing",
  },
];

for (const { lacking, options = [], need = NOTHING, code, posts, log } of ROWS) {
  const title = `without --allow-${lacking} ${["wrapper", ...options].join(" ")}`;
  testWith(
    need,
    `${title} ${code === 5 ? "runs COMMAND" : "fails"} and reports what is missing`,
    async () => {
      await using sidecar = startSidecar();
      const permissions = ALL.filter((name) => name !== lacking).map((name) => `--allow-${name}`);
      const hook = ["--retries=1", `--hook=${sidecar.origin}/quit`, ...options];
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", "--no-prompt", ...permissions, CLI, ...hook, "sh", "-c", "exit 5"],
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      });
      const ended = await child.output();
      const stderr = new TextDecoder().decode(ended.stderr);
      assertEquals([ended.code, sidecar.posts().length], [code, posts], stderr);
      assertStringIncludes(stderr, log);
    },
  );
}
