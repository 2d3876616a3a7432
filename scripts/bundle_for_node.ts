/**
 * Bundles a module of the library for Node, with Node's twin of each file that speaks to Deno.
 *
 *     deno run --allow-all scripts/bundle_for_node.ts [ENTRY] OUTPUT
 *
 * It is not what npm users get (`scripts/build_npm.ts` makes that), but it is made of the same files,
 * and the tests in `tests/node/` run against it.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { NODE_TWINS } from "./build_npm.ts";

const ROOT = new URL("../", import.meta.url);

/**
 * Bundles `entry` to `output`: CommonJS if its name ends in `.cjs`, else an ES module.
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
    console.error("which OUTPUT? usage: bundle_for_node.ts [ENTRY] OUTPUT");
    Deno.exit(2);
  }
  Deno.exit(await bundleForNode(output, entry));
}
