/**
 * What the wrapper does in each phase of a sidecar's life, with doubles of the real programs: each
 * test is one way in which a sidecar would be left alive, or a job would not start.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { type Double, type Recording, startDouble } from "../support/doubles.ts";
import {
  ALLOYDB_AUTH_PROXY_LIFE,
  CLOUD_SQL_PROXY_LIFE,
  CONSUL_DATAPLANE_LIFE,
  DAPR_LIFE,
  ISTIO_LIFE,
  KUMA_LIFE,
  LINKERD_LIFE,
  VAULT_AGENT_LIFE,
} from "../support/recordings.ts";
import { type Running, runWrapper, startWrapper } from "../support/wrapper.ts";

const COMMAND = ["sh", "-c", "exit 3"];
const WINDOW = "--startup-window=60s";

const run = (...args: readonly string[]) => runWrapper("binary", { args });
const start = (...args: readonly string[]) => startWrapper("binary", { args });

/** The requests that may have stopped something. */
const posts = (double: Double) => double.requests.filter((request) => request.startsWith("POST "));

/** Waits for something that has to happen before the wrapper ends. */
async function during(wrapper: Running, event: Promise<void>): Promise<void> {
  await Promise.race([
    event,
    wrapper.ended.then(({ stderr }) => {
      throw new Error(`ended before: ${stderr}`);
    }),
  ]);
}

/** Runs a short job beside a sidecar that is in this phase, and goes on with its life at the job's end. */
async function atEnd(recording: Recording, phase: string, ...args: readonly string[]) {
  await using double = startDouble(recording, phase);
  await using wrapper = start(WINDOW, ...args, ...COMMAND);
  await wrapper.waitFor("command ended");
  await doneWaiting(wrapper, double, phase);
  double.goOn();
  const { code, stderr } = await wrapper.ended;
  assertEquals(code, 3, stderr);
  return { double, stderr, phase: double.phase, requests: [...double.requests] };
}

/** Waits until the sidecar has been told, or was asked so often that it will not be told in this phase. */
async function doneWaiting(wrapper: Running, double: Double, phase: string): Promise<void> {
  const soFar = double.requests.length;
  await during(wrapper, Promise.race([double.busy(soFar + 4), double.left(phase)]));
}

// consul-dataplane

Deno.test("consul-dataplane is not told to quit before its Envoy is there", async () => {
  const { stderr, phase } = await atEnd(
    CONSUL_DATAPLANE_LIFE,
    "graceful port only",
    "--hook=consul-dataplane",
  );
  assertEquals(phase, "ended", stderr);
  assertStringIncludes(stderr, "consul-dataplane: told to quit (200 OK)");
});

Deno.test("nor where --wait ran out before", async () => {
  await using double = startDouble(CONSUL_DATAPLANE_LIFE, "graceful port only");
  await using wrapper = start("--hook=consul-dataplane", WINDOW, "--wait=500ms", ...COMMAND);
  await wrapper.waitFor("not ready after");
  await doneWaiting(wrapper, double, "graceful port only");
  double.goOn();
  const { code, stderr } = await wrapper.ended;
  assertEquals([code, double.phase], [125, "ended"], stderr);
});

Deno.test("nor where SIGTERM comes while it is waited for", async () => {
  await using double = startDouble(CONSUL_DATAPLANE_LIFE, "graceful port only");
  await using wrapper = start("--hook=consul-dataplane", WINDOW, "--wait=60s", ...COMMAND);
  await wrapper.waitFor("waiting up to");
  wrapper.kill("SIGTERM");
  await wrapper.waitFor("command not started");
  await doneWaiting(wrapper, double, "graceful port only");
  double.goOn();
  const { code, stderr } = await wrapper.ended;
  assertEquals([code, double.phase], [143, "ended"], stderr);
});

Deno.test("nor where it was started again just before the job's end", async () => {
  await using double = startDouble(CONSUL_DATAPLANE_LIFE, "ready");
  await using wrapper = startWrapper("binary", {
    args: ["--hook=consul-dataplane", "--log-level=debug", "cat"],
    stdin: "piped",
  });
  await wrapper.waitFor("consul-dataplane: seen at");
  double.enter("ended");
  await double.closed();
  double.enter("graceful port only");
  await wrapper.child.stdin.close();
  await wrapper.waitFor("command ended");
  await doneWaiting(wrapper, double, "graceful port only");
  double.goOn();
  const { stderr } = await wrapper.ended;
  assertEquals(double.phase, "ended", stderr);
});

