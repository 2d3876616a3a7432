/**
 * Every test but those in containers: compiles the binary, then runs unit, integration and
 * end-to-end tests, and the examples in the documentation.
 *
 *     deno task test [FILTER]
 *
 * @module
 */

// deno-lint-ignore-file no-console

const ROOT = new URL("../", import.meta.url).pathname;

/** The tests take a minute or two. One that hangs must not hold up whoever waits for the result. */
const LONGEST_RUN_MINUTES = 15;

/** Runs Deno, shows what it prints, and returns its exit code and its closing line. */
async function deno(...args: string[]): Promise<{ code: number; lastLines: string }> {
  const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdout: "piped" });
  const child = command.spawn();
  const timer = setTimeout(() => {
    console.error(`ended: not done within ${LONGEST_RUN_MINUTES} minutes; a test hangs`);
    child.kill("SIGKILL");
  }, LONGEST_RUN_MINUTES * 60_000);
  let lastLines = "";
  for await (const chunk of child.stdout) {
    await Deno.stdout.write(chunk);
    lastLines = (lastLines + new TextDecoder().decode(chunk)).slice(-500);
  }
  const { code } = await child.status;
  clearTimeout(timer);
  return { code, lastLines };
}

const filter = Deno.args.flatMap((text) => ["--filter", text]);
const compiled = Deno.env.get("WRAPPER_TEST_BINARY") !== undefined ||
  (await deno("run", "--allow-all", "scripts/compile.ts")).code === 0;
if (!compiled) {
  console.error("the binary could not be compiled, so nothing was tested");
  Deno.exit(1);
}
const { code, lastLines } = await deno(
  "test",
  "--quiet",
  "--parallel",
  "--allow-all",
  "--doc",
  ...filter,
  "mod.ts",
  "README.md",
  "docs",
  "mod_test.ts",
  "src",
  "hooks",
  "examples",
  "scripts",
  // Those in containers need podman and take minutes: `deno task test:containers`.
  "tests/integration",
  "tests/e2e",
  "tests/fuzz",
);
const count = (what: string) => new RegExp(`(\\d+) ${what}`).exec(lastLines)?.[1] ?? "0";
console.log(`${count("passed")} passed, ${count("failed")} failed, ${count("ignored")} skipped`);
Deno.exit(code);
