/** Which sidecars that were never seen are still expected, and until when. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { freePort, startRawSidecar, startSidecar } from "../support/sidecar.ts";
import { runWrapper, startWrapper } from "../support/wrapper.ts";

/** Far longer than a test may take: whoever expects something for this long does not end. */
const HOUR = "--startup-window=1h";
const nobody = () => `--hook=http://127.0.0.1:${freePort()}/quit`;

/** COMMAND that takes an orderly end: it says when it runs, and exits with 0 at SIGTERM. */
const ORDERLY = ["sh", "-c", "trap 'exit 0' TERM; echo running; while :; do sleep 0.05; done"];

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} while COMMAND runs: nothing is expected that was never seen`, async () => {
    await using wrapper = startWrapper("binary", {
      args: [HOUR, nobody(), nobody(), "sh", "-c", "echo running; exec sleep 600"],
    });
    await wrapper.waitFor("running");
    wrapper.kill(signal);
    const { code, stderr } = await wrapper.ended;
    assertEquals(code, signal === "SIGTERM" ? 143 : 130);
    assertEquals(stderr.match(/: no such sidecar \(connection refused at/g)?.length, 2, stderr);
    assert(!stderr.includes("expecting"), stderr);
  });
}

Deno.test("SIGTERM while COMMAND runs: its own code counts, and a sidecar that is there is told", async () => {
  await using sidecar = startSidecar();
  await using wrapper = startWrapper("binary", {
    args: [HOUR, `--hook=${sidecar.origin}/quit`, nobody(), ...ORDERLY],
  });
  await wrapper.waitFor("running");
  wrapper.kill("SIGTERM");
  const { code, stderr } = await wrapper.ended;
  assertEquals([code, sidecar.posts().length], [0, 1], stderr);
  assertStringIncludes(stderr, "no such sidecar");
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} while a sidecar is expected: the last look finds it, or it is given up`, async () => {
    const port = freePort();
    await using wrapper = startWrapper("binary", {
      args: [HOUR, nobody(), `--hook=http://127.0.0.1:${port}/quit`, "sh", "-c", "exit 3"],
    });
    await wrapper.waitFor("not there yet; expecting it for another ", 2);
    // It is looked for once a second at most: the signal comes first.
    await using sidecar = startSidecar([200], { port });
    wrapper.kill(signal);
    const { code, stderr } = await wrapper.ended;
    assertEquals([code, sidecar.posts().length], [3, 1], stderr);
    assertEquals(stderr.match(/told to quit/g)?.length, 1, stderr);
    assertEquals(stderr.match(/no such sidecar/g)?.length, 1, stderr);
  });
}

Deno.test("SIGTERM during --wait: COMMAND is not started, and nothing is expected", async () => {
  await using wrapper = startWrapper("binary", {
    args: [HOUR, "--wait=1h", nobody(), "echo", "started"],
  });
  await wrapper.waitFor("waiting up to 1h");
  wrapper.kill("SIGTERM");
  const { code, stdout, stderr } = await wrapper.ended;
  assertEquals([code, stdout], [143, ""]);
  assertStringIncludes(stderr, "no such sidecar");
  assert(!stderr.includes("expecting"), stderr);
});

Deno.test("a sidecar that was seen is told within its own limits, SIGTERM or not", async () => {
  // It takes longer than the second that an unknown one would have.
  const { promise: isTold, resolve: told } = Promise.withResolvers<void>();
  await using sidecar = startSidecar([async () => {
    told();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return new Response("bye");
  }]);
  await using wrapper = startWrapper("binary", {
    args: [HOUR, `--hook=${sidecar.origin}/quit`, "sh", "-c", "exit 3"],
  });
  await isTold;
  wrapper.kill("SIGTERM");
  const { code, stderr } = await wrapper.ended;
  assertEquals(code, 3);
  assertStringIncludes(stderr, "told to quit (200 OK)");
});

