/**
 * Bundles a module of the library for Node, with the Node twin of each file that calls Deno.
 *
 *     deno run --allow-all scripts/bundle_for_node.ts [ENTRY] OUTPUT
 *
 * This is not what npm users get (`scripts/build_npm.ts` builds that), but it is made from the same
 * files, and the tests in `tests/node/` run against it.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { NODE_TWINS } from "./npm/package.ts";

const ROOT = new URL("../", import.meta.url);

/**
 * Bundles `entry` into `output`: CommonJS if the name of `output` ends in `.cjs`, else an ES module.
 *
 * @returns the exit code of the bundler
 */
export async function bundleForNode(output: string, entry = "mod.ts"): Promise<number> {
  const folder = Deno.makeTempDirSync({ prefix: "wrapper-node-" });
  try {
    const { imports } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
    const twins = Object.entries(NODE_TWINS).map(([file, twin]) => [
      new URL(file, ROOT).href,
      new URL(twin, ROOT).href,
    ]);
    const importMap = `${folder}/import_map.json`;
    const map = { imports: { ...imports, ...Object.fromEntries(twins) } };
    Deno.writeTextFileSync(importMap, JSON.stringify(map));
    const format = output.endsWith(".cjs") ? "cjs" : "esm";
    const options = ["--quiet", "--import-map", importMap, "--format", format, "--output", output];
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: ["bundle", ...options, new URL(entry, ROOT).pathname],
      cwd: ROOT,
      stdout: "null",
    }).spawn().status;
    return code;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [output, entry] = [...Deno.args].reverse();
  if (output === undefined) {
    console.error("OUTPUT is missing. Usage: bundle_for_node.ts [ENTRY] OUTPUT");
    Deno.exit(2);
  }
  Deno.exit(await bundleForNode(output, entry));
}
