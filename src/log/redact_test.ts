import { resolveUrl } from "../http/url.ts";
import { parseHook } from "../../hooks/registry.ts";
import { redactValue } from "./redact.ts";
import { assertEquals } from "../../tests/support/assert.ts";

Deno.test("redactValue() hides credentials and query, however the URL is mistyped", () => {
  const rows: Record<string, string> = {
    "http://me:hunter2@host:1/quit?token=sesame": "http://host:1/quit",
    "istio=http://me:hunter2@host": "istio=http://host",
    "PUT http://host/quit?a b=sesame": "PUT http://host/quit",
    "istio=http:?sesame": "istio=http:",
    "htp//me:hunter2@host/quit": "host/quit",
    "htp:/me:hunter2@host/quit": "htp:/host/quit",
    "me:hunter2@host": "host",
    "http://a@b:hunter2@host/": "http://host/",
    "http://a/q,http://me:hunter2@b/q": "http://b/q",
    "http://host/a@b": "http://host/a@b",
    "istio": "istio",
    "30s": "30s",
  };
  for (const [value, shown] of Object.entries(rows)) assertEquals(redactValue(value), shown);
});

Deno.test("a hook's name contains nothing of its credentials", () => {
  assertEquals(parseHook("http://a@b:hunter2@host:1/")?.name, "host:1");
});

Deno.test("a percent sign in credentials that does not start an escape is itself", () => {
  assertEquals(resolveUrl("http://me:100%@host/").authorization, `Basic ${btoa("me:100%")}`);
  const long = "x".repeat(200_000);
  assertEquals(resolveUrl(`http://me:${long}@host/`).authorization, `Basic ${btoa(`me:${long}`)}`);
});
