/**
 * Measures the least memory that the wrapper needs: a job next to pilot-agent's stand-in, as PID 1 with
 * strict settings, from both targets. For each memory limit, it prints how many runs ended as they
 * should and how long the container ran. Cold: the image's files are not in the page cache at first.
 *
 *     deno run --allow-all tests/containers/least_memory.ts [CPUS [MIB...]]
 */

// deno-lint-ignore-file no-console

import { HARD_SETTINGS, imageOn, makeImages, must, PILOT_AGENT_IMAGE, podman } from "./support.ts";

const [cpus, ...limits] = Deno.args;
const LIMITS_MIB = limits.length > 0
  ? limits.map(Number)
  : [128, 96, 80, 72, 64, 56, 48, 40, 32, 28, 24, 22, 20, 18, 16, 14];
const RUNS = 3;

/** A wrapper that takes longer is of no use. */
const LIMIT_S = 30;

async function filesOf(image: string): Promise<string[]> {
  const format = "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}";
  const folders = (await must("podman", ["image", "inspect", "--format", format, image]))
    .split(":").filter((folder) => folder.startsWith("/"));
  const found = await must("find", [...folders, "-type", "f", "-size", "+10k"]);
  return found.split("\n");
}

/** Returns how long the container ran, in milliseconds; undefined if it did not end as it should. */
async function run(image: string, mib: number): Promise<number | undefined> {
  const pod = `wrapper-test-${crypto.randomUUID().slice(0, 8)}`;
  const main = `${pod}-main`;
  await must("podman", ["pod", "create", "--network=none", "--name", pod]);
  try {
    await must("podman", ["run", "--detach", "--pod", pod, PILOT_AGENT_IMAGE, "0", "0"]);
    const memory = [`--memory=${mib}m`, `--memory-swap=${mib}m`, `--timeout=${LIMIT_S}`];
    const settings = HARD_SETTINGS.filter((word) => !word.startsWith("--memory"));
    if (cpus !== undefined) settings.push(`--cpus=${cpus}`);
    const words = ["run", "--pod", pod, "--name", main, ...settings, ...memory];
    const { code, stderr } = await podman(...words, image, "exit", "3");
    const format = "{{.State.StartedAt.UnixMilli}} {{.State.FinishedAt.UnixMilli}}";
    const [start, end] = (await must("podman", ["inspect", "--format", format, main])).split(" ");
    const isRight = code === 3 && stderr.includes("istio: told to quit (200 OK)");
    return isRight ? Number(end) - Number(start) : undefined;
  } finally {
    await podman("pod", "rm", "--force", "--time=0", pod);
  }
}

await makeImages();
for (const [target, title] of [["wrapper", "distroless cc"], ["portable", "scratch"]] as const) {
  // Another test may give this name to another image in the meantime.
  const image = await must("podman", ["image", "inspect", "--format={{.Id}}", imageOn(title)]);
  const files = await filesOf(image);
  for (const cache of ["warm", "cold"]) {
    let failures = 0;
    await run(image, 256);
    for (const mib of LIMITS_MIB) {
      const times: (number | undefined)[] = [];
      for (let time = 0; time < RUNS; time++) {
        if (cache === "cold") {
          for (const file of files) await must("dd", [`if=${file}`, "iflag=nocache", "count=0"]);
        }
        times.push(await run(image, mib));
      }
      const right = times.filter((time) => time !== undefined).toSorted((a, b) => a - b);
      console.log(
        `${target}, ${cache}, ${mib} MiB: ${right.length} of ${RUNS}, ${right.join(", ")} ms`,
      );
      // Still lower limits are not worth the time.
      failures += right.length === 0 ? 1 : 0;
      if (failures > 1) break;
    }
  }
}
