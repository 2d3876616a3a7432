import { BrokenConnectionError, NobodyListensError, openEndpoint } from "./endpoint.ts";
import { assertEquals, assertRejects } from "../../tests/support/assert.ts";
import { freePort, startSidecar } from "../../tests/support/sidecar.ts";

/** The addresses of two servers on one port. */
function twoAddresses(port: number) {
  return [{ hostname: "127.0.0.2", port }, { hostname: "127.0.0.3", port }];
}

const request = () => new Request("http://agent.test/", { method: "POST" });

Deno.test("an endpoint tries its addresses in order, and starts with the one that answered last", async () => {
  await using second = startSidecar([200], { hostname: "127.0.0.3" });
  const endpoint = openEndpoint(twoAddresses(second.port));
  assertEquals((await endpoint.send(request())).status, 200);
  await using first = startSidecar([200], { hostname: "127.0.0.2", port: second.port });
  assertEquals((await endpoint.send(request())).status, 200);
  assertEquals([first.posts().length, second.posts().length], [0, 2]);

  await openEndpoint(twoAddresses(second.port)).send(request());
  assertEquals([first.posts().length, second.posts().length], [1, 2]);
});

Deno.test("an endpoint without a listener refuses, at every address", async () => {
  const endpoint = openEndpoint(twoAddresses(freePort()));
  await assertRejects(() => endpoint.send(request()), NobodyListensError, "connection refused");
  assertEquals(await endpoint.accepts(AbortSignal.timeout(10_000)), false);
});

Deno.test("an endpoint accepts if any of its addresses does", async () => {
  await using second = startSidecar([200], { hostname: "127.0.0.3" });
  const endpoint = openEndpoint(twoAddresses(second.port));
  assertEquals(await endpoint.accepts(AbortSignal.timeout(10_000)), true);
  assertEquals(second.requests, []);
});

/** A server that hangs up without an answer; it may stop listening before that. */
function startHangingUp(options: { stopListening: boolean }) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let isListening = true;
  const close = () => {
    if (isListening) listener.close();
    isListening = false;
  };
  (async () => {
    for await (const connection of listener) {
      await connection.read(new Uint8Array(4096));
      if (options.stopListening) close();
      connection.close();
    }
  })().catch(() => {});
  return { address: listener.addr, [Symbol.dispose]: close };
}

Deno.test("an endpoint tells a broken connection from a server that has quit", async () => {
  using broken = startHangingUp({ stopListening: false });
  const { hostname, port } = broken.address;
  const message = "closed without an answer";
  await assertRejects(
    () => openEndpoint([{ hostname, port }]).send(request()),
    BrokenConnectionError,
    message,
  );
  using quitting = startHangingUp({ stopListening: true });
  await assertRejects(
    () => openEndpoint([{ hostname, port: quitting.address.port }]).send(request()),
    NobodyListensError,
    "it quit without an answer",
  );
});
