/**
 * Builds the programs of a Kubernetes cluster and real sidecars from their Go modules:
 *
 *     deno run --allow-all scripts/kubernetes/programs.ts
 *
 * They are kept in `.cache/kubernetes/`, by version, so that a second run builds nothing. The first takes
 * about 20 minutes on two cores.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { findProgram, type Need } from "../../tests/support/needs.ts";

/** Where builds, images and logs are kept; git ignores it. */
export const CACHE: string = new URL("../../.cache/kubernetes", import.meta.url).pathname;

/** The tests that run in the cluster, as a path from the repository's root. */
export const TESTS = "tests/kubernetes";

const SOURCES = new URL("../../tests/kubernetes/", import.meta.url).pathname;

/** Programs that are built from one Go module. */
interface Build {
  /** The folder in `tests/kubernetes/` with its go.mod. */
  readonly sources: string;
  /** The module in that go.mod whose version is the programs' version. */
  readonly module: string;
  /** Each program, and the package that it is built from. */
  readonly programs: Readonly<Record<string, string>>;
  readonly tags: string;
  /** Variables in the programs that get the version. */
  readonly versionVariables?: readonly string[];
  /** More names for the first program, which looks at the name it is called by. */
  readonly names?: readonly string[];
  /** Files of the module that are needed too. */
  readonly files?: readonly string[];
}

const KUBERNETES: Build = {
  sources: "programs",
  module: "k8s.io/kubernetes",
  programs: { kubernetes: "." },
  tags: "",
  versionVariables: ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
    .map((name) => `${name}.gitVersion`),
  names: ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"],
};

const ISTIO: Build = {
  sources: "istio",
  module: "istio.io/istio",
  programs: {
    "pilot-agent": "istio.io/istio/pilot/cmd/pilot-agent",
    "control-plane": ".",
  },
  tags: "agent,disable_pgv",
  files: ["tools/packaging/common/envoy_bootstrap.json"],
};

const DAPR: Build = {
  sources: "dapr",
  module: "github.com/dapr/dapr",
  programs: { daprd: "github.com/dapr/dapr/cmd/daprd" },
  tags: "stablecomponents",
};

const BUILDS: readonly Build[] = [KUBERNETES, ISTIO, DAPR];

/** The folder with the Kubernetes programs. */
export const KUBERNETES_PROGRAMS: string = folderOf(KUBERNETES);

/** The folder with `pilot-agent`, its `envoy_bootstrap.json`, and a `control-plane` without any content. */
export const ISTIO_PROGRAMS: string = folderOf(ISTIO);

/** The folder with `daprd`. */
export const DAPR_PROGRAMS: string = folderOf(DAPR);

/** The Go toolchain. */
export const GO: Need<string> = {
  what: "Go 1.26 or later (https://go.dev/dl)",
  find: () => findProgram("go"),
};

/** A need for programs that are built here. */
function built(build: Build): Need<string> {
  const [name] = Object.keys(build.programs);
  return {
    what: `${name} ${versionOf(build)} (deno run --allow-all scripts/kubernetes/programs.ts)`,
    find: () => isBuilt(build) ? folderOf(build) : undefined,
  };
}

/** {@linkcode ISTIO_PROGRAMS}, once they are built. */
export const BUILT_ISTIO: Need<string> = built(ISTIO);

/** {@linkcode DAPR_PROGRAMS}, once they are built. */
export const BUILT_DAPR: Need<string> = built(DAPR);

function versionOf({ sources, module }: Build): string {
  const lines = Deno.readTextFileSync(`${SOURCES}${sources}/go.mod`).split("\n");
  const words = lines.map((line) => line.replace("require ", "").trim().split(" "));
  const version = words.find(([name]) => name === module)?.[1];
  if (version === undefined) throw new Error(`no version of ${module} in ${sources}/go.mod`);
  return version;
}

function folderOf(build: Build): string {
  return `${CACHE}/${build.sources}-${versionOf(build)}`;
}

/** Whether all have been built. */
export function areBuilt(): boolean {
  return BUILDS.every(isBuilt);
}

function isBuilt(build: Build): boolean {
  try {
    return Deno.statSync(folderOf(build)).isDirectory;
  } catch {
    return false;
  }
}

/**
 * Builds the programs that have not been built yet.
 *
 * @throws {Error} if Go is missing or cannot build them
 */
export async function buildPrograms(): Promise<void> {
  for (const build of BUILDS) {
    if (!isBuilt(build)) await buildNow(build);
  }
}

async function buildNow(build: Build): Promise<void> {
  const { sources, module, programs, tags, versionVariables = [], names = [], files = [] } = build;
  const go = GO.find();
  if (go === undefined) throw new Error(`needs ${GO.what}`);
  const run = async (...args: readonly string[]): Promise<string> => {
    const { success, stdout } = await new Deno.Command("nice", {
      args: ["-n", "15", go, ...args],
      cwd: SOURCES + sources,
      // Two compilers at once: each takes up to a gigabyte of memory.
      env: { CGO_ENABLED: "0", GOFLAGS: "-p=2 -mod=readonly" },
      stderr: "inherit",
    }).output();
    if (!success) throw new Error(`go ${args.join(" ")} failed`);
    return new TextDecoder().decode(stdout).trim();
  };

  const draft = `${folderOf(build)}.draft`;
  await new Deno.Command("rm", { args: ["-rf", draft] }).output();
  Deno.mkdirSync(draft, { recursive: true });
  const version = versionOf(build);
  const flags = ["-s", "-w", ...versionVariables.map((name) => `-X ${name}=${version}`)].join(" ");
  for (const [name, from] of Object.entries(programs)) {
    const output = `${draft}/${name}`;
    await run("build", "-trimpath", "-tags", tags, "-ldflags", flags, "-o", output, from);
  }
  const [first = ""] = Object.keys(programs);
  for (const name of names) Deno.symlinkSync(first, `${draft}/${name}`);
  const origin = await run("list", "-m", "-f", "{{.Dir}}", module);
  for (const file of files) {
    Deno.copyFileSync(`${origin}/${file}`, `${draft}/${file.split("/").at(-1)}`);
  }
  Deno.renameSync(draft, folderOf(build));
}

if (import.meta.main) {
  const start = performance.now();
  await buildPrograms();
  const seconds = Math.round((performance.now() - start) / 1000);
  console.log(`${BUILDS.map(folderOf).join(", ")}: ready after ${seconds} s`);
}
