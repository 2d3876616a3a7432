/** The recipes for sidecars that end at a signal, with the real programs, in a pod's process namespace. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { withFolder } from "../support/folder.ts";
import {
  both,
  type Need,
  OTELCOL_PROGRAM,
  OWN_PROCESSES,
  PGBOUNCER_PROGRAM,
  testWith,
} from "../support/needs.ts";
import { freePort } from "../support/sidecar.ts";
import { BINARY, startProgram } from "../support/wrapper.ts";

const PAGE = Deno.readTextFileSync(
  new URL("../../docs/sidecars-without-http.md", import.meta.url),
);

/** The hook of a recipe on the page. */
function hookOf(heading: string): string {
  const [, section = ""] = PAGE.split(`\n## ${heading}\n`);
  const [, hook] = /WRAPPER_HOOKS, value: "([^"]+)"/.exec(section) ?? [];
  assert(hook !== undefined, `no hook in the recipe for ${heading}`);
  return hook;
}

/** A user who is not root, for programs that refuse to run as root. */
const NOBODY = "65534";

interface Pod {
  /** The sidecar's words. */
  readonly sidecar: readonly string[];
  readonly hook: string;
  /** A program for Deno that uses the sidecar, and so waits for it. */
  readonly job: string;
}

/**
 * Runs a sidecar, and the wrapper with a job beside it; the shell stands in for the pod's first process. Its last line
 * has both exit codes.
 */
async function runPod(namespace: readonly string[], { sidecar, hook, job }: Pod) {
  const script = `
    "$@" & sidecar=$!
    "$WRAPPER" --hook "$HOOK" --startup-window 60s "$DENO" eval "$JOB"
    job=$?
    wait $sidecar
    echo "job $job, sidecar $?"`;
  await using pod = startProgram([...namespace, "sh", "-c", script, "sh", ...sidecar], {
    env: { WRAPPER: BINARY, HOOK: hook, DENO: Deno.execPath(), JOB: job },
  });
  return await pod.ended;
}

/** A job that succeeds once this expression does. */
const untilDone = (expression: string) => `
  for (;;) {
    try { ${expression}; break; } catch { await new Promise((next) => setTimeout(next, 20)); }
  }`;

/** Runs a body with a folder that every user can read. */
const withOpenFolder = (body: (folder: string) => Promise<void>) =>
  withFolder(async (folder) => {
    Deno.chmodSync(folder, 0o755);
    await body(folder);
  });

const withProcesses = (program: Need<string>) => both(OWN_PROCESSES, program);

testWith(
  withProcesses(PGBOUNCER_PROGRAM),
  "PgBouncer ends with 0 at SIGINT",
  ([namespace, file]) =>
    withOpenFolder(async (folder) => {
      const port = freePort();
      const config = `${folder}/pgbouncer.ini`;
      Deno.writeTextFileSync(
        config,
        `[databases]
x = host=127.0.0.1 port=1
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
`,
      );
      const { stdout, stderr } = await runPod(namespace, {
        sidecar: ["setpriv", `--reuid=${NOBODY}`, "--clear-groups", file, config],
        hook: hookOf("PgBouncer"),
        job: untilDone(`(await Deno.connect({ hostname: "127.0.0.1", port: ${port} })).close()`),
      });
      assertEquals(stdout, "job 0, sidecar 0\n", stderr);
      assertMatch(stderr, /pgbouncer: told to quit \(SIGINT; process \d+ gone\)/);
      assertStringIncludes(stderr, "got SIGINT, shutting down");
    }),
);

testWith(
  withProcesses(OTELCOL_PROGRAM),
  "the OpenTelemetry Collector sends what it still has, and ends with 0",
  ([namespace, file]) =>
    withOpenFolder(async (folder) => {
      const port = freePort();
      const config = `${folder}/otelcol.yaml`;
      Deno.writeTextFileSync(
        config,
        JSON.stringify({
          receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}` } } } },
          exporters: {
            // Nothing leaves the queue before the collector ends.
            debug: {
              verbosity: "detailed",
              sending_queue: { batch: { flush_timeout: "10m", min_size: 100_000 } },
            },
          },
          service: {
            pipelines: { logs: { receivers: ["otlp"], exporters: ["debug"] } },
            telemetry: { metrics: { level: "none" } },
          },
        }),
      );
      const logs = {
        resourceLogs: [{
          scopeLogs: [{ logRecords: [{ body: { stringValue: "the last line" } }] }],
        }],
      };
      const request = {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(logs),
      };
      const url = `http://127.0.0.1:${port}/v1/logs`;
      const { stdout, stderr } = await runPod(namespace, {
        sidecar: [file, "--config", config],
        hook: hookOf("OpenTelemetry Collector"),
        job: untilDone(
          `const { ok } = await fetch("${url}", ${JSON.stringify(request)}); if (!ok) throw ok`,
        ),
      });
      assertEquals(stdout, "job 0, sidecar 0\n", stderr);
      assertMatch(stderr, /otelcol: told to quit \(SIGTERM; process \d+ gone\)/);
      const [, afterJob = ""] = stderr.split("command ended with exit code 0");
      assertStringIncludes(afterJob, "the last line");
    }),
);
