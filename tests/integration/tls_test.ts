/** TLS where it is expected and where it is not, and certificates. */

import { assertEquals, assertMatch } from "../support/assert.ts";
import { makeAuthority, OPENSSL } from "../support/certificates.ts";
import {
  ANSWERING,
  EXIT_3,
  NO_ANSWER,
  PATIENT,
  type Row,
  runJob,
  runRow,
  SHORT,
} from "../support/faults.ts";
import { testWith } from "../support/needs.ts";
import { freePort, startSidecar } from "../support/sidecar.ts";

testWith(OPENSSL, "TLS, where it is expected and where it is not", async (openssl, context) => {
  using authority = makeAuthority(openssl);
  const trusted = { DENO_CERT: authority.path };
  const good = authority.issue("IP:127.0.0.1,DNS:localhost");
  const elsewhere = authority.issue("DNS:elsewhere");
  const limits = { ...PATIENT, retries: 1 };
  const told = /: told to quit \(200 OK\)/;
  const rows: readonly Row[] = [
    {
      title: "a certificate that is trusted",
      place: { identity: good },
      env: trusted,
      posts: 1,
      log: told,
    },
    {
      title: "a sidecar that reports readiness first",
      place: { identity: good },
      target: (port) => `envoy=https://127.0.0.1:${port}`,
      args: ["--wait=5s", ...EXIT_3],
      env: trusted,
      posts: 1,
      log: told,
    },
    {
      title: "a certificate that is not trusted",
      place: { identity: good },
      posts: 0,
      log: /certificate.*\(1 attempt in .*Its certificate is not trusted here/,
    },
    {
      title: "a certificate for another name",
      place: { identity: elsewhere },
      env: trusted,
      posts: 0,
      log: /certificate.*\(1 attempt in .*Its certificate is not trusted here/,
    },
    {
      title: "TLS where HTTP is expected",
      place: { identity: good },
      target: (port) => `http://127.0.0.1:${port}/quit`,
      posts: 0,
      log: /connection broke: the answer is TLS, not HTTP \(2 attempts in .*name it with https:/,
    },
    {
      title: "a server that never answers where TLS is expected",
      place: {},
      limits: SHORT,
      posts: 0,
      log: NO_ANSWER,
    },
  ];
  for (const row of rows) {
    await context.step(row.title, () =>
      runRow({
        behavior: ANSWERING,
        target: (port) => `https://127.0.0.1:${port}/quit`,
        limits,
        ...row,
      }));
  }
});

Deno.test("HTTP where TLS is expected", async () => {
  await using sidecar = startSidecar();
  const hook = `https://127.0.0.1:${sidecar.port}/quit`;
  const { code, stderr } = await runJob([hook], { ...PATIENT, retries: 1 }, EXIT_3);
  assertEquals(code, 3);
  assertMatch(
    stderr,
    /connection broke: .+ \(2 attempts in .*does not speak TLS: name it with http:/,
  );
  assertEquals(sidecar.requests, []);
});

testWith(OPENSSL, "a sidecar that wants its client's certificate", async (openssl) => {
  using authority = makeAuthority(openssl);
  const { key, cert } = authority.issue("IP:127.0.0.1,DNS:localhost");
  const folder = Deno.makeTempDirSync();
  const pair = ["-key", `${folder}/key.pem`, "-cert", `${folder}/cert.pem`];
  Deno.writeTextFileSync(`${folder}/key.pem`, key);
  Deno.writeTextFileSync(`${folder}/cert.pem`, cert);
  const port = freePort();
  const server = new Deno.Command(openssl, {
    args: ["s_server", "-accept", `127.0.0.1:${port}`, "-Verify", "1", ...pair, "-www"],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    for await (const text of server.stdout.pipeThrough(new TextDecoderStream())) {
      if (text.includes("ACCEPT")) break;
    }
    const env = { DENO_CERT: authority.path };
    const hook = `https://127.0.0.1:${port}/quit`;
    const { code, stderr } = await runJob([hook], PATIENT, EXIT_3, env);
    assertEquals(code, 3);
    assertMatch(stderr, /CertificateRequired \(1 attempt in .*wants a certificate of its clients/);
  } finally {
    server.kill();
    await server.status;
    Deno.removeSync(folder, { recursive: true });
  }
});
