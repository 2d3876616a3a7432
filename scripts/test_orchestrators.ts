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

/** Python programs, the variables with their interpreters, and the folders with their requirements. */
const PYTHON_PROGRAMS = [
  { variable: "AIRFLOW", folder: "airflow", version: "3.3.2" },
  { variable: "DAGSTER", folder: "dagster", version: "1.13.27" },
  { variable: "SPARK", folder: "spark", version: "4.3.0" },
];

/** Installs Python packages into an environment of their own, unless it is there; returns its Python. */
async function install(folder: string, version: string): Promise<string> {
  const environment = `${ROOT}.cache/orchestrators/${folder}-${version}`;
  const python = `${environment}/bin/python`;
  // Its scripts name this path, so that it cannot be made elsewhere and moved.
  const mark = `${environment}/installed`;
  if (exists(mark)) return python;
  const requirements = `${ROOT}${TESTS}/${folder}/requirements.txt`;
  const pip = ["-m", "pip", "install", "--quiet", "--requirement", requirements];
  for (
    const [file, args] of [
      ["python3", ["-m", "venv", "--clear", environment]],
      [python, pip],
    ] as const
  ) {
    const { success } = await new Deno.Command(file, { args: [...args] }).spawn().status;
    if (!success) throw new Error(`${folder} ${version} could not be installed`);
  }
  Deno.writeTextFileSync(mark, "");
  return python;
}

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
  for (const { variable, folder, version } of PYTHON_PROGRAMS) {
    env[variable] = await install(folder, version);
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
