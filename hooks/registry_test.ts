import { stopSidecars } from "../src/job/run.ts";
import { httpPreset, nameHook, withAbsentAdvice } from "./preset.ts";
import { parseHook, PRESETS, TARGET_FORMS } from "./registry.ts";
import { assert, assertEquals } from "../tests/support/assert.ts";

/** The rows of the README's table of hooks, as cells. */
function hookRows(): readonly (readonly string[])[] {
  const readme = Deno.readTextFileSync(new URL("../README.md", import.meta.url));
  const [, section = ""] = readme.split("\n## Hooks\n");
  const table = section.split("\n## ")[0]?.split("\n").filter((line) => line.startsWith("| `"));
  return (table ?? []).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

Deno.test("the README's table of hooks has every preset with its addresses, and no other", () => {
  const names = hookRows()
    .map(([target = ""]) => /^`([a-z][a-z-]*)`$/.exec(target)?.[1])
    .filter((name) => name !== undefined && !TARGET_FORMS.some(([form]) => form === name));
  assertEquals(names, PRESETS.map(({ hookName }) => hookName));
  for (const preset of PRESETS) {
    const { address, readyAddress } = preset();
    const [, stop = "", ready = ""] = hookRows().find(([target]) =>
      target === `\`${preset.hookName}\``
    ) ?? [];
    assertEquals(stop, `POST \`${address}\``);
    assert(ready.startsWith(`GET \`${readyAddress}\` is 2`), `${preset.hookName}: ${ready}`);
  }
});

Deno.test("the README's table of hooks has every form of a TARGET", () => {
  const targets = hookRows().map(([target]) => target).join("\n");
  for (const [form] of TARGET_FORMS) {
    const word = form === "[METHOD ]URL" ? "[METHOD ]http" : form;
    assert(targets.includes(word.split("/")[0] ?? word), form);
  }
});

Deno.test("what to do about a sidecar that is not there is a sentence, with or without a hint of its own", () => {
  const failure = { state: "absent", status: 0, broke: false, headers: new Headers() } as const;
  const rest = "it has another port: --hook mine=http://localhost:PORT; wrapper --check shows";
  const without = withAbsentAdvice({ name: "mine" }, failure) ?? "";
  assert(without.startsWith(`If ${rest}`), without);
  const hint = () => "Switch it on";
  const own = withAbsentAdvice({ name: "mine", hint }, failure) ?? "";
  assert(own.startsWith(`Switch it on; if ${rest}`), own);
});

Deno.test("a URL at a preset's own stop address is no doubt, whatever its path is", async () => {
  await using sidecar = Deno.serve({ port: 0, onListen: () => {} }, () => new Response("ok"));
  const origin = `http://127.0.0.1:${sidecar.addr.port}`;
  const hintFor = async (path: string) => {
    const mine = httpPreset({ name: "mine", summary: "", baseUrl: origin, stop: { path } });
    const [outcome] = await stopSidecars(
      [parseHook(`${origin}/`, [mine])].flatMap((one) => one ?? []),
    );
    return [outcome?.outcome, outcome?.hint];
  };
  assertEquals(await hintFor("/"), ["stopped", undefined]);
  const port = sidecar.addr.port;
  assertEquals(await hintFor("/quit"), [
    "stopped",
    `The URL has no path; port ${port} is that of --hook mine`,
  ]);
});

Deno.test("a custom hook that needs a base URL does not make a failure of another sidecar's stop", async () => {
  await using sidecar = Deno.serve({ port: 0, onListen: () => {} }, () => new Response("ok"));
  const picky = nameHook("picky", "", (options) => {
    if (options?.baseUrl === undefined) throw new TypeError("expected picky=BASE_URL");
    return httpPreset({ name: "picky", summary: "", baseUrl: "", stop: { path: "/" } })(options);
  });
  const hook = parseHook(`http://127.0.0.1:${sidecar.addr.port}/quit`, [picky]);
  const [outcome] = await stopSidecars(hook === undefined ? [] : [hook]);
  assertEquals([outcome?.outcome, outcome?.answer], ["stopped", "200 OK"]);
});
