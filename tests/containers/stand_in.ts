/**
 * A sidecar's stand-in as a program: it answers on the sidecar's own ports, prints each request, and
 * exits after the one that makes the sidecar exit. It also prints that HEADER of a request.
 *
 *     deno run --allow-net stand_in.ts NAME [HEADER]
 */

// deno-lint-ignore-file no-console

import { STAND_INS } from "../support/stand_ins.ts";

const [name, header = "x-none"] = Deno.args;
const standIn = STAND_INS.find((candidate) => candidate.name === name);
if (standIn === undefined) throw new Error(`no stand-in for ${name}`);

const stopped = Promise.withResolvers<void>();
const servers = standIn.ports.map(({ port, pages, otherwise }) =>
  Deno.serve({ port, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const { pathname, search } = new URL(request.url);
    const { status, headers = {}, body = null } = pages[`${request.method} ${pathname}${search}`] ??
      otherwise;
    const line = `${request.method} :${port}${pathname}${search}`;
    const value = request.headers.get(header);
    console.log(`${line} ${status}${value === null ? "" : ` ${header}: ${value}`}`);
    if (line === standIn.stop) stopped.resolve();
    return new Response(body, { status, headers });
  })
);
await stopped.promise;
// Each server ends once its last answer has been sent.
await Promise.all(servers.map((server) => server.shutdown()));
