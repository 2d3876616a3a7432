/** Access to the project's own source files, for tests of how they fit together. */

const ROOT = new URL("../", import.meta.url);

/** Reads a file of this repository. */
export function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** Every source file in a folder and below, without the unit tests next to them. */
export function sources(folder: string): readonly string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))]
    .flatMap(({ name, isDirectory }) =>
      isDirectory ? sources(`${folder}/${name}`) : [`${folder}/${name}`]
    )
    .filter((path) => path.endsWith(".ts") && !path.endsWith("_test.ts"))
    .sort();
}

/** The names in a module's import or export clauses, each with the module that it comes from. */
export function clauses(
  text: string,
  kind: "import" | "export",
): readonly (readonly [name: string, from: string])[] {
  const clause = new RegExp(`^(?: \\* )?${kind} (?:type )?\\{([^}]*)\\} from "([^"]+)";`, "gm");
  return [...text.matchAll(clause)].flatMap(([, names = "", from = ""]) =>
    names.split(",").map((name) => name.replace(/^[\s*]*(?:type )?/, "").trim())
      .filter((name) => name !== "")
      .map((name) => [name, from] as const)
  );
}

/** The files of this repository that a source file imports, whatever the form of the import. */
export function importsOf(path: string): readonly string[] {
  const code = read(path).replaceAll(/\/\*\*[^]*?\*\//g, "");
  const specifiers = [...code.matchAll(/\b(?:from|import)\s*\(?\s*"(\.\.?\/[^"]+)"/g)];
  return specifiers.map(([, specifier = ""]) =>
    new URL(specifier, new URL(path, "file:///")).pathname.slice(1)
  );
}
