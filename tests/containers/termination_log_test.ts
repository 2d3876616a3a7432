/** `--termination-log` as Kubernetes reads it: a file of the node, mounted into the container. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { testWith } from "../support/needs.ts";
import {
  HARD_SETTINGS,
  imageOn,
  makeImages,
  PILOT_AGENT_IMAGE,
  PODMAN,
  startPod,
  withFile,
} from "./support.ts";

const PATH = "/dev/termination-log";

/** What an earlier writer may have left; longer than any summary. */
const OLD = "x".repeat(5000);

/** What the program writes with strict settings, and what the file contains then. */
async function run(
  title: string,
  { hooks, mount, mode }: { hooks: string; mount: string; mode: number },
) {
  await makeImages();
  using file = withFile(OLD, mode);
  await using pod = await startPod();
  if (hooks === "istio") await pod.start("pilot-agent", PILOT_AGENT_IMAGE, "0", "10000");
  const env = [`WRAPPER_TERMINATION_LOG=${PATH}`, `WRAPPER_HOOKS=${hooks}`].map((text) =>
    `--env=${text}`
  );
  const volume = `--volume=${file.path}:${PATH}:${mount}`;
  const window = `--env=WRAPPER_STARTUP_WINDOW=${hooks === "istio" ? "30s" : "0"}`;
  const words = [...HARD_SETTINGS, ...env, window, volume, imageOn(title), "exit", "3"];
  await pod.start("main", ...words);
  assertEquals(await pod.exitCode("main"), 3);
  return { log: await pod.log("main"), text: Deno.readTextFileSync(file.path) };
}

for (const title of ["distroless cc", "scratch"]) {
  // The kubelet creates the file with this mode, because the container may have another user.
  const usual = { hooks: "istio", mount: "rw", mode: 0o666 };

  testWith(
    PODMAN,
    `${title}: the termination log is one line in the file of the node`,
    async () => {
      const { text } = await run(title, usual);
      const summary = JSON.parse(text);
      assertEquals(text.indexOf("\n"), text.length - 1);
      assertEquals([summary.command, summary.exitCode, summary.timedOut], ["/job", 3, false]);
      assert(summary.durationMs >= 0);
      const [{ hook, outcome, answer }] = summary.hooks;
      assertEquals([hook, outcome, answer], ["istio", "stopped", "200 OK"]);
    },
  );

  testWith(
    PODMAN,
    `${title}: many hooks' termination log is no longer than 4,096 bytes`,
    async () => {
      const hooks = Array.from(
        { length: 60 },
        (_, n) => `http://127.0.0.1:9/${"long".repeat(20)}${n}`,
      );
      const { text } = await run(title, { ...usual, hooks: hooks.join(",") });
      assert(text.length <= 4096, String(text.length));
      const { hooks: kept, hooksOmitted } = JSON.parse(text);
      assertEquals(kept.length + hooksOmitted, hooks.length);
    },
  );

  const wrong = [
    ["mounted read-only", { ...usual, mount: "ro" }, "the file system is read-only"],
    ["another user's", { ...usual, mode: 0o644 }, "permission denied"],
  ] as const;
  for (const [what, settings, reason] of wrong) {
    testWith(PODMAN, `${title}: a termination log that is ${what} is a warning`, async () => {
      const { log, text } = await run(title, settings);
      assertStringIncludes(log, `warn: cannot write the termination log ${PATH}: ${reason}`);
      assertStringIncludes(log, "wrapper: istio: told to quit (200 OK)");
      assertEquals(text, OLD);
    });
  }
}
