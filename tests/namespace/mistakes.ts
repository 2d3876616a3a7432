/** A hook that cannot be read: the sidecar that is there is stopped all the same, on its own port. */

import { PRESETS } from "../../hooks/registry.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { ENVOY, ISTIO, LINKERD, startStandIns, withReply } from "../support/stand_ins.ts";
import { runWrapper } from "../support/wrapper.ts";

/** What is typed where `linkerd` was meant: [options, variables, the error's text]. */
const MISTAKES: readonly (readonly [string[], Record<string, string>, string])[] = [
  [[], { WRAPPER_HOOK: "linkerd" }, "unknown variable WRAPPER_HOOK: did you mean WRAPPER_HOOKS?"],
  [[], { WRAPPER_HOOKS: "linkrd" }, "did you mean linkerd?"],
  [["--hook", "linkerd2"], {}, "did you mean linkerd?"],
  [["--hook", "istio,linkerd"], {}, "repeat it, --hook A --hook B"],
  [["--hook", "nginx"], {}, "expected istio, envoy, "],
  [["--hooks", "linkerd"], {}, "did you mean --hook?"],
  [["--hooks=linkerd"], {}, "did you mean --hook?"],
  [["--hook=none", "--hook=linkrd"], {}, "did you mean linkerd?"],
  [["--hook linkerd"], {}, "all of it is one word"],
];

for (const [options, env, line] of MISTAKES) {
  const typed = [...options, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  Deno.test(`${typed.join(" ")}: linkerd is recognized and stopped, and nothing else`, async () => {
    await using started = startStandIns(LINKERD);
    const { code, stdout, stderr } = await runWrapper("binary", {
      args: [...options, "echo", "started"],
      env,
    });
    assertEquals([code, stdout], [125, ""]);
    assertStringIncludes(stderr, line);
    assertStringIncludes(stderr, "linkerd: told to quit (200 OK)");
    assert(!stderr.includes("istio:"), stderr);
    const posts = started.requests.filter((request) => request.startsWith("POST"));
    assertEquals(posts, [LINKERD.stop]);
  });
}

Deno.test("a hook that can be read runs as it is, and auto looks for the others", async () => {
  await using started = startStandIns(LINKERD, ISTIO);
  const { code, stderr } = await runWrapper("binary", {
    args: ["true"],
    env: { WRAPPER_HOOKS: "istio,linkrd" },
  });
  assertEquals(code, 125);
  const posts = started.requests.filter((request) => request.startsWith("POST"));
  assertEquals(posts.toSorted(), [ISTIO.stop, LINKERD.stop]);
  assertEquals(stderr.match(/told to quit/g)?.length, 2, stderr);
});

Deno.test("a URL without a path: the hint names the preset of its port", async () => {
  await using _started = startStandIns(ISTIO);
  const { code, stderr } = await runWrapper("binary", {
    args: ["--hook=http://localhost:15020", "true"],
  });
  assertEquals(code, 0);
  assertMatch(
    stderr,
    /localhost:15020: NOT stopped.* 404 Not Found .*\. The URL has no path; port 15020 is that of --hook istio\n/,
  );
});

/** A URL that a sidecar answers with 200 and does not quit at: [URL, what the line says]. */
const DOUBTS: readonly (readonly [url: string, line: string])[] = [
  ["http://localhost:9901", "The URL has no path; port 9901 is that of --hook envoy"],
  ["http://localhost:9901/", "The URL has no path; port 9901 is that of --hook envoy"],
  [
    "GET http://localhost:9901/ready",
    "It is asked for its readiness, and not to quit; port 9901 is that of --hook envoy",
  ],
];

for (const [target, line] of DOUBTS) {
  Deno.test(`--hook '${target}': Envoy answers 200 and does not quit, which is a warning`, async () => {
    // As Envoy's own admin page.
    await using started = startStandIns(withReply(ENVOY, 9901, "POST /", { status: 200 }));
    const { code, stderr } = await runWrapper("binary", { args: ["--hook", target, "true"] });
    assertEquals(code, 0);
    assertMatch(stderr, /wrapper: warn: localhost:9901: .*200 OK/);
    assertStringIncludes(stderr, line);
    assert(!started.requests.includes(ENVOY.stop), stderr);
  });
}

Deno.test("the stop request of a preset, as a URL, is no doubt", async () => {
  await using started = startStandIns(ENVOY);
  const args = ["--hook=http://localhost:9901/quitquitquit", "true"];
  const { stderr } = await runWrapper("binary", { args });
  assertStringIncludes(stderr, "wrapper: localhost:9901: told to quit (200 OK)");
  assert(started.requests.includes(ENVOY.stop) && !stderr.includes("warn:"), stderr);
});

for (const port of [15020, 15021]) {
  Deno.test(`scuttle's ENVOY_ADMIN_API with pilot-agent's port ${port}: its readiness counts`, async () => {
    await using started = startStandIns(ISTIO);
    const { code, stdout, stderr } = await runWrapper("binary", {
      args: ["echo", "started"],
      env: { ENVOY_ADMIN_API: `http://localhost:${port}/healthz/ready` },
    });
    assertEquals([code, stdout], [0, "started\n"], stderr);
    assertStringIncludes(stderr, `ENVOY_ADMIN_API has port ${port}, which is pilot-agent's`);
    assertStringIncludes(stderr, "istio ready after");
    const posts = started.requests.filter((request) => request.startsWith("POST"));
    assertEquals(posts, [ISTIO.stop]);
  });
}

for (const { hookName } of PRESETS) {
  Deno.test(`${hookName}, named and not there: a warning with advice`, async () => {
    const { code, stderr } = await runWrapper("binary", { args: ["--hook", hookName, "true"] });
    assertEquals(code, 0);
    const [line = ""] = stderr.match(/^wrapper: warn: .*$/gm) ?? [];
    const [start, advice = ""] = line.split("; if the pod has one, it will not end. ");
    assertStringIncludes(start ?? "", `warn: ${hookName}: no such sidecar (connection refused at `);
    // Its own: the annotation or option that it needs.
    assertMatch(advice, /^\S+ .*(annotat|label|--quitquitquit|bootstrap|enable_quit)/);
    assertStringIncludes(
      advice,
      `; if it has another port: --hook ${hookName}=http://localhost:PORT`,
    );
    assertStringIncludes(advice, "wrapper --check");
    assertStringIncludes(advice, "--hook auto");
  });
}
