/** Several hooks at once. */

import { assert, assertEquals } from "../support/assert.ts";
import { ANSWERING, EXIT_3, runJob } from "../support/faults.ts";
import { startFaultySidecar } from "../support/faulty_sidecar.ts";

Deno.test("ten hooks, three of which hang: seven finish at once, all within one deadline", async () => {
  const good = await Promise.all(Array.from({ length: 7 }, () => startFaultySidecar(ANSWERING)));
  const hanging = await Promise.all(Array.from({ length: 3 }, () => startFaultySidecar({})));
  const limits = { requestTimeoutMs: 60_000, shutdownTimeoutMs: 3000 };
  try {
    const hooks = [...hanging, ...good].map(({ port }) => `http://127.0.0.1:${port}/quit`);
    const { code, stderr } = await runJob(hooks, limits, EXIT_3, {}, async (job) => {
      // The hanging ones still have most of their time left.
      await job.waitFor(": told to quit (200 OK)", good.length);
      assert(!job.output.stderr.includes("NOT stopped"), job.output.stderr);
    });
    assertEquals(code, 3);
    for (const { posts } of [...hanging, ...good]) assertEquals(posts(), ["POST /quit"]);
    const failed = [
      ...stderr.matchAll(/NOT stopped.*: no answer .*\(1 attempt in (\d+(\.\d)?)s\)/g),
    ];
    assertEquals(failed.length, hanging.length, stderr);
    for (const [line, seconds] of failed) assert(Number(seconds) < 2 * 3, line);
  } finally {
    await Promise.all([...good, ...hanging].map((one) => one[Symbol.asyncDispose]()));
  }
});
