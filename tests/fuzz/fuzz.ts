/**
 * Fuzzing: random input for everything that is parsed, and whole processes with random arguments,
 * environments and answers from their sidecars.
 *
 *     deno task fuzz [--cases N] [--processes N] [--seed N]
 *
 * The seed is printed; the same seed gives the same cases.
 *
 * @module
 */

// deno-lint-ignore-file no-console

// @ts-types="../../types/std_cli_parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
import { explain } from "./explain.ts";
import { fuzzParser, secretsAreTried } from "./parser.ts";
import { fuzzProcesses } from "./processes.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

async function compile(): Promise<void> {
  if (Deno.env.get("WRAPPER_TEST_BINARY") !== undefined) return;
  const args = ["run", "--allow-all", "scripts/compile.ts"];
  const { code } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).spawn().status;
  if (code !== 0) throw new Error("the binary could not be compiled");
}

if (import.meta.main) {
  const words = parseArgs(Deno.args, { string: ["cases", "processes", "seed"] });
  const number = (name: string, otherwise: number) => Number(words[name] ?? otherwise);
  const seed = number("seed", Math.floor(Math.random() * 2 ** 31));
  console.log(`fuzz: seed ${seed}`);
  if (!secretsAreTried(seed)) throw new Error("the input contains no secrets that could leak");
  await compile();
  const startMs = performance.now();
  const elapsed = () => `${((performance.now() - startMs) / 1000).toFixed(1)} s`;
  try {
    const cases = fuzzParser(seed, number("cases", 26_000));
    console.log(`fuzz: ${cases} parser cases passed (${elapsed()})`);
    const processes = await fuzzProcesses(seed, number("processes", 540));
    console.log(`fuzz: ${processes} whole processes passed (${elapsed()})`);
    console.log(`fuzz: seed ${seed}: ${cases} cases, ${processes} processes, 0 failures`);
  } catch (error) {
    console.error(`fuzz: seed ${seed} fails:\n${explain(error)}`);
    Deno.exitCode = 1;
  }
}
