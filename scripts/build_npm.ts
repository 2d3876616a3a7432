/**
 * Builds the npm package in `npm/`: ES modules and CommonJS, with types, and the command `wrapper`.
 *
 *     deno task npm [--for-tests]
 *
 * dnt does the work for a release. It comes from JSR; where JSR cannot be reached, `--for-tests` has
 * TypeScript's compiler make a package with the same files, modules and `package.json`.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { read } from "./sources.ts";
import {
  COMMAND,
  COMMAND_LINE,
  dependencies,
  LIBRARY,
  manifest,
  packageReadme,
  TEXTS,
  writeSources,
} from "./npm/package.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** The exact package, so that no other one with a similar name is used. */
const DNT = "jsr:@deno/dnt@0.42.3";

/** What this script uses of dnt. */
interface Dnt {
  build(options: Readonly<Record<string, unknown>>): Promise<void>;
}

function isDnt(module: unknown): module is Dnt {
  return typeof module === "object" && module !== null &&
    "build" in module && typeof module.build === "function";
}

/** Loads dnt, or explains why it cannot be loaded. */
async function loadDnt(): Promise<Dnt | string> {
  try {
    const dnt: unknown = await import(DNT);
    return isDnt(dnt) ? dnt : `${DNT} does not export build()`;
  } catch (error) {
    return error instanceof Error ? error.message.split("\n")[0] ?? "" : String(error);
  }
}

async function buildByDnt(dnt: Dnt, sources: string, output: string): Promise<void> {
  await dnt.build({
    entryPoints: [
      `${sources}/${LIBRARY}`,
      { kind: "bin", name: COMMAND, path: `${sources}/${COMMAND_LINE}` },
    ],
    outDir: output,
    importMap: `${sources}/import_map.json`,
    // The Node twins make no call to Deno, so there is nothing to shim.
    shims: {},
    test: false,
    esModule: true,
    scriptModule: "cjs",
    // Each of the two formats has its own declarations: TypeScript resolves this form most reliably.
    declaration: "inline",
    declarationMap: false,
    skipSourceOutput: true,
    // `deno check` has already checked everything, and dnt has an older TypeScript and older libraries.
    typeCheck: false,
    // Polyfills would declare their types in users' programs, and Node 22 needs none.
    compilerOptions: { target: "Latest", lib: ["ESNext", "DOM", "DOM.Iterable"] },
    package: manifest(),
  });
}

async function buildByTypeScript(sources: string, output: string): Promise<void> {
  const { default: ts } = await import("typescript");
  const formats = [
    { folder: "esm", type: "module", module: ts.ModuleKind.ES2022 },
    { folder: "script", type: "commonjs", module: ts.ModuleKind.CommonJS },
  ];
  const js = (file: string) => file.replace(/ts$/, "js");
  for (const { folder, type, module } of formats) {
    const program = ts.createProgram([`${sources}/${LIBRARY}`, `${sources}/${COMMAND_LINE}`], {
      module,
      moduleResolution: ts.ModuleResolutionKind.Node10,
      target: ts.ScriptTarget.ES2023,
      lib: ["lib.esnext.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
      rootDir: sources,
      outDir: `${output}/${folder}`,
      declaration: true,
      esModuleInterop: true,
      rewriteRelativeImportExtensions: true,
      noCheck: true,
    });
    program.emit();
    for (const file of filesBelow(`${output}/${folder}`)) {
      const text = Deno.readTextFileSync(file);
      if (file.endsWith(".d.ts")) {
        Deno.writeTextFileSync(
          file,
          text.replaceAll(/((?:from |import\()"\.[^"]*)\.ts"/g, '$1.js"'),
        );
      }
    }
    writeJson(`${output}/${folder}/package.json`, { type });
  }
  writeJson(`${output}/package.json`, {
    ...manifest(),
    main: `./script/${js(LIBRARY)}`,
    module: `./esm/${js(LIBRARY)}`,
    exports: {
      ".": { import: `./esm/${js(LIBRARY)}`, require: `./script/${js(LIBRARY)}` },
    },
    bin: { [COMMAND]: `./esm/${js(COMMAND_LINE)}` },
    dependencies: dependencies(),
  });
}

function writeJson(path: string, value: unknown): void {
  Deno.writeTextFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** Every file in a folder and below. */
export function filesBelow(folder: string): readonly string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${folder}/${name}`) : [`${folder}/${name}`]
  ).sort();
}

/**
 * Builds the package.
 *
 * @param output the folder; what is in it goes
 * @param isForTests whether TypeScript's compiler may build it where dnt cannot be loaded
 * @returns what it was built by, for a line of text
 * @throws if dnt cannot be loaded and the package is not for tests alone
 */
export async function buildPackage(output: string, isForTests: boolean): Promise<string> {
  const dnt = await loadDnt();
  if (typeof dnt === "string" && !isForTests) {
    throw new Error(`The npm package is made by ${DNT}, which cannot be loaded here: ${dnt}`);
  }
  Deno.mkdirSync(output, { recursive: true });
  for (const { name } of Deno.readDirSync(output)) {
    Deno.removeSync(`${output}/${name}`, { recursive: true });
  }
  const sources = Deno.makeTempDirSync({ prefix: "wrapper-npm-" });
  try {
    await writeSources(sources);
    if (typeof dnt === "string") await buildByTypeScript(sources, output);
    else await buildByDnt(dnt, sources, output);
  } finally {
    Deno.removeSync(sources, { recursive: true });
  }
  Deno.writeTextFileSync(`${output}/README.md`, packageReadme(read("README.md")));
  for (const file of TEXTS) Deno.copyFileSync(`${ROOT}${file}`, `${output}/${file}`);
  return typeof dnt === "string" ? "TypeScript's compiler: good for tests, not for a release" : DNT;
}

if (import.meta.main) {
  try {
    const by = await buildPackage(`${ROOT}npm`, Deno.args.includes("--for-tests"));
    console.log(`npm/: built by ${by}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
