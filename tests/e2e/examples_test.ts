/** The examples, as a user would have them: in a separate folder, elsewhere on the disk. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { freePort, startSidecar } from "../support/sidecar.ts";
import { BINARY } from "../support/wrapper.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const MY_WRAPPER = `${ROOT}examples/custom-hook/my_wrapper.ts`;
const JOB = `${ROOT}examples/own-job/job.ts`;

interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function execute(file: string, args: readonly string[], cwd = ROOT, env = {}) {
  const options = { args: [...args], cwd, env: { NO_COLOR: "1", ...env } };
  const { code, stdout, stderr } = await new Deno.Command(file, options).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Does what the user of a custom wrapper does. */
async function tryMyWrapper(wrapper: (args: readonly string[]) => Promise<Output>) {
  await using sidecar = startSidecar();
  const help = await wrapper(["--help"]);
  assertEquals([help.code, help.stderr], [0, ""]);
  assertMatch(help.stdout, /^ {2}mine +our own metrics agent$/m);
  assertMatch(help.stdout, /^ {2}istio +/m);

  const job = await wrapper([`--hook=mine=${sidecar.origin}`, "sh", "-c", "echo done; exit 3"]);
  assertEquals([job.code, job.stdout], [3, "done\n"], job.stderr);
  assertEquals(sidecar.posts().map(({ method, path }) => `${method} ${path}`), ["POST /quit"]);
  assertStringIncludes(job.stderr, "wrapper: mine: told to quit (200 OK)");

  const check = await wrapper(["--check", `--hook=mine=${sidecar.origin}`]);
  assertEquals(check.code, 0, check.stderr);
  assertMatch(check.stdout, /^mine +http:\S+\/ready +ready +200 OK /m);
  assertEquals(sidecar.posts().length, 1);

  const wrong = await wrapper(["--hook=mina", "--hook=none", "true"]);
  assertEquals(wrong.code, 125);
  assertMatch(wrong.stderr, /--hook "mina": expected istio, .*\bmine\b/);

  const config = await wrapper(["--hook=mine", "--print-config", "true"]);
  assertEquals(JSON.parse(config.stdout)["hook"], { value: ["mine"], from: "--hook" });
}

Deno.test("a wrapper with a custom hook takes ten lines and compiles to a binary", async () => {
  const lines = Deno.readTextFileSync(MY_WRAPPER).trimEnd().split("\n");
  assert(lines.length <= 10, `${lines.length} lines`);
  const folder = Deno.makeTempDirSync();
  try {
    const binary = `${folder}/my_wrapper`;
    const args = ["task", "compile", "--entry", MY_WRAPPER, "--output", binary];
    const compiled = await execute(Deno.execPath(), args);
    assertEquals(compiled.code, 0, compiled.stderr);
    await tryMyWrapper((args) => execute(binary, args));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("both examples run in an empty folder elsewhere that links the library by its path", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const config = {
      links: [ROOT],
      imports: { "@k8s-job/wrapper": "jsr:@k8s-job/wrapper@^0.1.0" },
    };
    Deno.writeTextFileSync(`${folder}/deno.json`, JSON.stringify(config));
    Deno.copyFileSync(MY_WRAPPER, `${folder}/my_wrapper.ts`);
    Deno.copyFileSync(JOB, `${folder}/job.ts`);
    const deno = (args: readonly string[], env = {}) =>
      execute(Deno.execPath(), ["run", "--quiet", "--no-prompt", ...args], folder, env);

    await tryMyWrapper((args) => deno(["--allow-all", "my_wrapper.ts", ...args]));

    await using sidecar = startSidecar();
    const permissions = ["--allow-net", "--allow-env", "--allow-write=."];
    const job = await deno([...permissions, "job.ts"], { ISTIO_URL: sidecar.origin });
    assertEquals([job.code, job.stdout], [0, ""], job.stderr);
    assertMatch(Deno.readTextFileSync(`${folder}/report.txt`), /^made at /);
    assertEquals(sidecar.posts().map(({ path }) => path), ["/quitquitquit"]);
    assertStringIncludes(job.stderr, "wrapper: istio ready after");

    // If the work fails, the sidecar is still told to quit, and the error is not lost.
    const failing = await deno(["--allow-net", "--allow-env", "job.ts"], {
      ISTIO_URL: sidecar.origin,
    });
    assertEquals(failing.code, 1);
    assertStringIncludes(failing.stderr, "NotCapable");
    assertEquals(sidecar.posts().length, 2);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

/** The code blocks of a page in one of these languages, without those that have tests of their own. */
function blocksOf(page: string, ...languages: readonly string[]): readonly string[] {
  const text = Deno.readTextFileSync(ROOT + page);
  const blocks = [...text.matchAll(/^```(\S+)\n([^]*?)^```$/gm)];
  return blocks.filter(([, language = ""]) => languages.includes(language)).map(([, , code = ""]) =>
    code
  );
}

Deno.test("every example of the library's pages runs in an empty folder with what the page says", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    // The page's own deno.json names the checkout as ../wrapper/.
    Deno.symlinkSync(ROOT, `${folder}/wrapper`);
    const [config = ""] = blocksOf("docs/library.md", "json");
    const pages = ["docs/library.md", "docs/writing-a-hook.md", "README.md"];
    const examples = pages.flatMap((page) =>
      ["ts", "js"].flatMap((language) =>
        blocksOf(page, language).map((code) => ({ page, language, code }))
      )
    );
    assert(examples.length >= 7, `${examples.length} examples`);
    for (const [index, { page, language, code }] of examples.entries()) {
      const own = `${folder}/${index}`;
      Deno.mkdirSync(own);
      Deno.writeTextFileSync(`${own}/deno.json`, config);
      Deno.writeTextFileSync(`${own}/example.${language}`, code);
      const args = ["run", "--quiet", "--no-prompt", "--allow-all", `example.${language}`];
      const { code: exitCode, stderr } = await execute(Deno.execPath(), args, own);
      assertEquals(exitCode, 0, `${page}:\n${code}\n${stderr}`);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("the library works without permission to read the environment", async () => {
  const script = `${ROOT}tests/support/stop_sidecar.ts`;
  const port = freePort();
  const args = ["run", "--quiet", "--no-prompt", "--allow-net", script, String(port)];
  const { code, stdout, stderr } = await execute(Deno.execPath(), args);
  assertEquals([code, stdout], [0, "no-sidecar\n"], stderr);
});

Deno.test("the README's lines of --wrap are what is printed for such a Job", async () => {
  const cwd = `${ROOT}tests/fixtures`;
  const { code, stdout, stderr } = await execute(BINARY, ["--wrap", "job.yaml"], cwd);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, `command: ["/shared/wrapper", "/my-job"]`);
  const [sample] = blocksOf("README.md", "text");
  assertEquals(sample, stderr);
});