Deno.test("its grace period is over after the wrapper has ended", async () => {
  await using double = startDouble(CONSUL_DATAPLANE_LIFE, "ready, with a grace period");
  const { stderr } = await run("--hook=consul-dataplane", ...COMMAND);
  assertEquals(double.phase, "grace period", stderr);
  assertStringIncludes(stderr, "consul-dataplane: told to quit (200 OK)");
});

Deno.test("an Envoy that comes after consul-dataplane had to be told is stopped itself", async () => {
  await using double = startDouble(CONSUL_DATAPLANE_LIFE, "graceful port only");
  await using wrapper = start(
    "--hook=consul-dataplane",
    WINDOW,
    "--shutdown-timeout=4s",
    ...COMMAND,
  );
  await during(wrapper, double.reached("told too early"));
  double.goOn();
  const { code, stderr } = await wrapper.ended;
  assertEquals([code, double.phase], [3, "ended"], stderr);
  assertEquals(posts(double), ["POST :20600/graceful_shutdown", "POST :19000/quitquitquit"]);
});

Deno.test("an Envoy that never comes, or whose port was moved, is a warning", async () => {
  await using double = startDouble(CONSUL_DATAPLANE_LIFE, "graceful port only");
  const args = ["--hook=consul-dataplane", WINDOW, "--shutdown-timeout=3s", ...COMMAND];
  const { code, stderr } = await run(...args);
  assertEquals([code, double.phase], [3, "told too early"], stderr);
  assertStringIncludes(stderr, "warn: consul-dataplane: told to quit (200 OK)");
  assertStringIncludes(stderr, "but it may not end");
  assertStringIncludes(stderr, "http://localhost:19000");
});

Deno.test("consul-dataplane outside Helm's charts is not ready at Helm's port, and is at its own", async () => {
  await using _double = startDouble(CONSUL_DATAPLANE_LIFE, "outside Helm's charts");
  for (const hook of ["consul-dataplane", "auto"]) {
    const { code, stdout } = await run("--check", `--hook=${hook}`);
    assertEquals(code, 1, stdout);
    assertMatch(stdout, /not ready +.*nobody listens at http:\/\/localhost:20600/);
    const { stderr } = await run(`--hook=${hook}`, "--retries=1", ...COMMAND);
    assertMatch(stderr, /consul-dataplane: NOT stopped.*http:\/\/localhost:20300/);
  }
  const moved = "--hook=consul-dataplane=http://localhost:20300";
  assertEquals((await run("--check", moved)).code, 0);
  const { code, stderr } = await run(moved, "--wait=60s", "--log-level=debug", ...COMMAND);
  assertEquals(code, 3, stderr);
  assertStringIncludes(stderr, "consul-dataplane: told to quit (200 OK)");
});

Deno.test("the debug line has the address that was asked, and its answer", async () => {
  await using _double = startDouble(CONSUL_DATAPLANE_LIFE, "ready");
  await using wrapper = startWrapper("binary", {
    args: ["--hook=consul-dataplane", "--log-level=debug", "cat"],
    stdin: "piped",
  });
  await wrapper.waitFor("consul-dataplane: seen at http://localhost:20600/ (404 Not Found)");
  await wrapper.child.stdin.close();
  await wrapper.ended;
});

Deno.test("auto does not take the Envoy of `consul connect envoy` for consul-dataplane", async () => {
  await using double = startDouble(CONSUL_DATAPLANE_LIFE, "consul connect envoy");
  const { stderr } = await run("--hook=auto", "--retries=1", ...COMMAND);
  assertStringIncludes(stderr, "auto: no sidecar found");
  assertEquals(posts(double), []);
});

// Istio

Deno.test("auto finds an Istio whose Envoy has no configuration", async () => {
  await using double = startDouble(ISTIO_LIFE, "no configuration");
  const { code, stderr } = await run("--hook=auto", ...COMMAND);
  assertEquals([code, double.phase], [3, "ended"], stderr);
  assertStringIncludes(stderr, "istio: told to quit (200 OK)");
});

