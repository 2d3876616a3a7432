import { httpPreset, main } from "@k8s-job/wrapper";

const mine = httpPreset({
  name: "mine",
  summary: "our own metrics agent",
  baseUrl: "http://localhost:7777",
  stop: { path: "/quit" },
  ready: { path: "/ready" },
});
Deno.exit(await main(Deno.args, { hooks: [mine] }));
