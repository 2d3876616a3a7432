/** A real Envoy next to the compiled binary. */

import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { ENVOY, testWith } from "../support/needs.ts";
import { freePort } from "../support/sidecar.ts";
import { runWrapper } from "../support/wrapper.ts";

/** Starts an Envoy with nothing but an admin interface. */
function startEnvoy(program: string, port: number): Deno.ChildProcess {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  return new Deno.Command(program, {
    args: [
      // Without it, two Envoys on one machine use the same shared memory.
      "--use-dynamic-base-id",
      "--log-level",
      "error",
      "--config-yaml",
      JSON.stringify({ admin: { address } }),
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
}

testWith(
  ENVOY,
  "a real Envoy exits after the job, and the job's exit code is kept",
  async (program) => {
    const port = freePort();
    const envoy = startEnvoy(program, port);
    try {
      const { code, stderr } = await runWrapper("binary", {
        args: [
          "--hook",
          `envoy=http://127.0.0.1:${port}`,
          "--startup-window=60s",
          "--wait=60s",
          "sh",
          "-c",
          "exit 6",
        ],
      });
      assertEquals(code, 6);
      assertStringIncludes(stderr, "envoy: told to quit (200 OK)");
      assertEquals((await envoy.status).code, 0);
    } finally {
      try {
        envoy.kill("SIGKILL");
      } catch {
        // It has ended, as it should.
      }
      await envoy.status;
    }
  },
);