Deno.test("auto finds an Istio whose Envoy has neither a listener nor an admin interface", async () => {
  await using double = startDouble(ISTIO_LIFE, "with its DNS proxy, admin closed");
  const { code, stderr } = await run("--hook=auto", ...COMMAND);
  assertEquals([code, double.phase], [3, "ended"], stderr);
});

for (const hook of ["istio", "auto"]) {
  Deno.test(`${hook}: Istio's agent without Envoy: the log says how to stop it`, async () => {
    await using _double = startDouble(ISTIO_LIFE, "gRPC without a proxy");
    const { code, stderr } = await run(`--hook=${hook}`, "--retries=1", ...COMMAND);
    assertEquals(code, 3, stderr);
    assertMatch(
      stderr,
      /istio: NOT stopped.*connection broke.*\(2 attempts .*--hook signal:pilot-agent/,
    );
  });

  Deno.test(`${hook}: Istio's agent without Envoy is told once an attempt`, async () => {
    await using double = startDouble(ISTIO_LIFE, "gRPC without a proxy");
    // Without a COMMAND that runs, no connection is open before, which may break without being an attempt.
    const { code, stderr } = await run(`--hook=${hook}`, "--retries=1", "/missing");
    assertEquals([code, posts(double).length], [127, 2], stderr);
  });
}

// Linkerd

for (const phase of ["no policy", "no policy, default deny"]) {
  Deno.test(`Linkerd's proxy with ${phase} yet is told again until it takes it`, async () => {
    await using double = startDouble(LINKERD_LIFE, phase);
    await using wrapper = start("--hook=linkerd", WINDOW, ...COMMAND);
    await during(wrapper, double.asked("POST :4191/shutdown", 2));
    double.goOn();
    const { code, stderr } = await wrapper.ended;
    assertEquals([code, double.phase], [3, "ended"], stderr);
  });

  Deno.test(`Linkerd's proxy with ${phase} yet is not ready`, async () => {
    await using double = startDouble(LINKERD_LIFE, phase);
    await using wrapper = start("--hook=linkerd", "--wait=60s", ...COMMAND);
    await during(wrapper, double.asked("GET :4191/ready", 2));
    assert(!wrapper.output.stderr.includes("ready after"));
    double.goOn();
    const { code, stderr } = await wrapper.ended;
    assertEquals([code, double.phase], [3, "ended"], stderr);
  });

  Deno.test(`Linkerd's proxy with ${phase} in time: the hint is about the control plane`, async () => {
    await using _double = startDouble(LINKERD_LIFE, phase);
    const { stderr } = await run("--hook=linkerd", "--retries=1", ...COMMAND);
    assertMatch(stderr, /linkerd: NOT stopped.*\(2 attempts .*control plane/);
  });
}

for (const phase of ["switched off", "not switched on"]) {
  Deno.test(`Linkerd's proxy with its shutdown endpoint ${phase} says so beforehand`, async () => {
    await using double = startDouble(LINKERD_LIFE, phase);
    for (const hook of ["linkerd", "auto"]) {
      const { code, stdout } = await run("--check", `--hook=${hook}`);
      assertEquals(code, 1, stdout);
      assertMatch(stdout, /not ready +.*200 OK.*, but .*its shutdown endpoint is off/);
    }
    assertEquals(posts(double), []);
    const { code, stdout, stderr } = await run("--hook=linkerd", "--wait=60s", "echo", "started");
    assertEquals([code, stdout], [0, "started\n"]);
    assertMatch(stderr, /warn: linkerd: will NOT be stopped.*shutdown endpoint is off/);
    assertMatch(stderr, /NOT stopped, .*404.*config\.linkerd\.io\/proxy-admin-shutdown: enabled/);
  });
}

Deno.test("Linkerd's proxy with its shutdown endpoint on is ready", async () => {
  await using _double = startDouble(LINKERD_LIFE, "ready");
  assertEquals((await run("--check", "--hook=linkerd")).code, 0);
});

Deno.test("the log says what to do if Linkerd's admin port was moved", async () => {
  const { stderr } = await run("--hook=linkerd", ...COMMAND);
  assertMatch(stderr, /no such sidecar.*config\.linkerd\.io\/admin-port/);
});

// Dapr

for (
  const phase of [
    "without metadata",
    "with invoke, without metadata",
    "without metadata, waiting for the app",
  ]
) {
  Deno.test(`auto finds a Dapr ${phase}`, async () => {
    await using double = startDouble(DAPR_LIFE, phase);
    const args = ["--hook=auto", "--wait=60s", "--startup-window=0", ...COMMAND];
    const { code, stderr } = await run(...args);
    assertEquals([code, double.phase], [3, "ended"], stderr);
    assertEquals(posts(double), [DAPR_LIFE.stop]);
  });
}

// Kuma

Deno.test("kuma-dp's own READY does not mean that Envoy is there", async () => {
  await using double = startDouble(KUMA_LIFE, "on TCP, starting");
  await using wrapper = start("--hook=kuma", "--wait=60s", ...COMMAND);
  await during(wrapper, double.asked("GET :9902/ready", 2));
  assert(!wrapper.output.stderr.includes("ready after"));
  double.goOn();
  const { code, stderr } = await wrapper.ended;
  assertEquals([code, double.phase], [3, "ended"], stderr);
  assertStringIncludes(stderr, "kuma: told to quit (200 OK)");
});

for (const hook of ["kuma", "auto"]) {
  Deno.test(`${hook}: Kuma's Envoy on TCP that comes after a short job is told to quit`, async () => {
    const { stderr, phase } = await atEnd(
      KUMA_LIFE,
      "on TCP, starting",
      `--hook=${hook}`,
      "--injected=yes",
    );
    assertEquals(phase, "ended", stderr);
  });

  Deno.test(`${hook}: Kuma's Envoy on another port: the log says how to name it`, async () => {
    await using double = startDouble(KUMA_LIFE, "on TCP, moved");
    const { stderr } = await run(`--hook=${hook}`, "--shutdown-timeout=1s", ...COMMAND);
    assertMatch(stderr, /kuma: NOT stopped.*200 READY at 9902.*kuma=http:\/\/localhost:PORT/);
    assertEquals(posts(double), []);
  });
}

for (
  const phase of [
    "on a socket, DNS pending",
    "on a socket, no Envoy",
    "on a socket, pre-initializing",
    "on a socket, initializing",
    "on a socket, ready",
  ]
) {
  Deno.test(`Kuma's Envoy ${phase}: the hook does not wait for the startup window`, async () => {
    await using double = startDouble(KUMA_LIFE, phase);
    await using wrapper = startWrapper("binary", {
      args: ["--hook=kuma", WINDOW, "--log-level=debug", "cat"],
      stdin: "piped",
    });
    await during(wrapper, double.asked("GET :9902/ready"));
    await wrapper.child.stdin.close();
    await wrapper.waitFor("command ended");
    while (double.phase !== "on a socket, ready") double.goOn();
    const { stderr } = await wrapper.ended;
    assertStringIncludes(stderr, "kuma: not told to quit");
    assert(!stderr.includes("not there yet"), stderr);
  });
}

for (
  const [phase, text] of [["on a socket, terminating", "503 TERMINATING"], ["ended", "refused"]]
) {
  Deno.test(`Kuma's Envoy on a socket that is ${phase}: nothing is waited for`, async () => {
    await using double = startDouble(KUMA_LIFE, "on a socket, ready");
    await using wrapper = startWrapper("binary", {
      args: ["--hook=kuma", WINDOW, "--log-level=debug", "cat"],
      stdin: "piped",
    });
    await wrapper.waitFor("kuma: seen at http://localhost:9902/ready");
    double.enter(phase ?? "");
    await wrapper.child.stdin.close();
    const { stderr } = await wrapper.ended;
    assertStringIncludes(stderr, "kuma: has already stopped");
    assertStringIncludes(stderr, text ?? "");
    assert(!stderr.includes("not there yet"), stderr);
  });
}

// Any sidecar that crashed

/** Runs a job beside a sidecar that ends by itself before the job does. */
async function afterCrash(
  hook: string,
  endJob: (wrapper: Running, double: Double) => Promise<void>,
): Promise<{ readonly code: number; readonly stderr: string; readonly phase: string }> {
  await using double = startDouble(VAULT_AGENT_LIFE, "ready");
  await using wrapper = startWrapper("binary", {
    args: [`--hook=${hook}`, "--log-level=debug", "--startup-window=0", "cat"],
    stdin: "piped",
  });
  await wrapper.waitFor("vault-agent: seen at");
  double.enter("ended");
  await double.closed();
  await endJob(wrapper, double);
  const { code, stderr } = await wrapper.ended;
  return { code, stderr, phase: double.phase };
}

for (const hook of ["vault-agent", "auto"]) {
  Deno.test(`${hook}: a sidecar that crashed and is started again is told to quit`, async () => {
    const { code, stderr, phase } = await afterCrash(hook, async (wrapper, double) => {
      await wrapper.child.stdin.close();
      await wrapper.waitFor("gone without having been told");
      double.enter("ready");
    });
    assertEquals([code, phase], [0, "ended"], stderr);
    assertStringIncludes(stderr, "vault-agent: told to quit (200 OK)");
  });

  Deno.test(`${hook}: a sidecar that crashed and is not there in time is a warning`, async () => {
    const { code, stderr } = await afterCrash(hook, (wrapper) => wrapper.child.stdin.close());
    assertEquals(code, 0, stderr);
    assertMatch(
      stderr,
      /warn: vault-agent: has already stopped .*, gone [\d.]+m?s before the command ended; .*OnFailure/,
    );
  });

  Deno.test(`${hook}: after SIGTERM, a sidecar that is gone is not looked for`, async () => {
    const { code, stderr } = await afterCrash(hook, async (wrapper) => {
      await Promise.resolve(wrapper.kill("SIGTERM"));
    });
    assertEquals(code, 143, stderr);
    assertMatch(stderr, /wrapper: vault-agent: has already stopped \([^)]*\)\n/);
    assert(!stderr.includes("OnFailure"), stderr);
  });
}

Deno.test("a sidecar that ends at the stop request is not looked for again", async () => {
  await using double = startDouble(VAULT_AGENT_LIFE, "ready");
  const { stderr } = await run("--hook=vault-agent", "--wait=60s", ...COMMAND);
  assertEquals(double.phase, "ended");
  assert(!stderr.includes("OnFailure"), stderr);
});

// Vault's agent

const AGENTS_THAT_CANNOT_QUIT = [
  ["quit disabled", "enable_quit = true"],
  ["metrics only", "metrics_only"],
] as const;

for (const [phase, hint] of AGENTS_THAT_CANNOT_QUIT) {
  Deno.test(`an agent, ${phase}: it says beforehand that it will not quit`, async () => {
    await using double = startDouble(VAULT_AGENT_LIFE, phase);
    for (const hook of ["vault-agent", "auto"]) {
      const { code, stdout } = await run("--check", `--hook=${hook}`);
      assertEquals(code, 1, stdout);
      assertMatch(stdout, /not ready +.*200 OK.*, but .*its listener does not let it quit/);
    }
    assertEquals(posts(double), []);
    const { code, stderr } = await run("--hook=vault-agent", "--wait=60s", ...COMMAND);
    assertEquals(code, 3, stderr);
    assertMatch(stderr, /warn: vault-agent: will NOT be stopped.*does not let it quit/);
    assertMatch(stderr, new RegExp(`NOT stopped, .*404.*${hint}`));
  });
}

Deno.test("an agent that may quit is ready, and only its pages were asked for", async () => {
  await using double = startDouble(VAULT_AGENT_LIFE, "ready");
  assertEquals((await run("--check", "--hook=vault-agent")).code, 0);
  assertEquals([double.phase, posts(double)], ["ready", []]);
});

for (const answer of ["not an agent", "not there"]) {
  Deno.test(`the quit path is not asked for where the metrics are ${answer}`, async () => {
    const pages = { "GET /agent/v1/metrics": "page" };
    const recording: Recording = {
      ...VAULT_AGENT_LIFE,
      answers: { page: answer === "not there" ? { status: 404 } : { status: 200, body: "{}" } },
      phases: { other: { ports: { 8200: { ...pages, "*": "page" } } } },
    };
    await using double = startDouble(recording, "other");
    await run("--check", "--hook=vault-agent");
    assert(!double.requests.some((request) => request.includes("quit")), `${double.requests}`);
  });
}

Deno.test("Vault Proxy, whose server answers each path with its UI, does not count as told", async () => {
  const page = {
    status: 200,
    headers: {
      "Cache-Control": "no-store",
      "Content-Type": "text/html; charset=utf-8",
      "Service-Worker-Allowed": "/",
      "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
      "X-Cache": "MISS",
      "X-Content-Type-Options": "nosniff",
    },
    body: "\n\t<!DOCTYPE html>\n",
  };
  await using double = startDouble({
    ...VAULT_AGENT_LIFE,
    answers: { page },
    phases: { proxy: { ports: { 8200: { "*": "page" } } } },
  }, "proxy");
  const { code, stderr } = await run("--hook=vault-agent", "--wait=60s", ...COMMAND);
  assertEquals(code, 3, stderr);
  assertMatch(stderr, /warn: vault-agent: will NOT be stopped.*not an agent's page/);
  assertMatch(stderr, /NOT stopped, .*200 OK \(1 attempt .*proxy\/v1\/quit/);
  assertEquals(posts(double).length, 1);
  assertEquals((await run("--check", "--hook=vault-agent")).code, 1);
});

Deno.test("a page that is an error is tried again, whatever its form", async () => {
  await using double = startDouble({
    ...VAULT_AGENT_LIFE,
    answers: { page: { status: 503, headers: { "Content-Type": "text/html" }, body: "<html>" } },
    phases: { error: { ports: { 8200: { "*": "page" } } } },
  }, "error");
  const { stderr } = await run("--hook=vault-agent", "--retries=1", ...COMMAND);
  assertMatch(stderr, /NOT stopped, .*503 .*\(2 attempts/);
  assertEquals(posts(double).length, 2);
});

Deno.test("an agent whose server is silent comes late, and is told to quit", async () => {
  await using double = startDouble(VAULT_AGENT_LIFE, "server silent");
  await using wrapper = start("--hook=vault-agent", WINDOW, ...COMMAND);
  await wrapper.waitFor("not there yet; expecting it");
  double.goOn();
  const { code, stderr } = await wrapper.ended;
  assertEquals([code, double.phase], [3, "ended"], stderr);
  assertStringIncludes(stderr, "vault-agent: told to quit (200 OK)");
});

Deno.test("beyond the window, the log says why an agent may come late", async () => {
  await using _double = startDouble(VAULT_AGENT_LIFE, "server silent");
  const { stderr } = await run("--hook=vault-agent", "--startup-window=0", ...COMMAND);
  assertMatch(stderr, /no such sidecar.*server does not answer.*--startup-window/);
});

Deno.test("--confirm sees an agent that was told and waits for its server", async () => {
  await using double = startDouble(VAULT_AGENT_LIFE, "token looked up");
  const { stderr } = await run("--hook=vault-agent", "--wait=60s", "--confirm=300ms", ...COMMAND);
  assertMatch(stderr, /warn: vault-agent: still listens at/);
  assertEquals([double.phase, posts(double).length], ["grace period", 1], stderr);
});

// Google's proxies

Deno.test("auto finds a Cloud SQL proxy without --health-check", async () => {
  await using double = startDouble(CLOUD_SQL_PROXY_LIFE, "without --health-check");
  const { code, stderr } = await run("--hook=auto", ...COMMAND);
  assertEquals([code, double.phase], [3, "ended"], stderr);
  assertEquals(double.requests.filter((request) => !request.startsWith("GET ")), [
    "OPTIONS :9091/quitquitquit",
    "POST :9091/quitquitquit",
  ]);
});

for (const recording of [CLOUD_SQL_PROXY_LIFE, ALLOYDB_AUTH_PROXY_LIFE]) {
  for (const hook of [recording.name, "auto"]) {
    Deno.test(`${recording.name}, --hook ${hook}: no admin server, and no connection left: a failure`, async () => {
      const phase = "without --quitquitquit, max connections reached";
      await using double = startDouble(recording, phase);
      for (const wait of [[], ["--wait=200ms", "--on-wait-timeout=start"]]) {
        const { code, stderr } = await run(
          `--hook=${hook}`,
          "--startup-window=0",
          ...wait,
          ...COMMAND,
        );
        assertEquals(code, 3, stderr);
        assertMatch(
          stderr,
          /NOT stopped.*connection refused.*503 Service Unavailable.*Start the proxy with --quitquitquit/,
        );
      }
      assertEquals(posts(double), []);
    });
  }
}
