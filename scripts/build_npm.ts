/**
 * Builds the npm package in `npm/`: ES modules and CommonJS, with types, for Node 20 and later.
 *
 *     deno task npm
 *
 * dnt, which does the work, comes from JSR. If JSR cannot be reached, the script says so, and
 * `scripts/bundle_for_node.ts` still proves that the library runs on Node.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { VERSION } from "../src/cli/version.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** Where the package is built. */
const OUTPUT = `${ROOT}npm`;

/** The files that have a twin for Node. */
export const NODE_TWINS: Readonly<Record<string, string>> = {
  "src/platform/deno.ts": "src/platform/node.ts",
};

/** The exact package, so that no other one with a similar name is used. */
const DNT = "jsr:@deno/dnt@^0.42.1";

/** What this script uses of dnt. */
interface Dnt {
  emptyDir(path: string): Promise<void>;
  build(options: Readonly<Record<string, unknown>>): Promise<void>;
}

function isDnt(module: unknown): module is Dnt {
  return typeof module === "object" && module !== null &&
    "build" in module && typeof module.build === "function" &&
    "emptyDir" in module && typeof module.emptyDir === "function";
}

/** Loads dnt; if it cannot be loaded, prints why and returns undefined. */
async function loadDnt(): Promise<Dnt | undefined> {
  try {
    const dnt: unknown = await import(DNT);
    if (isDnt(dnt)) return dnt;
    console.error(`${DNT} does not export build() and emptyDir()`);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    console.error(`The npm package is made by ${DNT}, which cannot be loaded here: ${reason}`);
  }
  return undefined;
}

async function buildPackage(dnt: Dnt): Promise<void> {
  await dnt.emptyDir(OUTPUT);
  await dnt.build({
    entryPoints: [`${ROOT}mod.ts`],
    outDir: OUTPUT,
    importMap: `${ROOT}deno.json`,
    mappings: Object.fromEntries(
      Object.entries(NODE_TWINS).map(([file, twin]) => [`${ROOT}${file}`, `${ROOT}${twin}`]),
    ),
    // The Node twins make no call to Deno, so there is nothing to shim.
    shims: {},
    // The tests run on Deno, and on Node through scripts/bundle_for_node.ts.
    test: false,
    esModule: true,
    scriptModule: "cjs",
    // Each of the two formats has its own declarations: TypeScript resolves this form most reliably.
    declaration: "inline",
    // `deno check` has already checked everything, and dnt has an older TypeScript and older libraries.
    typeCheck: false,
    compilerOptions: { target: "ES2022", lib: ["ES2023", "DOM", "DOM.Iterable"] },
    package: {
      name: "@k8s-job/wrapper",
      version: VERSION,
      description: "Runs a Kubernetes Job's command, then tells the pod's sidecars to quit",
      keywords: ["kubernetes", "job", "sidecar", "istio", "linkerd", "cloud-sql-proxy"],
      license: "MIT",
      // ky is an ES module: CommonJS can require it from this version on.
      engines: { node: "^20.19.0 || >=22.12.0" },
      sideEffects: false,
      devDependencies: { "@types/node": "^20.19.0" },
    },
    postBuild() {
      for (const file of ["LICENSE", "README.md", "CHANGELOG.md"]) {
        Deno.copyFileSync(`${ROOT}${file}`, `${OUTPUT}/${file}`);
      }
    },
  });
}

if (import.meta.main) {
  const dnt = await loadDnt();
  if (dnt === undefined) Deno.exit(1);
  await buildPackage(dnt);
}
