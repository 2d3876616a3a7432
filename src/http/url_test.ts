import { resolveUrl } from "./url.ts";
import { assertEquals, assertThrows } from "../../tests/support/assert.ts";

/** What a URL resolves to: the URL of the request, then each address. */
function resolved(text: string): readonly string[] {
  const { url, addresses } = resolveUrl(text);
  return [
    url.href,
    ...addresses.map((address) =>
      "path" in address ? address.path : `${address.hostname} ${address.port}`
    ),
  ];
}

const ROWS: Readonly<Record<string, readonly string[]>> = {
  "http://127.0.0.1:7777/quit?a=b": ["http://127.0.0.1:7777/quit?a=b", "127.0.0.1 7777"],
  "http://agent.local": ["http://agent.local/", "agent.local 80"],
  "https://agent.local/quit": ["https://agent.local/quit", "agent.local 443"],
  "http://[::1]:7777/": ["http://[::1]:7777/", "::1 7777"],
  "http://localhost:7777/quit": ["http://localhost:7777/quit", "127.0.0.1 7777", "::1 7777"],
  // A certificate is for the name.
  "https://localhost:7777/quit": ["https://localhost:7777/quit", "localhost 7777"],
  "http+unix://%2Frun%2Fagent.sock/quit?a=b": ["http://localhost/quit?a=b", "/run/agent.sock"],
  "http+unix://%2Frun%2Fagent.sock": ["http://localhost/", "/run/agent.sock"],
  "http://127.0.0.1/quit#part": ["http://127.0.0.1/quit", "127.0.0.1 80"],
  "http://me:sesame@127.0.0.1/quit": ["http://127.0.0.1/quit", "127.0.0.1 80"],
};

for (const [text, expected] of Object.entries(ROWS)) {
  Deno.test(`resolveUrl() reads ${text}`, () => assertEquals(resolved(text), expected));
}

Deno.test("resolveUrl() moves credentials into a header, as UTF-8", () => {
  const basic = (text: string) => `Basic ${btoa(text)}`;
  const { authorization } = resolveUrl("https://me:s%C3%A9same@host/");
  assertEquals(authorization, basic("me:s\xc3\xa9same"));
  assertEquals(resolveUrl("http://me@host/").authorization, basic("me:"));
  assertEquals(resolveUrl("http://host/").authorization, undefined);
});

for (const text of ["", "localhost:7777/quit", "ftp://host/", "http://", "/quit"]) {
  Deno.test(`resolveUrl() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(() => resolveUrl(text), TypeError, "expected http://HOST[:PORT]/PATH");
  });
}

for (
  const text of ["http+unix://agent.sock/quit", "http+unix:///run/agent.sock", "http+unix://%/"]
) {
  Deno.test(`resolveUrl() refuses ${text}`, () => {
    assertThrows(() => resolveUrl(text), TypeError, "expected the socket's absolute path");
  });
}

Deno.test("resolveUrl() refuses a URL without a host, and one whose variable was not replaced", () => {
  for (const text of ["http:///quit", "HTTPS:///quit"]) {
    assertThrows(() => resolveUrl(text), TypeError, "expected http://HOST[:PORT]/PATH");
  }
  for (const text of ["http://$(POD_IP):8080/quit", "https://${HOST}/", "http://$HOST:1/quit"]) {
    assertThrows(() => resolveUrl(text), TypeError, "a variable was not replaced");
  }
  assertEquals(resolved("http://me:$x@host/$(y)?$z"), ["http://host/$(y)?$z", "host 80"]);
});
