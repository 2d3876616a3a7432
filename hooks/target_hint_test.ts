import { parseHook, parseWaitFor, PRESETS } from "./registry.ts";
import { REFERENCE_HINT } from "../src/http/url.ts";
import { couldBeTarget, nearestTarget, targetHint } from "./target_hint.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "../tests/support/assert.ts";

const METHOD_HINT =
  "an HTTP method is in capitals, and in one value with its URL: 'POST http://HOST:PORT/PATH'";

const hint = (text: string) => targetHint(text, PRESETS);

Deno.test("a mistyped name, or another one for the same sidecar, gets a suggestion", () => {
  const rows = {
    linkrd: "linkerd",
    Istio: "istio",
    ISTIO: "istio",
    "istio-proxy": "istio",
    "pilot-agent": "istio",
    isito: "istio",
    "envoy-proxy": "envoy",
    "linkerd-proxy": "linkerd",
    linkerd2: "linkerd",
    "cloud-sql": "cloud-sql-proxy",
    cloudsql: "cloud-sql-proxy",
    cloud_sql_proxy: "cloud-sql-proxy",
    cloudsqlproxy: "cloud-sql-proxy",
    alloydb: "alloydb-auth-proxy",
    vault: "vault-agent",
    openbao: "vault-agent",
    consul: "consul-dataplane",
    daprd: "dapr",
    "kuma-dp": "kuma",
    Auto: "auto",
    None: "none",
    false: "none",
  };
  for (const [text, meant] of Object.entries(rows)) {
    assertEquals(hint(text), `did you mean ${meant}?`, text);
    assertEquals(nearestTarget(text, PRESETS), meant);
  }
  for (const text of ["nginx", "fluentd", "x", "", "---", "sidecar"]) {
    assertEquals(hint(text), undefined, text);
  }
});

Deno.test("every other mistake says how to write it", () => {
  const rows: Readonly<Record<string, string>> = {
    "istio,envoy":
      "--hook takes one TARGET: repeat it, --hook A --hook B, or set WRAPPER_HOOKS=A,B",
    "istio; envoy":
      "--hook takes one TARGET: repeat it, --hook A --hook B, or set WRAPPER_HOOKS=A,B",
    "istio envoy":
      "--hook takes one TARGET: repeat it, --hook A --hook B, or set WRAPPER_HOOKS=A,B",
    '"istio"': "remove the quotes",
    "'http://localhost:1/quit": "remove the quotes",
    "localhost:15020/quit": "did you mean http://localhost:15020/quit?",
    "15020": "did you mean http://localhost:15020/PATH?",
    ":15020/quitquitquit": "did you mean http://localhost:15020/quitquitquit?",
    signal: "did you mean signal:NAME?",
    file: "did you mean file:PATH?",
    "127.0.0.1:80": "did you mean http://127.0.0.1:80?",
    "my-sidecar:8080/quit": "an address needs http:// before it",
    "Linkerd=http://localhost:1": "did you mean linkerd=BASE_URL?",
    "istio:15020": "did you mean istio=http://localhost:15020?",
    "https:/localhost/quit": "a URL starts with http://, https:// or http+unix://",
    "singal:nginx": "did you mean signal:…?",
    "Signal=nginx": "did you mean signal:…?",
    "files:/x": "did you mean file:…?",
    "/shared/done": "a path needs file: before it",
    "POST localhost:80/quit": "did you mean POST http://localhost:80/quit?",
    "post http://localhost:80/quit": METHOD_HINT,
    "Post localhost:80/quit": METHOD_HINT,
    POST: METHOD_HINT,
    "$(HOOKS)": REFERENCE_HINT,
    "${HOOKS}": REFERENCE_HINT,
    "$(POD_IP):8080/quit": REFERENCE_HINT,
    get: METHOD_HINT,
    "https//localhost/quit": "a URL starts with http://, https:// or http+unix://",
    "tcp://localhost:80": "tcp:// is for --wait-for; a hook needs the whole URL of a stop request",
    "unix:/run/x.sock":
      "a Unix socket is http+unix://%2Fpath%2Fto.sock/ and the path of the stop request",
    "process:nginx": "signal:NAME sends SIGTERM to the processes of that name",
  };
  for (const [text, expected] of Object.entries(rows)) assertEquals(hint(text), expected, text);
});

