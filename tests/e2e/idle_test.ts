/** The compiled binary while COMMAND sleeps. */

import { assert, assertEquals } from "../support/assert.ts";
import { PROC, testWith } from "../support/needs.ts";
import { startSidecar } from "../support/sidecar.ts";
import { startWrapper } from "../support/wrapper.ts";

/** By then it is at rest: the runtime keeps threads that it no longer needs for 10 s. */
const AT_REST_MS = 20_000;

/** V8's housekeeping would start after 28 s and repeat every 8 s. */
const OBSERVED_MS = 45_000;

/** How many context switches the threads of a process have had. */
function contextSwitches(pid: number): number {
  let sum = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const status = Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`);
    for (const [, count] of status.matchAll(/ctxt_switches:\s*(\d+)/g)) sum += Number(count);
  }
  return sum;
}

testWith(
  PROC,
  "nothing wakes the wrapper up while COMMAND sleeps, once its sidecar has been seen",
  async () => {
    await using sidecar = startSidecar();
    async function observe(options: readonly string[], atRestMs = AT_REST_MS) {
      await using running = startWrapper("binary", {
        args: [`--hook=${sidecar.origin}/quit`, "--log-level=debug", ...options, "sleep", "90"],
        detached: true,
      });
      await running.waitFor("seen at");
      const startMs = performance.now();
      const samples: (readonly [ageMs: number, switches: number])[] = [];
      while (performance.now() - startMs < OBSERVED_MS) {
        samples.push([performance.now() - startMs, contextSwitches(running.pid)]);
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      const end = samples.at(-1)?.[1];
      const lastChange = samples.findLast(([, switches]) => switches !== end);
      const what = `${options.join(" ") || "no option"}: ${JSON.stringify(samples)}`;
      assert((lastChange?.[0] ?? 0) < atRestMs, what);
      running.kill("SIGTERM");
      assertEquals((await running.ended).code, 143);
    }
    await Promise.all([
      // No timer of a request is left, which would end five seconds after it.
      observe([], 4000),
      observe(["--reap"]),
      observe(["--process-group", "--timeout=1h", "--kill-after=1h"]),
    ]);
  },
);
