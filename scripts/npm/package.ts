/**
 * What the npm package consists of: its modules, which files have a twin for Node, and its
 * `package.json`. dnt and TypeScript's compiler build it from the same description.
 *
 * @module
 */

import { clauses, read, sources } from "../sources.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The settings of this project. */
const CONFIG: {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly imports: Readonly<Record<string, string>>;
} = JSON.parse(read("deno.json"));

/** Where the sources are. */
export const REPOSITORY = "k8s-job/wrapper";

/** The module that users import. */
export const LIBRARY = "mod.ts";

/** The module that `npx` starts. */
export const COMMAND_LINE = "cli.node.ts";

/** The command's name. */
export const COMMAND = "wrapper";

/** The files that have a twin for Node. */
export const NODE_TWINS: Readonly<Record<string, string>> = {
  "src/cli/install.ts": "src/cli/install_node.ts",
  "src/platform/deno.ts": "src/platform/node.ts",
  "src/process/reap.ts": "src/process/reap_node.ts",
};

/** Packages that are not bundled: users' programs share them. */
const DEPENDENCIES = ["ky", "yaml"];

/** Node's versions: require() of ES modules, as ky is one, and what ky itself wants. */
export const NODE_VERSIONS = ">=22.12.0";

/**
 * `package.json` without what the build adds: the modules, the command and the dependencies.
 *
 * @returns the fields that do not depend on how the package is built
 */
export function manifest(): Readonly<Record<string, unknown>> {
  return {
    name: CONFIG.name,
    version: CONFIG.version,
    description: "Runs a Kubernetes Job's command, then tells the pod's sidecars to quit",
    keywords: ["kubernetes", "job", "sidecar", "istio", "linkerd", "cloud-sql-proxy"],
    license: CONFIG.license,
    repository: { type: "git", url: `git+https://github.com/${REPOSITORY}.git` },
    homepage: `https://github.com/${REPOSITORY}#readme`,
    bugs: `https://github.com/${REPOSITORY}/issues`,
    // What Node takes for granted for files outside `esm/` and `script/`.
    type: "commonjs",
    engines: { node: NODE_VERSIONS },
    sideEffects: false,
  };
}

/** Each dependency with its version. */
export function dependencies(): Readonly<Record<string, string>> {
  return Object.fromEntries(DEPENDENCIES.map((name) => {
    const [, version] = /@(\d[^/]*)/.exec(CONFIG.imports[name] ?? "") ?? [];
    if (version === undefined) throw new Error(`deno.json does not import ${name}`);
    return [name, version];
  }));
}

/** The README with links that lead to the repository, because the package has none of its other files. */
export function packageReadme(text: string): string {
  const at = `https://github.com/${REPOSITORY}/blob/v${CONFIG.version}/`;
  return text.replaceAll(/\]\((?!#|[a-z]+:)([^)]+)\)/g, `](${at}$1)`);
}

/** Files that are put into the package as they are. */
export const TEXTS = ["LICENSE", "CHANGELOG.md"];

/**
 * Writes the package's sources to a folder: each twin in its file's place, and each function of
 * another package that is not a dependency in a file of its own.
 */
export async function writeSources(folder: string): Promise<void> {
  const twins = new Set(Object.values(NODE_TWINS));
  const files = [LIBRARY, COMMAND_LINE, ...sources("hooks"), ...sources("src")];
  const bundled = new Map<string, Set<string>>();
  for (const file of files.filter((one) => !twins.has(one))) {
    const depth = file.split("/").length - 1;
    const text = read(NODE_TWINS[file] ?? file);
    for (const [name, from] of clauses(text, "import")) {
      if (!(from in CONFIG.imports) || DEPENDENCIES.includes(from)) continue;
      bundled.set(from, (bundled.get(from) ?? new Set()).add(name));
    }
    const rewritten = text.replaceAll(
      / from "([^".]+)";/g,
      (clause, from: string) =>
        bundled.has(from) ? ` from "${"../".repeat(depth) || "./"}${bundledFile(from)}";` : clause,
    );
    Deno.mkdirSync(`${folder}/${file}`.replace(/\/[^/]+$/, ""), { recursive: true });
    Deno.writeTextFileSync(`${folder}/${file}`, rewritten);
  }
  for (const [from, names] of bundled) {
    await bundle(CONFIG.imports[from] ?? "", [...names], `${folder}/${bundledFile(from)}`);
  }
  const imports = Object.fromEntries(DEPENDENCIES.map((name) => [name, CONFIG.imports[name]]));
  Deno.writeTextFileSync(`${folder}/import_map.json`, JSON.stringify({ imports }));
}

/** `@std/cli/parse-args` becomes `bundled/std_cli_parse_args.ts`. */
function bundledFile(specifier: string): string {
  return `bundled/${specifier.replaceAll(/\W+/g, "_").replace(/^_/, "")}.ts`;
}

/** What the functions of Deno's standard library must carry along; all that is bundled is of it. */
const NOTICE = `// Copyright 2018-2026 the Deno authors. MIT license:
//
${read("LICENSE").split("\n").slice(4).map((line) => `// ${line}`.trimEnd()).join("\n").trimEnd()}
`;

async function bundle(specifier: string, names: readonly string[], file: string): Promise<void> {
  Deno.mkdirSync(file.replace(/\/[^/]+$/, ""), { recursive: true });
  const entry = Deno.makeTempFileSync({ suffix: ".js" });
  try {
    Deno.writeTextFileSync(entry, `export { ${names.join(", ")} } from "${specifier}";\n`);
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["bundle", "--quiet", "--output", file, entry],
      cwd: ROOT,
      stdout: "null",
    }).spawn().status;
    if (!success) throw new Error(`${specifier} could not be bundled`);
  } finally {
    Deno.removeSync(entry);
  }
  Deno.writeTextFileSync(file, `// @ts-nocheck\n${NOTICE}\n${Deno.readTextFileSync(file)}`);
}
