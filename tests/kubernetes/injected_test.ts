/** The same Job with and without its sidecar: what the injector wrote down decides. */

import { assert, assertEquals } from "../support/assert.ts";
import { PILOT_AGENT } from "./images.ts";
import { withInjectors } from "./injectors.ts";
import {
  containerOf,
  endOfContainer,
  exitCodes,
  job,
  pilotAgent,
  secondsBetween,
  summaryOf,
  testInNamespace,
  wrapped,
} from "./support.ts";

/** A Job that gives the injector's annotation to the wrapper; `inject` asks for the sidecar. */
function either(name: string, script: string, inject: boolean) {
  const main = wrapped(script);
  const fieldRef = { fieldPath: "metadata.annotations['sidecar.istio.io/status']" };
  const injected = { name: "WRAPPER_INJECTED", valueFrom: { fieldRef } };
  const labels = { "sidecar.istio.io/inject": String(inject) };
  return job(name, [{ ...main, env: [...main.env, injected] }], {
    template: { metadata: { labels } },
  });
}

testInNamespace("a job of 1 s takes 1 s, without its sidecar and with it", async (here) => {
  await using _injectors = await withInjectors();
  await here.apply(either("without", "sleep 1", false), either("with", "sleep 1", true));
  const expected = { without: [{ main: 0 }], with: [{ main: 0, "istio-proxy": 0 }] };
  for (const [name, codes] of Object.entries(expected)) {
    const { result, pods } = await here.ended(name);
    assertEquals([result, pods.map(exitCodes)], ["Complete", codes]);
    const [pod] = pods;
    assert(pod !== undefined);
    const { startedAt, finishedAt } = endOfContainer(pod, "main");
    const seconds = secondsBetween(startedAt, finishedAt);
    assert(seconds <= 5, `${name}: ${seconds} s`);
  }
});

/** Longer than a sidecar is expected if nothing is known about it. */
const ORDINARY_WINDOW_S = 30;

testInNamespace(
  "WRAPPER_INJECTED: a sidecar whose image comes after 40 s is told to quit",
  async (here) => {
    const image = `registry.example.com/late:${here.name}`;
    const main = wrapped("exit 0", { env: { WRAPPER_INJECTED: "true" } });
    const late = pilotAgent({ image, imagePullPolicy: "Never" });
    await here.apply(job("late-image", [main, late]));
    const pod = await here.pod("late-image", (pod) => {
      const reason = containerOf(pod, "istio-proxy")?.state.waiting?.reason;
      return containerOf(pod, "main")?.state.running !== undefined &&
        reason === "ErrImageNeverPull";
    });
    const startedAt = containerOf(pod, "main")?.state.running?.startedAt ?? "";
    // There is no event at the end of a window in which nothing happens.
    const waitMs = Date.parse(startedAt) + (ORDINARY_WINDOW_S + 10) * 1000 - Date.now();
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    const { success } = await new Deno.Command("ctr", {
      args: ["--namespace=k8s.io", "images", "tag", PILOT_AGENT, image],
    }).output();
    assert(success);

    const { result, pods: [ended] } = await here.ended("late-image");
    assert(ended !== undefined);
    assertEquals([result, exitCodes(ended)], ["Complete", { main: 0, "istio-proxy": 0 }]);
    assertEquals(summaryOf(ended).hooks.map(({ outcome }) => outcome), ["stopped"]);
    const { startedAt: started } = endOfContainer(ended, "istio-proxy");
    assert(secondsBetween(startedAt, started) > ORDINARY_WINDOW_S);
  },
);
