/**
 * A stand-in for Istio's pilot-agent, in a separate process: not there for a moment, then ready, and
 * gone after a POST to `/quitquitquit`.
 *
 *     deno run --allow-net scripts/demo_sidecar.ts
 *
 * It prints the port that it will listen on, and one JSON line for each thing that happens.
 *
 * @module
 */

// deno-lint-ignore-file no-console

const STARTUP_MS = 300;

/** One line of the stand-in's output. */
export type SidecarEvent =
  | { readonly event: "port"; readonly port: number }
  | { readonly event: "up" }
  | { readonly event: "request"; readonly method: string; readonly path: string }
  | { readonly event: "gone" };

function print(event: SidecarEvent): void {
  console.log(JSON.stringify(event));
}

if (import.meta.main) {
  const reserved = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = reserved.addr;
  reserved.close();
  print({ event: "port", port });

  await new Promise((resolve) => setTimeout(resolve, STARTUP_MS));
  const quit = new AbortController();
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port,
    signal: quit.signal,
    onListen: () => print({ event: "up" }),
  }, (request) => {
    const path = new URL(request.url).pathname;
    print({ event: "request", method: request.method, path });
    if (path === "/healthz/ready") return new Response(null, { status: 200 });
    if (path !== "/quitquitquit") return new Response(null, { status: 404 });
    if (request.method !== "POST") return new Response(null, { status: 405 });
    queueMicrotask(() => quit.abort());
    return new Response("OK");
  });
  await server.finished;
  print({ event: "gone" });
}
