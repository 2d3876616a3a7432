/** Certificates for tests, made by OpenSSL. */

import { assert } from "./assert.ts";
import { findProgram, type Need } from "./needs.ts";

/** OpenSSL. */
export const OPENSSL: Need<string> = {
  what: "OpenSSL 3 (apt-get install openssl)",
  find: () => findProgram("openssl"),
};

/** A server's private key and certificate, as PEM. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
}

/** A certificate authority that nobody trusts by default. */
export interface Authority extends Disposable {
  /** The file with its certificate. */
  readonly path: string;
  /** Makes a server's identity for these names, such as `DNS:localhost,IP:127.0.0.1`. */
  issue(names: string): Identity;
}

/** Makes an authority, in a folder that is removed in the end. */
export function makeAuthority(openssl: string): Authority {
  const folder = Deno.makeTempDirSync();
  let count = 0;
  function make(name: string, ...more: readonly string[]): Identity {
    const [key, cert] = [`${folder}/${name}.key`, `${folder}/${name}.pem`];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    const args = ["req", "-x509", ...curve, "-subj", `/CN=${name}`, "-days", "2"];
    const { success, stderr } = new Deno.Command(openssl, {
      args: [...args, "-keyout", key, "-out", cert, ...more],
    }).outputSync();
    assert(success, new TextDecoder().decode(stderr));
    return { key: Deno.readTextFileSync(key), cert: Deno.readTextFileSync(cert) };
  }
  const path = `${folder}/authority.pem`;
  make("authority");
  return {
    path,
    issue: (names) =>
      make(
        `server${++count}`,
        ...["-CA", path, "-CAkey", `${folder}/authority.key`],
        ...["-addext", `subjectAltName=${names}`],
        ...["-addext", "basicConstraints=critical,CA:FALSE"],
      ),
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}
