/** Real sidecars that need more than a moment to become ready: pilot-agent with its Envoy, and daprd. */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { DAPR, ISTIO } from "./images.ts";
import { exitCodes, job, summaryOf, testInNamespace, wrapped } from "./support.ts";

/** Each hook with its sidecar's image, and what COMMAND needs to stop it. */
const SIDECARS: readonly (readonly [hook: string, image: string, env: Record<string, string>])[] = [
  ["istio", ISTIO, {}],
  ["dapr", DAPR, { DAPR_API_TOKEN: "a-token" }],
];

for (const [hook, image, variables] of SIDECARS) {
  for (const named of [hook, "auto"]) {
    testInNamespace(
      `the real sidecar of ${hook}, WRAPPER_HOOKS=${named}: ready, then told to quit`,
      async (here) => {
        // An injector's annotation says that the sidecar comes; `auto` then looks for no further one.
        const env = {
          WRAPPER_HOOKS: named,
          WRAPPER_WAIT: "60s",
          WRAPPER_INJECTED: "true",
          ...variables,
        };
        await here.apply(job("real", [wrapped("exit 3", { env }), { name: "sidecar", image }]));
        const { result, pods: [pod] } = await here.ended("real");
        assert(pod !== undefined);
        assertEquals([result, exitCodes(pod)], ["Failed", { main: 3, sidecar: 0 }]);
        assertEquals(summaryOf(pod).hooks.map(({ outcome }) => outcome), ["stopped"]);
        assertStringIncludes(await here.log(pod, "main"), "ready");
      },
    );
  }

  testInNamespace(
    `the real sidecar of ${hook} and a COMMAND that ends at once: Complete`,
    async (here) => {
      const env = { WRAPPER_HOOKS: hook, ...variables };
      await here.apply(job("short", [wrapped("exit 0", { env }), { name: "sidecar", image }]));
      const { result, pods } = await here.ended("short");
      assertEquals([result, pods.map(exitCodes)], ["Complete", [{ main: 0, sidecar: 0 }]]);
    },
  );
}
