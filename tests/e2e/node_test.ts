/** The library on Node without dnt: the same files, bundled, with Node's own test runner. */

import { bundleForNode } from "../../scripts/bundle_for_node.ts";
import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { findProgram, type Need, testWith } from "../support/needs.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

const NODE: Need<string> = {
  what: "Node 20.19 or later",
  find: () => {
    const node = findProgram("node");
    if (node === undefined) return undefined;
    const { stdout } = new Deno.Command(node, { args: ["--version"] }).outputSync();
    const [, major, minor] = /^v(\d+)\.(\d+)/.exec(new TextDecoder().decode(stdout)) ?? [];
    return Number(major) > 20 || (Number(major) === 20 && Number(minor) >= 19) ? node : undefined;
  },
};

testWith(NODE, "the library's behavior on Node: tests/node", async (node) => {
  const bundles = Deno.makeTempDirSync({ prefix: "wrapper-node-" });
  try {
    assertEquals(await bundleForNode(`${bundles}/wrapper.mjs`), 0);
    assertEquals(await bundleForNode(`${bundles}/wrapper.cjs`), 0);
    for (const { name } of Deno.readDirSync(bundles)) {
      const text = Deno.readTextFileSync(`${bundles}/${name}`);
      assert(!/\bDeno\./.test(text), `${name} uses Deno`);
    }
    const { code, stdout, stderr } = await new Deno.Command(node, {
      args: ["--test", "--test-reporter=tap", `${ROOT}tests/node/library.test.mjs`],
      env: { WRAPPER_NODE_BUNDLES: bundles, NODE_OPTIONS: "" },
    }).output();
    const report = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assertEquals(code, 0, report);
    const passed = Number(/^# pass (\d+)$/m.exec(report)?.[1]);
    assert(passed > 10, report);
    assertStringIncludes(report, "# fail 0");
    assertStringIncludes(report, "# skipped 0");
  } finally {
    Deno.removeSync(bundles, { recursive: true });
  }
});

Deno.test("the npm package's script fails with a clear message if JSR cannot be reached", async () => {
  const cache = Deno.makeTempDirSync();
  try {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--cached-only", "--allow-all", `${ROOT}scripts/build_npm.ts`],
      env: { DENO_DIR: cache, NO_COLOR: "1" },
    }).output();
    const text = new TextDecoder().decode(stderr);
    assertEquals(code, 1, text);
    assertStringIncludes(text, "The npm package is made by jsr:@deno/dnt@");
    assertStringIncludes(text, "which cannot be loaded here:");
    assertEquals(text.trimEnd().split("\n").length, 1, text);
  } finally {
    Deno.removeSync(cache, { recursive: true });
  }
});
