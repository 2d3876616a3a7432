/**
 * Tests the wrapper with programs that make Jobs of their own, in the cluster of `deno task
 * test:kubernetes`. It takes minutes to build them, so it is run before a release:
 *
 *     deno task test:orchestrators [FILTER]
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { exists } from "../tests/support/needs.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** Where these tests are. */
export const TESTS = "tests/orchestrators";

/** The programs, and the variables by which the tests find them. */
const PROGRAMS = [
  { variable: "KUSTOMIZE", module: "sigs.k8s.io/kustomize/kustomize/v5", version: "v5.8.2" },
  { variable: "HELM_3", module: "helm.sh/helm/v3/cmd/helm", version: "v3.22.0" },
  { variable: "HELM_4", module: "helm.sh/helm/v4/cmd/helm", version: "v4.3.1" },
];

/** Builds a program, unless its version is there already; returns its path. */
async function build(module: string, version: string): Promise<string> {
  const folder = `${ROOT}.cache/orchestrators/${version}`;
  // As Go names it: a version at the end is no name.
  const name = module.split("/").findLast((part) => !/^v\d+$/.test(part));
  const path = `${folder}/${name}`;
  if (exists(path)) return path;
  const { success } = await new Deno.Command("go", {
    args: ["install", `${module}@${version}`],
    env: { GOBIN: folder },
  }).spawn().status;
  if (!success) throw new Error(`${module}@${version} could not be built`);
  return path;
}

if (import.meta.main) {
  const env: Record<string, string> = {};
  for (const { variable, module, version } of PROGRAMS) {
    env[variable] = await build(module, version);
  }
  const compiling = new Deno.Command(Deno.execPath(), { args: ["task", "compile"], cwd: ROOT });
  if (!(await compiling.spawn().status).success) Deno.exit(1);
  const script = `${ROOT}scripts/kubernetes/test.ts`;
  const testing = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", script, "--tests", TESTS, ...Deno.args],
    env,
  });
  const { code } = await testing.spawn().status;
  if (code !== 0) console.error(`${TESTS}: failed`);
  Deno.exit(code);
}
