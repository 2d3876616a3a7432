/**
 * Runs every test except those in containers: compiles the binary, then runs unit, integration and
 * end-to-end tests, and the examples in the documentation.
 *
 *     deno task test [FILTER]
 *
 * @module
 */

// deno-lint-ignore-file no-console

const ROOT = new URL("../", import.meta.url).pathname;

/** The tests take a few minutes. One that hangs must not block forever. */
const LONGEST_RUN_MINUTES = 15;

/** Where the tests are. Those in tests/containers and tests/kubernetes have tasks of their own. */
export const TEST_PATHS: readonly string[] = [
  "mod_test.ts",
  "src",
  "hooks",
  "examples",
  "scripts",
  "tests/integration",
  "tests/e2e",
  "tests/fuzz",
];

/** Tests of programs that take minutes to build. CI builds them meanwhile, and runs these tests later. */
export const LATER_PATH = "tests/built";

/** Documentation with examples, apart from that of the code in {@linkcode TEST_PATHS}. */
const DOCUMENTATION_PATHS: readonly string[] = ["mod.ts", "README.md", "docs"];

/** What a run of Deno ended with. */
interface Run {
  readonly code: number;
  readonly lastLines: string;
  /** How many tests were skipped for want of something, by its name. */
  readonly skipped: ReadonlyMap<string, number>;
}

/** Runs Deno, and shows what it prints. */
async function deno(args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    env,
    stdout: "piped",
  });
  const child = command.spawn();
  const timer = setTimeout(() => {
    console.error(`killed: not done within ${LONGEST_RUN_MINUTES} minutes; a test hangs`);
    child.kill("SIGKILL");
  }, LONGEST_RUN_MINUTES * 60_000);
  let lastLines = "";
  let lastLine = "";
  const skipped = new Map<string, number>();
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    await Deno.stdout.write(chunk);
    const text = decoder.decode(chunk, { stream: true });
    lastLines = (lastLines + text).slice(-500);
    const lines = (lastLine + text).split("\n");
    lastLine = lines.pop() ?? "";
    for (const line of lines) {
      const [, what] = / \(SKIPPED: needs (.*)\) \.\.\. /.exec(line) ?? [];
      if (what !== undefined) skipped.set(what, (skipped.get(what) ?? 0) + 1);
    }
  }
  const { code } = await child.status;
  clearTimeout(timer);
  return { code, lastLines, skipped };
}

/**
 * Runs tests, and shows how many there were, and what the skipped ones would need.
 *
 * @param args what follows `deno test`
 * @returns the exit code
 */
export async function runTests(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<number> {
  const { code, lastLines, skipped } = await deno(["test", "--quiet", "--allow-all", ...args], env);
  for (const [what, tests] of [...skipped].sort()) {
    console.log(`skipped: ${tests} ${tests === 1 ? "test needs" : "tests need"} ${what}`);
  }
  const count = (what: string) => new RegExp(`(\\d+) ${what}`).exec(lastLines)?.[1] ?? "0";
  console.log(`${count("passed")} passed, ${count("failed")} failed, ${count("ignored")} skipped`);
  return code;
}

/** Compiles the binary, unless a variable names one. */
async function compile(): Promise<boolean> {
  if (Deno.env.get("WRAPPER_TEST_BINARY") !== undefined) return true;
  return (await deno(["run", "--allow-all", "scripts/compile.ts"])).code === 0;
}

if (import.meta.main) {
  if (!await compile()) {
    console.error("the binary could not be compiled, so nothing was tested");
    Deno.exit(1);
  }
  const filter = Deno.args.flatMap((text) => ["--filter", text]);
  const later = Deno.env.get("CI") ? [] : [LATER_PATH];
  const paths = [...DOCUMENTATION_PATHS, ...TEST_PATHS, ...later];
  Deno.exit(await runTests(["--parallel", "--doc", ...filter, ...paths]));
}
