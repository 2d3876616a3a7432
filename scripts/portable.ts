/**
 * Builds the portable wrapper: a folder with the binary and the libraries that it needs, which runs in
 * any Linux image, even one with a different libc or none at all.
 *
 *     deno task portable [--target TRIPLE] [--output FOLDER] [--libraries FOLDER] [--entry FILE]
 *
 * The folder belongs at `/wrapper`. The kernel finds a program's loader by an absolute path, so the
 * binary does not start anywhere else; `wrapper --install PATH` makes a copy for another place.
 *
 * Needs `patchelf`. The libraries are this system's, or those under `--libraries`, such as Debian's
 * for a different architecture.
 *
 * @module
 */

// deno-lint-ignore-file no-console

// @ts-types="../types/std_cli_parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
import { compile, CompileError } from "./compile.ts";

/** Where the folder is in a container. */
const PLACE = "/wrapper";

/** The folder with the libraries, next to the binary; `src/cli/install.ts` uses the same name. */
const LIBRARIES = "wrapper-lib";

/**
 * The length of the loader's path in the binary, padded at the beginning with slashes, which the
 * kernel treats as one. This is the room that `--install` has for another path: a longer path would
 * move everything after it in the file, and Deno finds the program by its position.
 */
const LOADER_PATH_LENGTH = 1023;

/** A library from the image that the binary runs in must never replace one of its own. */
const SEARCH_PATH = ["--force-rpath", "--set-rpath", `$ORIGIN/${LIBRARIES}`];

/** Makes a copy of a runtime that looks for its loader and libraries in the portable folder. */
async function makePortable(runtime: string, portable: string): Promise<string> {
  const loader = `${PLACE}/${LIBRARIES}/${fileName(await loaderOf(runtime))}`;
  const setLoader = ["--set-interpreter", loader.padStart(LOADER_PATH_LENGTH, "/")];
  await patchelf(...setLoader, ...SEARCH_PATH, "--output", portable, runtime);
  return portable;
}

async function patchelf(...args: readonly string[]): Promise<string> {
  try {
    const command = new Deno.Command("patchelf", { args: [...args] });
    const { code, stdout, stderr } = await command.output();
    if (code !== 0) throw new CompileError(`patchelf: ${new TextDecoder().decode(stderr).trim()}`);
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CompileError("patchelf is not installed here");
  }
}

function loaderOf(program: string): Promise<string> {
  return patchelf("--print-interpreter", program);
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Copies the libraries that a program needs, and those that they need in turn. */
async function copyLibraries(program: string, from: readonly string[], to: string): Promise<void> {
  const wanted = [fileName(await loaderOf(program)), ...await neededBy(program)];
  const copied = new Set<string>();
  for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
    if (copied.has(name)) continue;
    copied.add(name);
    const found = findFile(name, from);
    if (found === undefined) throw new CompileError(`no ${name} under ${from.join(", ")}`);
    const copy = `${to}/${name}`;
    Deno.copyFileSync(found, copy);
    Deno.chmodSync(copy, 0o755);
    wanted.push(...await neededBy(copy));
  }
}

async function neededBy(file: string): Promise<string[]> {
  return (await patchelf("--print-needed", file)).split("\n").filter((name) => name !== "");
}

/** Returns the first file with this name in the folders or in folders below them. */
function findFile(name: string, folders: readonly string[]): string | undefined {
  for (const folder of folders) {
    const inner: string[] = [];
    try {
      for (const entry of Deno.readDirSync(folder)) {
        const path = `${folder}/${entry.name}`;
        if (entry.name === name) return Deno.realPathSync(path);
        if (entry.isDirectory) inner.push(path);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    const found = findFile(name, inner.toSorted());
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Where a system keeps its libraries, for a target such as `x86_64-unknown-linux-gnu`. */
function systemFolders(target: string): readonly string[] {
  const debian = target.replace("-unknown", "");
  return [`/lib/${debian}`, `/usr/lib/${debian}`, "/lib64", "/usr/lib64"];
}

/** Dates are part of an image. With a fixed date, the same files make the same image. */
function setDates(folder: string): void {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) setDates(`${folder}/${name}`);
    Deno.utimeSync(`${folder}/${name}`, 0, 0);
  }
}

if (import.meta.main) {
  const words = parseArgs(Deno.args, { string: ["target", "output", "libraries", "entry"] });
  const root = new URL("../", import.meta.url).pathname;
  const text = (value: unknown) => typeof value === "string" && value !== "" ? value : undefined;
  const output = text(words["output"]) ?? `${root}dist/portable`;
  const target = text(words["target"]);
  const libraries = text(words["libraries"]);
  const own = Deno.build.target;
  const folder = Deno.makeTempDirSync({ prefix: "wrapper-portable-" });
  try {
    if (libraries === undefined && target !== undefined && target !== own) {
      throw new CompileError(`--libraries is needed: this system's are for ${own}`);
    }
    Deno.mkdirSync(`${output}/${LIBRARIES}`, { recursive: true });
    await compile({
      entry: text(words["entry"]) ?? `${root}cli.ts`,
      output: `${output}/wrapper`,
      target,
      patchRuntime: (runtime) => makePortable(runtime, `${folder}/denort`),
    });
    const from = libraries === undefined ? systemFolders(own) : [libraries];
    await copyLibraries(`${output}/wrapper`, from, `${output}/${LIBRARIES}`);
    setDates(output);
    console.log(`${output}: copy it to ${PLACE} in an image`);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    console.error(`cannot build the portable wrapper: ${error.message}`);
    Deno.exitCode = 1;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}
