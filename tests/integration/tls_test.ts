/** TLS where it is expected and where it is not, and certificates. */

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
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
import { findProgram, type Need, testWith } from "../support/needs.ts";
import { freePort, startSidecar } from "../support/sidecar.ts";

interface Identities {
  /** The authority's certificate. */
  readonly authority: string;
  /** A server's key and certificate, for 127.0.0.1 and localhost. */
  readonly good: { readonly key: string; readonly cert: string };
  /** The same for another name. */
  readonly elsewhere: { readonly key: string; readonly cert: string };
  readonly [Symbol.dispose]: () => void;
}

/** Makes an authority and certificates that it has signed. */
function makeIdentities(openssl: string): Identities {
  const folder = Deno.makeTempDirSync();
  const make = (name: string, ...more: readonly string[]) => {
    const key = `${folder}/${name}.key`;
    const cert = `${folder}/${name}.pem`;
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    const args = ["req", "-x509", ...curve, "-subj", `/CN=${name}`, "-days", "2"];
    const { success, stderr } = new Deno.Command(openssl, {
      args: [...args, "-keyout", key, "-out", cert, ...more],
    }).outputSync();
    assert(success, new TextDecoder().decode(stderr));
    return { key: Deno.readTextFileSync(key), cert: Deno.readTextFileSync(cert) };
  };
  make("authority");
  const signed = (names: string) => [
    ...["-CA", `${folder}/authority.pem`, "-CAkey", `${folder}/authority.key`],
    ...["-addext", `subjectAltName=${names}`, "-addext", "basicConstraints=critical,CA:FALSE"],
  ];
  return {
    authority: `${folder}/authority.pem`,
    good: make("good", ...signed("IP:127.0.0.1,DNS:localhost")),
    elsewhere: make("elsewhere", ...signed("DNS:elsewhere")),
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

const OPENSSL: Need<string> = {
  what: "OpenSSL 3 (apt-get install openssl)",
  find: () => findProgram("openssl"),
};

testWith(OPENSSL, "TLS, where it is expected and where it is not", async (openssl, context) => {
  using identities = makeIdentities(openssl);
  const trusted = { DENO_CERT: identities.authority };
  const { good, elsewhere } = identities;
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
      title: "a certificate for a name",
      place: { identity: good },
      target: (port) => `https://localhost:${port}/quit`,
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
  using identities = makeIdentities(openssl);
  const folder = identities.authority.replace(/authority\.pem$/, "");
  const port = freePort();
  const pair = ["-key", `${folder}good.key`, "-cert", `${folder}good.pem`];
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
    const env = { DENO_CERT: identities.authority };
    const hook = `https://127.0.0.1:${port}/quit`;
    const { code, stderr } = await runJob([hook], PATIENT, EXIT_3, env);
    assertEquals(code, 3);
    assertMatch(stderr, /CertificateRequired \(1 attempt in .*wants a certificate of its clients/);
  } finally {
    server.kill();
    await server.status;
  }
});