Deno.test("the SIGTERM of --timeout does not come from outside: a sidecar is still expected", async () => {
  const port = freePort();
  await using wrapper = startWrapper("binary", {
    args: [HOUR, "--timeout=100ms", `--hook=http://127.0.0.1:${port}/quit`, "sleep", "600"],
  });
  await wrapper.waitFor("not there yet; expecting it for another ");
  await using sidecar = startSidecar([200], { port });
  const { code, stderr } = await wrapper.ended;
  assertEquals([code, sidecar.posts().length], [124, 1], stderr);
});

const NONE: readonly (readonly [string, Record<string, string>])[] = [
  ["--injected=", {}],
  ["--injected=false", {}],
  ["--injected=0", {}],
  ["", { WRAPPER_INJECTED: "" }],
  ["", { WRAPPER_INJECTED: " " }],
  ["", { WRAPPER_INJECTED: "False" }],
];

for (const [option, env] of NONE) {
  Deno.test(`${option || `WRAPPER_INJECTED=${JSON.stringify(env["WRAPPER_INJECTED"])}`}: no sidecar is waited for or expected, one that is there is told`, async () => {
    await using sidecar = startSidecar([200], { get: 503 });
    const { code, stdout, stderr } = await runWrapper("binary", {
      args: [
        ...(option === "" ? [] : [option]),
        HOUR,
        "--wait=1h",
        nobody(),
        `--hook=envoy=${sidecar.origin}`,
        "sh",
        "-c",
        "echo started; exit 3",
      ],
      env,
    });
    assertEquals([code, stdout, sidecar.posts().length], [3, "started\n", 1], stderr);
    assertStringIncludes(stderr, "no such sidecar");
    assert(!/waiting|expecting/.test(stderr), stderr);
  });
}

Deno.test("WRAPPER_INJECTED with a value: the sidecar is expected for 10 minutes", async () => {
  const port = freePort();
  await using wrapper = startWrapper("binary", {
    args: [`--hook=http://127.0.0.1:${port}/quit`, "sh", "-c", "exit 3"],
    env: { WRAPPER_INJECTED: '{"initContainers":["istio-init"]}', KUBERNETES_SERVICE_HOST: "::1" },
  });
  await wrapper.waitFor("not there yet; expecting it for another ");
  assertMatch(wrapper.output.stderr, /another (10m|9m5\d)/);
  await using sidecar = startSidecar([200], { port });
  const { code } = await wrapper.ended;
  assertEquals([code, sidecar.posts().length], [3, 1]);
});

Deno.test("--injected: once one sidecar was seen, another is expected for the ordinary window", async () => {
  await using sidecar = startSidecar();
  const args = ["--injected=true", `--hook=${sidecar.origin}/quit`, nobody(), "true"];
  // Outside a pod, that is none.
  const { code, stderr } = await runWrapper("binary", { args });
  assertEquals([code, sidecar.posts().length], [0, 1], stderr);
  assertMatch(stderr, /no such sidecar/);
});

Deno.test("--injected: a window that was set counts for all", async () => {
  await using sidecar = startSidecar();
  const port = freePort();
  await using wrapper = startWrapper("binary", {
    args: [
      HOUR,
      "--injected=true",
      `--hook=${sidecar.origin}/quit`,
      `--hook=http://127.0.0.1:${port}/quit`,
      "true",
    ],
  });
  await wrapper.waitFor("told to quit");
  await wrapper.waitFor("not there yet; expecting it for another ");
  await using late = startSidecar([200], { port });
  await wrapper.ended;
  assertEquals([sidecar.posts().length, late.posts().length], [1, 1]);
});

Deno.test("SIGTERM: a sidecar whose address never answers is looked for one more second", async () => {
  using silent = startRawSidecar(() => new Promise(() => {}));
  await using wrapper = startWrapper("binary", {
    // What accepts connections was seen, and has its own limits.
    args: [HOUR, `--hook=http://127.0.0.1:${silent.port}/quit`, "--shutdown-timeout=2s", "true"],
  });
  await wrapper.waitFor("command ended");
  wrapper.kill("SIGTERM");
  assertStringIncludes((await wrapper.ended).stderr, "NOT stopped");
});
