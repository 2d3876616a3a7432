/** Pods that were made for scuttle: its variables, and a stand-in for its Istio. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";
import { freePort } from "../support/sidecar.ts";
import { runWrapper } from "../support/wrapper.ts";

interface FakeIstio {
  readonly origin: string;
  readonly requests: readonly string[];
  readonly posts: () => readonly string[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Envoy's admin interface and pilot-agent in one; LIVE after `liveAfter` requests. */
function startIstio(liveAfter = 0): FakeIstio {
  const requests: string[] = [];
  let asked = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    requests.push(`${request.method} ${pathname}`);
    if (pathname === "/missing") return new Response(null, { status: 404 });
    if (pathname !== "/server_info") return new Response("OK\n");
    const state = asked++ < liveAfter ? "INITIALIZING" : "LIVE";
    return Response.json({ version: "x", state });
  });
  return {
    origin: `http://127.0.0.1:${server.addr.port}`,
    requests,
    posts: () => requests.filter((line) => line.startsWith("POST")),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

interface Row {
  readonly title: string;
  readonly env: (origin: string) => Record<string, string>;
  readonly script?: string;
  readonly liveAfter?: number;
  readonly code?: number;
  readonly posts: readonly string[];
  /** All warnings, in their order. */
  readonly warnings?: readonly RegExp[];
}

const address = (origin: string) => ({ ENVOY_ADMIN_API: origin, ISTIO_QUIT_API: origin });

const ROWS: readonly Row[] = [
  {
    title: "an ordinary pod: waits until Envoy is LIVE, then stops Istio",
    env: address,
    liveAfter: 3,
    script: "exit 4",
    code: 4,
    posts: ["POST /quitquitquit"],
  },
  {
    title: "generic endpoints get a request, too, and a 404 from one changes nothing",
    env: (origin) => ({
      ...address(origin),
      GENERIC_QUIT_ENDPOINTS: `${origin}/a , ${origin}/missing,nonsense`,
    }),
    posts: ["POST /a", "POST /missing", "POST /quitquitquit"],
  },
  {
    title: "GENERIC_QUIT_ONLY stops only the generic endpoints, whatever else is set",
    env: (origin) => ({
      ...address(origin),
      GENERIC_QUIT_ENDPOINTS: `${origin}/a`,
      GENERIC_QUIT_ONLY: "true",
      NEVER_KILL_ISTIO: "true",
      NEVER_KILL_ISTIO_ON_FAILURE: "true",
    }),
    script: "exit 3",
    code: 3,
    posts: ["POST /a"],
  },
  {
    title: "without ENVOY_ADMIN_API nothing is stopped, as in scuttle",
    env: (origin) => ({ ISTIO_QUIT_API: origin, GENERIC_QUIT_ENDPOINTS: `${origin}/a` }),
    posts: [],
  },
  {
    title: "NEVER_KILL_ISTIO stops nothing",
    env: (origin) => ({ ...address(origin), NEVER_KILL_ISTIO: "true" }),
    posts: [],
  },
  {
    title: "NEVER_KILL_ISTIO=1 is not true, and is ignored",
    env: (origin) => ({ ...address(origin), NEVER_KILL_ISTIO: "1" }),
    posts: ["POST /quitquitquit"],
  },
  {
    title: "NEVER_KILL_ISTIO_ON_FAILURE stops nothing after a failure",
    env: (origin) => ({ ...address(origin), NEVER_KILL_ISTIO_ON_FAILURE: "true" }),
    script: "exit 3",
    code: 3,
    posts: [],
  },
  {
    title: "NEVER_KILL_ISTIO_ON_FAILURE stops Istio after a success",
    env: (origin) => ({ ...address(origin), NEVER_KILL_ISTIO_ON_FAILURE: "true" }),
    posts: ["POST /quitquitquit"],
  },
  {
    title: "a path in the two addresses is dropped, with a warning each",
    env: (origin) => ({
      ENVOY_ADMIN_API: `${origin}/healthz/ready`,
      ISTIO_QUIT_API: `${origin}/quitquitquit`,
    }),
    posts: ["POST /quitquitquit"],
    warnings: [
      /ENVOY_ADMIN_API "\S+\/healthz\/ready": its path is dropped/,
      /ISTIO_QUIT_API "\S+\/quitquitquit": its path is dropped/,
    ],
  },
  {
    title: "GENERIC_QUIT_ENDPOINT, in the singular, counts, with a warning",
    env: (origin) => ({ ...address(origin), GENERIC_QUIT_ENDPOINT: `${origin}/a` }),
    posts: ["POST /a", "POST /quitquitquit"],
    warnings: [/GENERIC_QUIT_ENDPOINT is read as GENERIC_QUIT_ENDPOINTS/],
  },
  {
    title: "envoy-preflight's ENVOY_KILL_API and ALWAYS_KILL_ENVOY do what they did",
    env: (origin) => ({
      ENVOY_ADMIN_API: origin,
      ENVOY_KILL_API: `${origin}/bye`,
      ALWAYS_KILL_ENVOY: "true",
    }),
    script: "exit 3",
    code: 3,
    posts: ["POST /bye"],
  },
  {
    title: "envoy-preflight's NEVER_KILL_ENVOY stops nothing",
    env: (origin) => ({ ...address(origin), NEVER_KILL_ENVOY: "true" }),
    posts: [],
  },
  {
    title: "envoy-preflight's ALWAYS_KILL_ENVOY=false stops Istio after a failure, with a warning",
    env: (origin) => ({ ...address(origin), ALWAYS_KILL_ENVOY: "false" }),
    script: "exit 3",
    code: 3,
    posts: ["POST /quitquitquit"],
    warnings: [/ALWAYS_KILL_ENVOY=false has no effect: /],
  },
  {
    title: "WAIT_FOR_ENVOY_TIMEOUT: COMMAND starts without Envoy",
    env: (origin) => ({ ...address(origin), WAIT_FOR_ENVOY_TIMEOUT: "300ms" }),
    liveAfter: Infinity,
    posts: ["POST /quitquitquit"],
  },
];

for (const { title, env, script = "exit 0", liveAfter = 0, code = 0, posts, warnings } of ROWS) {
  Deno.test(`scuttle's variables: ${title}`, async () => {
    await using istio = startIstio(liveAfter);
    const args = ["sh", "-c", `echo started; ${script}`];
    const ended = await runWrapper("binary", { args, env: env(istio.origin) });
    assertEquals(ended.code, code, ended.stderr);
    assertEquals([...istio.posts()].sort(), [...posts].sort(), ended.stderr);
    assertStringIncludes(ended.stdout, "started\n");
    if (warnings !== undefined) {
      const lines = ended.stderr.match(/^wrapper: warn: .*$/gm) ?? [];
      assertEquals(lines.length, warnings.length, ended.stderr);
      for (const [index, warning] of warnings.entries()) assertMatch(lines[index] ?? "", warning);
    }
    if (Number.isFinite(liveAfter)) {
      const asked = istio.requests.filter((line) => line === "GET /server_info").length;
      assert(asked >= (env(istio.origin)["ENVOY_ADMIN_API"] ? liveAfter + 1 : 0), String(asked));
    }
  });
}

Deno.test("scuttle's variables: QUIT_WITHOUT_ENVOY_TIMEOUT fails without starting COMMAND, and still stops the sidecars", async () => {
  await using istio = startIstio(Infinity);
  const { code, stdout } = await runWrapper("binary", {
    args: ["echo", "started"],
    env: { ...address(istio.origin), QUIT_WITHOUT_ENVOY_TIMEOUT: "300ms" },
  });
  assertEquals([code, stdout], [125, ""]);
  assertEquals(istio.posts(), ["POST /quitquitquit"]);
});

Deno.test("scuttle's variables: START_WITHOUT_ENVOY waits for nothing", async () => {
  await using istio = startIstio(Infinity);
  const { code, stdout } = await runWrapper("binary", {
    args: ["echo", "started"],
    env: { ...address(istio.origin), START_WITHOUT_ENVOY: "true" },
  });
  assertEquals([code, stdout], [0, "started\n"]);
  assertEquals(istio.posts(), ["POST /quitquitquit"]);
});

Deno.test("scuttle's variables: a missing generic endpoint delays nothing", async () => {
  await using istio = startIstio();
  const { code, stdout } = await runWrapper("binary", {
    args: ["echo", "started"],
    env: {
      ...address(istio.origin),
      GENERIC_QUIT_ENDPOINTS: `http://127.0.0.1:${freePort()}/quit`,
    },
  });
  assertEquals([code, stdout], [0, "started\n"]);
  assertEquals(istio.posts(), ["POST /quitquitquit"]);
});

Deno.test("scuttle's variables: SCUTTLE_LOGGING=false silences the log", async () => {
  await using istio = startIstio();
  const env = { ...address(istio.origin), SCUTTLE_LOGGING: "false" };
  const { stdout, stderr } = await runWrapper("binary", { args: ["true"], env });
  assertEquals([stdout, stderr], ["", ""]);
});

Deno.test("scuttle's variables: WRAPPER_HOOKS takes precedence", async () => {
  await using istio = startIstio();
  const { code } = await runWrapper("binary", {
    args: ["true"],
    env: { ...address(istio.origin), WRAPPER_HOOKS: `${istio.origin}/mine` },
  });
  assertEquals(code, 0);
  assertEquals(istio.posts(), ["POST /mine"]);
});