Deno.test("what is waited for has other forms", () => {
  const rows: Readonly<Record<string, string>> = {
    linkrd: "did you mean linkerd?",
    "istio,envoy":
      "--wait-for takes one TARGET: repeat it, --wait-for A --wait-for B, or set WRAPPER_WAIT_FOR=A,B",
    "postgres:5432": "an address needs tcp:// or http:// before it",
    "tcp:postgres:5432": "an address needs tcp:// or http:// before it",
    "get http://localhost:80/ready": "it is always a GET: leave out the method",
    "$(SERVICE):5432": REFERENCE_HINT,
    "tcp://$(SERVICE):5432": REFERENCE_HINT,
    "http://$(SERVICE)/ready": REFERENCE_HINT,
    GET: "it is always a GET: leave out the method",
    "/run/x.sock": "a path needs file: or unix: before it",
    "signal:nginx": "a process is process:NAME",
    '"istio"': "remove the quotes",
  };
  for (const [text, expected] of Object.entries(rows)) {
    const error = assertThrows(() => parseWaitFor(text), TypeError);
    assert(error.message.endsWith(`; ${expected}`), error.message);
  }
});

Deno.test("a hint repeats nothing that could be a part of a secret", () => {
  for (
    const text of [
      "me:sesame@localhost:15020/quit",
      "sesame@host/quit",
      "sesame:1/x",
      "localhost:15020/quit?token=sesame",
      "istio,sesame",
      "http:/me:sesame@x",
    ]
  ) {
    assert(!hint(text)?.includes("sesame"), text);
  }
});

Deno.test("parseHook() adds the hint to what it expected", () => {
  const error = assertThrows(() => parseHook("linkrd"), TypeError);
  assertStringIncludes(error.message, "expected istio, envoy, ");
  assertStringIncludes(error.message, "auto or none; did you mean linkerd?");
});

Deno.test("a preset's port, or its address without http://, gets the base URL that was meant", () => {
  for (const base of ["15020", ":15020", "localhost:15020", "127.0.0.1:15020/", "[::1]:15020"]) {
    for (const parse of [parseHook, parseWaitFor]) {
      const error = assertThrows(() => parse(`istio=${base}`), TypeError);
      const meant = "did you mean istio=http://localhost:15020?";
      assertEquals(error.message, `expected NAME=BASE_URL; ${meant}`, base);
    }
  }
  for (const base of ["sesame", "me:sesame@localhost:15020", "sesame:15020", "http://x/sesame"]) {
    const error = assertThrows(() => parseHook(`istio=${base}`), TypeError);
    assertEquals(error.message, "expected an origin without a path: http://HOST:PORT", base);
  }
});

Deno.test("a comma or a blank inside a URL is refused", () => {
  for (
    const text of [
      "http://localhost:1/a,http://localhost:2/b",
      "POST http://localhost:1/a istio",
      "http://localhost:1/a?x=1,2",
      "http://localhost:1/a\nhttp://localhost:2/b",
      "istio=http://localhost:1,envoy",
    ]
  ) {
    const error = assertThrows(() => parseHook(text), TypeError);
    assertStringIncludes(error.message, "expected one URL: repeat --hook for another one");
    assertStringIncludes(error.message, "comma is %2C");
  }
  assertEquals(parseHook(" PUT  http://localhost:1/a%2Cb ")?.address, "http://localhost:1/a%2Cb");
});

Deno.test("what could have been meant as a TARGET", () => {
  for (const text of ["istio", "linkrd", "http://x", "signal:a", "file:/x", "localhost:1/q"]) {
    assert(couldBeTarget(text, PRESETS), text);
  }
  for (const text of ["/opt/tools", "linux", "production", "3", ""]) {
    assert(!couldBeTarget(text, PRESETS), text);
  }
});
