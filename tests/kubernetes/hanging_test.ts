/** The README's lines for `kubectl`: what the sidecars of a pod are, which pods hang, how to free one. */

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { SHELL } from "./images.ts";
import {
  containerOf,
  endOfContainer,
  exitCodes,
  job,
  type Namespace,
  pilotAgent,
  type Pod,
  testInNamespace,
  unwrapped,
} from "./support.ts";

const README = Deno.readTextFileSync(new URL("../../README.md", import.meta.url));

/** The one line of the README that starts so, as a user would paste it for a pod. */
function line(start: string, { metadata: { name } }: Pod): string {
  const found = README.split("\n").filter((line) => line.startsWith(start));
  assertEquals(found.length, 1, `${start}: ${found.length} lines`);
  return (found[0] ?? "").replace(/\bPOD\b/, name).replace(/--image=\S+/, `--image=${SHELL}`);
}

/** The words of a line, as a shell would read them. */
async function words(line: string): Promise<readonly string[]> {
  const script = `set -- ${line.replace(/ &$/, "")}; printf '%s\\0' "$@"`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  const [program, ...args] = new TextDecoder().decode(stdout).split("\0").slice(0, -1);
  assertEquals(program, "kubectl");
  return args;
}

/** A pod that hangs: its COMMAND has ended, and its sidecar was told nothing. */
async function hangingPod(here: Namespace, pod = {}): Promise<Pod> {
  await here.apply(job("hangs", [unwrapped("exit 0"), pilotAgent()], { pod }));
  return await here.pod(
    "hangs",
    (pod) =>
      containerOf(pod, "main")?.state.terminated !== undefined &&
      containerOf(pod, "istio-proxy")?.state.running !== undefined,
  );
}

async function assertComplete(here: Namespace): Promise<void> {
  const { result, pods } = await here.ended("hangs");
  assertEquals([result, pods.map(exitCodes)], ["Complete", [{ main: 0, "istio-proxy": 0 }]]);
}

testInNamespace("a pod that hangs is found, and an ephemeral container frees it", async (here) => {
  const native = {
    ...unwrapped("trap 'exit 0' TERM; while :; do sleep 0.1; done"),
    name: "native",
    restartPolicy: "Always",
  };
  const pod = await hangingPod(here, { initContainers: [native] });

  const sidecars = await here.kubectl(await words(line("kubectl get pod POD", pod)));
  assertEquals(sidecars.stdout, "native: native\nordinary: main istio-proxy\n", sidecars.stderr);

  const hanging = await here.kubectl(await words(line("kubectl get pods -A", pod)));
  const { finishedAt } = endOfContainer(pod, "main");
  const own = hanging.stdout.split("\n").filter((line) => line.startsWith(`${here.name}/`));
  assertEquals(own, [`${here.name}/${pod.metadata.name}\t${finishedAt}\tistio-proxy`]);

  const { code, stdout, stderr } = await here.kubectl(await words(line("kubectl debug", pod)));
  assertEquals(code, 0, stdout + stderr);
  await assertComplete(here);
});

testInNamespace("a pod that hangs is freed by a port-forward and a POST", async (here) => {
  const pod = await hangingPod(here);
  const [post = ""] = README.split("\n").filter((line) => line.startsWith("curl -X POST "));
  const url = new URL(post.split(" ").at(-1) ?? "");
  const args = ["--namespace", here.name, ...await words(line("kubectl port-forward", pod))];
  const forward = new Deno.Command("kubectl", { args, stdout: "piped", stderr: "inherit" }).spawn();
  // It is read to the end: a closed pipe would end kubectl at its next line.
  const output = forward.stdout.getReader();
  try {
    let text = "";
    while (!text.includes("Forwarding from")) {
      const { done, value } = await output.read();
      assert(!done, `kubectl port-forward has ended: ${text}`);
      text += new TextDecoder().decode(value);
    }
    assertMatch(text, new RegExp(`Forwarding from 127\\.0\\.0\\.1:${url.port}`));
    const response = await fetch(url, { method: "POST" });
    assertEquals(response.status, 200, await response.text());
    await assertComplete(here);
  } finally {
    try {
      forward.kill("SIGTERM");
    } catch {
      // It has ended by itself.
    }
    await forward.status;
    await output.cancel();
  }
});
