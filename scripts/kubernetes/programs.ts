/**
 * Builds the programs of a Kubernetes cluster from its Go module, one executable for all of them:
 *
 *     deno run --allow-all scripts/kubernetes/programs.ts
 *
 * They are kept in `.cache/kubernetes/VERSION`, so that a second run builds nothing. The first takes
 * about a quarter of an hour on two cores.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { findProgram, type Need } from "../../tests/support/needs.ts";

/** Where builds, images and logs are kept; git ignores it. */
export const CACHE: string = new URL("../../.cache/kubernetes", import.meta.url).pathname;

const SOURCES = new URL("../../tests/kubernetes/programs/", import.meta.url).pathname;

/** The version that `go.mod` names: `v1.36.3`. */
export const KUBERNETES_VERSION: string = versionOf(Deno.readTextFileSync(`${SOURCES}go.mod`));

/** The tests that run in the cluster, as a path from the repository's root. */
export const TESTS = "tests/kubernetes";

const FOLDER = `${CACHE}/${KUBERNETES_VERSION}`;

/** The names by which the one executable is called. */
const NAMES = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"];

/** The Go toolchain. */
export const GO: Need<string> = {
  what: "Go 1.26 or later (https://go.dev/dl)",
  find: () => findProgram("go"),
};

function versionOf(goMod: string): string {
  const [, version] = /^\s*k8s\.io\/kubernetes (v\S+)$/m.exec(goMod) ?? [];
  if (version === undefined) throw new Error("no version of k8s.io/kubernetes in go.mod");
  return version;
}

/**
 * Builds the programs, if they have not been built yet.
 *
 * @returns the folder with the programs
 * @throws {Error} if Go is missing or cannot build them
 */
export async function buildPrograms(): Promise<string> {
  const folder = FOLDER;
  if (isBuilt()) return folder;
  const go = GO.find();
  if (go === undefined) throw new Error(`needs ${GO.what}`);
  const draft = `${folder}.${Deno.pid}`;
  Deno.mkdirSync(draft, { recursive: true });
  const variables = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];
  const versions = variables.map((name) => `-X ${name}.gitVersion=${KUBERNETES_VERSION}`);
  const { success } = await new Deno.Command("nice", {
    args: [
      ...["-n", "15", go, "build", "-trimpath", "-ldflags", `-s -w ${versions.join(" ")}`],
      ...["-o", `${draft}/kubernetes`, "."],
    ],
    cwd: SOURCES,
    // Each compiler takes up to a gigabyte of memory.
    env: { CGO_ENABLED: "0", GOFLAGS: "-p=2 -mod=readonly" },
  }).output();
  if (!success) throw new Error("go build failed");
  for (const name of NAMES) Deno.symlinkSync("kubernetes", `${draft}/${name}`);
  await new Deno.Command("rm", { args: ["-rf", folder] }).output();
  Deno.renameSync(draft, folder);
  return folder;
}

/** Whether they have been built. */
export function isBuilt(): boolean {
  try {
    Deno.statSync(`${FOLDER}/kubectl`);
    return true;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  const start = performance.now();
  const folder = await buildPrograms();
  console.log(`${folder}: ready after ${Math.round((performance.now() - start) / 1000)} s`);
}
