/** A little of `deno task fuzz` in every test run. */

import { assert } from "../support/assert.ts";
import { explain } from "./explain.ts";
import { fuzzParser, secretsAreTried } from "./parser.ts";
import { fuzzProcesses } from "./processes.ts";

const seed = Math.floor(Math.random() * 2 ** 31);

/** Runs a part of the fuzzing; a failure shows the case. */
async function runFuzz(fuzz: () => number | Promise<number>): Promise<void> {
  try {
    await fuzz();
  } catch (error) {
    throw new Error(`seed ${seed}: ${explain(error)}`);
  }
}

Deno.test(`any input is read without an exception or a leaked secret (seed ${seed})`, async () => {
  assert(secretsAreTried(seed));
  await runFuzz(() => fuzzParser(seed, 2600));
});

Deno.test(`random processes end as they should (seed ${seed})`, async () => {
  await runFuzz(() => fuzzProcesses(seed, 36));
});
