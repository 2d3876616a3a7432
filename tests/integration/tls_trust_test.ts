/** Which certificates are trusted, and which host a certificate must be for. */

import https from "node:https";
import type { TLSSocket } from "node:tls";
import { assertEquals, assertMatch } from "../support/assert.ts";
import { type Identity, makeAuthority, OPENSSL } from "../support/certificates.ts";
import { both, IPV6_LOOPBACK, testWith } from "../support/needs.ts";
import { runWrapper } from "../support/wrapper.ts";

/** A request with the name that its client asked for in the TLS handshake (SNI). */
interface Arrival {
  readonly line: string;
  readonly host: string | undefined;
  readonly serverName: string | undefined;
}

/** A sidecar that speaks HTTPS. */
async function startSecureSidecar(identity: Identity, hostname: string) {
  const arrivals: Arrival[] = [];
  const server = https.createServer({ ...identity }, (request, response) => {
    const { servername } = request.socket as TLSSocket & { servername?: string | false };
    arrivals.push({
      line: `${request.method} ${request.url}`,
      host: request.headers.host,
      serverName: servername || undefined,
    });
    response.end();
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, hostname, resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    arrivals,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** Runs a job with the sidecar at this host, and returns the log. */
async function run(
  host: string,
  port: number,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const hook = `--hook=https://${host}:${port}/quit`;
  const { code, stderr } = await runWrapper("binary", {
    args: ["--retries=0", hook, "sh", "-c", "exit 3"],
    env,
  });
  assertEquals(code, 3, stderr);
  return stderr;
}

const TOLD = /: told to quit \(200 OK\)/;
const NOT_TRUSTED =
  /NOT stopped.*: connection broke: .*certificate.*Its certificate is not trusted here/;

/** Where the operator puts the authority's certificate, and the variables that say so. */
const PLACES: readonly (readonly [
  title: string,
  env: (path: string) => Readonly<Record<string, string>>,
  log: RegExp,
])[] = [
  ["nowhere", () => ({}), NOT_TRUSTED],
  ["in DENO_CERT", (path) => ({ DENO_CERT: path }), TOLD],
  [
    "in the system's store",
    (path) => ({ DENO_TLS_CA_STORE: "system", SSL_CERT_FILE: path }),
    TOLD,
  ],
  [
    "in the system's store, while only Mozilla's counts",
    (path) => ({ DENO_TLS_CA_STORE: "mozilla", SSL_CERT_FILE: path }),
    NOT_TRUSTED,
  ],
];

for (const [title, env, log] of PLACES) {
  testWith(
    OPENSSL,
    `a certificate of an authority that is ${title}`,
    async (openssl) => {
      using authority = makeAuthority(openssl);
      await using sidecar = await startSecureSidecar(authority.issue("IP:127.0.0.1"), "127.0.0.1");
      assertMatch(await run("127.0.0.1", sidecar.port, env(authority.path)), log);
      assertEquals(sidecar.arrivals.length, log === TOLD ? 1 : 0);
    },
  );
}

testWith(OPENSSL, "a certificate for a name counts for that name", async (openssl) => {
  using authority = makeAuthority(openssl);
  await using sidecar = await startSecureSidecar(authority.issue("DNS:localhost"), "127.0.0.1");
  const env = { DENO_CERT: authority.path };
  assertMatch(await run("localhost", sidecar.port, env), TOLD);
  assertMatch(await run("127.0.0.1", sidecar.port, env), NOT_TRUSTED);
  assertEquals(sidecar.arrivals, [
    { line: "POST /quit", host: `localhost:${sidecar.port}`, serverName: "localhost" },
  ]);
});

testWith(OPENSSL, "a certificate for an IP address counts for that address", async (openssl) => {
  using authority = makeAuthority(openssl);
  await using sidecar = await startSecureSidecar(authority.issue("IP:127.0.0.1"), "127.0.0.1");
  const env = { DENO_CERT: authority.path };
  assertMatch(await run("127.0.0.1", sidecar.port, env), TOLD);
  assertMatch(await run("localhost", sidecar.port, env), NOT_TRUSTED);
  // A name in the handshake is never an address (RFC 6066).
  assertEquals(sidecar.arrivals, [
    { line: "POST /quit", host: `127.0.0.1:${sidecar.port}`, serverName: undefined },
  ]);
});

testWith(
  both(OPENSSL, IPV6_LOOPBACK),
  "a certificate for an IPv6 address counts for that address",
  async ([openssl]) => {
    using authority = makeAuthority(openssl);
    await using sidecar = await startSecureSidecar(authority.issue("IP:::1"), "::1");
    assertMatch(await run("[::1]", sidecar.port, { DENO_CERT: authority.path }), TOLD);
    assertEquals(sidecar.arrivals, [
      { line: "POST /quit", host: `[::1]:${sidecar.port}`, serverName: undefined },
    ]);
  },
);
