/** When a sidecar may be told at once, and when it must not be told yet. */

import {
  auto,
  consulDataplane,
  type HookContext,
  httpHook,
  istio,
  linkerd,
  nameHook,
} from "@k8s-job/wrapper";
import { assertEquals } from "../tests/support/assert.ts";
import { startSidecar } from "../tests/support/sidecar.ts";

function contextOf(deadlineMs: number): HookContext & { readonly [Symbol.dispose]: () => void } {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), deadlineMs);
  let isSeen = false;
  return {
    signal: deadline.signal,
    requestTimeoutMs: deadlineMs,
    deadlineMs,
    retries: 0,
    wasSeen: () => isSeen,
    markSeen: () => {
      isSeen = true;
    },
    debug: () => {},
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}

/** How a Linkerd proxy answers that has no policy yet. */
const NO_POLICY = () => new Response(null, { status: 403, headers: { "content-length": "0" } });

Deno.test("a preset's sidecar is armed once it was found", async () => {
  await using sidecar = startSidecar();
  const hook = istio({ baseUrl: sidecar.origin });
  assertEquals(hook.arm?.(), undefined);
  using context = contextOf(10_000);
  await hook.warmUp?.(context);
  assertEquals(typeof hook.arm?.()?.send, "function");
  await hook.stop(context);
});

Deno.test("a Linkerd proxy is armed once its first policy has come", async () => {
  let asked = 0;
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => ++asked < 3 ? NO_POLICY() : new Response("ready\n"),
  );
  const hook = linkerd({ baseUrl: `http://127.0.0.1:${server.addr.port}` });
  using context = contextOf(10_000);
  await hook.warmUp?.(context);
  assertEquals([asked, typeof hook.arm?.()], [3, "object"]);
  await hook.stop(context);
});

Deno.test("a Linkerd proxy whose first policy does not come is not armed", async () => {
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    NO_POLICY,
  );
  const hook = linkerd({ baseUrl: `http://127.0.0.1:${server.addr.port}` });
  using context = contextOf(500);
  assertEquals((await hook.warmUp?.(context))?.state, "present");
  assertEquals([context.wasSeen(), hook.arm?.()], [true, undefined]);
  using later = contextOf(10_000);
  await hook.stop(later);
});

Deno.test("consul-dataplane is not armed before its Envoy is there", async () => {
  await using server = startSidecar([200], { get: 404 });
  const hook = consulDataplane({ baseUrl: server.origin });
  using context = contextOf(500);
  // Without a dataplane in it, nobody answers for Envoy at the graceful port.
  assertEquals((await hook.warmUp?.(context))?.state, "present");
  assertEquals(hook.arm?.(), undefined);
  using later = contextOf(2000);
  await hook.stop(later);
});

Deno.test("a stop request is sent once, in whatever letters its method is written", async () => {
  await using sidecar = startSidecar();
  for (const method of ["patch", "put", "Patch"]) {
    const before = sidecar.posts().length;
    const hook = httpHook({ name: "mine", stop: { method, url: `${sidecar.origin}/quit` } });
    using context = contextOf(10_000);
    await hook.warmUp?.(context);
    context.markSeen();
    await hook.arm?.()?.send();
    await hook.stop(context);
    assertEquals(sidecar.posts().slice(before).map(({ path }) => path), ["/quit"], method);
  }
});

Deno.test("auto asks again before it posts, if another program came in its sidecar's place", async () => {
  let isSidecar = true;
  await using server = startSidecar();
  const mine = nameHook(
    "mine",
    "",
    () => httpHook({ name: "mine", stop: { url: `${server.origin}/quit` } }),
    () => Promise.resolve(isSidecar),
  );
  const [hook] = auto([mine]).candidates;
  using context = contextOf(10_000);
  assertEquals((await hook?.warmUp?.(context))?.state, "ready");
  context.markSeen();
  isSidecar = false;
  assertEquals((await hook?.warmUp?.(context))?.state, "absent");
  assertEquals(hook?.arm?.(), undefined);
  assertEquals((await hook?.stop(context))?.state, "absent");
  assertEquals(server.posts(), []);
});
