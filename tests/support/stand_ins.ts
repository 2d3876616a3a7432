/**
 * Servers that answer as a sidecar does, on its own ports. The answers were observed with the real
 * program or, if it cannot be run here, taken from its source.
 */

/** One answer. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One port of a sidecar: its answers by method and path, and the answer to everything else. */
export interface Port {
  readonly port: number;
  readonly pages: Readonly<Record<string, Reply>>;
  readonly otherwise: Reply;
}

/** A sidecar, as its clients see it. */
export interface StandIn {
  /** The preset's name. */
  readonly name: string;
  readonly ports: readonly Port[];
  /** The request that makes it quit: `POST :9901/quitquitquit`. */
  readonly stop: string;
}

const NOT_FOUND_OF_GO: Reply = {
  status: 404,
  headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
  body: "404 page not found\n",
};
const JSON_TYPE = { "content-type": "application/json" };
const TEXT_OF_GO = { "content-type": "text/plain; charset=utf-8" };
const TEXT_OF_ENVOY = {
  "content-type": "text/plain; charset=UTF-8",
  "cache-control": "no-cache, max-age=0",
  "x-content-type-options": "nosniff",
  server: "envoy",
};

const json = (value: unknown, headers = {}): Reply => ({
  status: 200,
  headers: { ...JSON_TYPE, ...headers },
  body: JSON.stringify(value),
});

/** Envoy's admin interface, observed with Envoy 1.40. */
export function envoyAdmin(port: number, node: Readonly<Record<string, unknown>> = {}): Port {
  const info = {
    version: "9e55a10d1d5c1c8b51c32c7f6e2e9a4a9f368f23/1.40.0/Clean/RELEASE/BoringSSL",
    state: "LIVE",
    hot_restart_version: "11.104",
    command_line_options: { base_id: "0", use_dynamic_base_id: true, concurrency: 2 },
    node: { id: "", cluster: "", user_agent_name: "envoy", ...node },
    uptime_current_epoch: "0s",
  };
  return {
    port,
    pages: {
      "GET /ready": { status: 200, headers: TEXT_OF_ENVOY, body: "LIVE\n" },
      "GET /server_info": json(info, { ...TEXT_OF_ENVOY, ...JSON_TYPE }),
      "GET /quitquitquit": {
        status: 405,
        headers: TEXT_OF_ENVOY,
        body: "Method GET not allowed, POST required.",
      },
      "POST /quitquitquit": { status: 200, headers: TEXT_OF_ENVOY, body: "OK\n" },
    },
    otherwise: {
      status: 404,
      headers: TEXT_OF_ENVOY,
      body: "invalid path. admin commands are:\n  /: Admin home page\n",
    },
  };
}

const health = (status: number): Reply => ({ status, headers: { vary: "Accept-Encoding" } });

/** pilot-agent behind Envoy's listener on 15021; the listener was observed with Envoy 1.40. */
export const ISTIO: StandIn = {
  name: "istio",
  stop: "POST :15020/quitquitquit",
  ports: [
    {
      port: 15020,
      pages: {
        "GET /healthz/ready": health(200),
        "GET /quitquitquit": { status: 405, body: "Method Not Allowed\n" },
        "POST /quitquitquit": { status: 200, body: "OK" },
        "GET /debug/ndsz": { status: 404, headers: JSON_TYPE, body: "{}" },
      },
      otherwise: NOT_FOUND_OF_GO,
    },
    {
      port: 15021,
      pages: {
        "GET /healthz/ready": {
          status: 200,
          headers: {
            vary: "Accept-Encoding",
            "x-envoy-upstream-service-time": "0",
            server: "envoy",
          },
        },
      },
      otherwise: { status: 404, headers: { server: "envoy" } },
    },
    envoyAdmin(15000, { id: "sidecar~10.0.0.7~job~ns", metadata: { ISTIO_VERSION: "1.27.1" } }),
  ],
};

export const ENVOY: StandIn = {
  name: "envoy",
  stop: "POST :9901/quitquitquit",
  ports: [envoyAdmin(9901)],
};

/** Kuma up to 2.13, or a later one with Envoy's admin interface on a port. */
export const KUMA: StandIn = {
  name: "kuma",
  stop: "POST :9901/quitquitquit",
  ports: [
    envoyAdmin(9901, {
      metadata: { "dataplane.admin.port": "9901", version: { kumaDp: { version: "2.13.0" } } },
    }),
    {
      port: 9902,
      pages: {
        "GET /ready": {
          status: 200,
          headers: { "content-type": "text/plain", "x-powered-by": "kuma-dp" },
          body: "READY",
        },
      },
      otherwise: NOT_FOUND_OF_GO,
    },
  ],
};

export const LINKERD: StandIn = {
  name: "linkerd",
  stop: "POST :4191/shutdown",
  ports: [{
    port: 4191,
    pages: {
      "GET /ready": { status: 200, headers: { "content-type": "text/plain" }, body: "ready\n" },
      "GET /live": { status: 200, headers: { "content-type": "text/plain" }, body: "live\n" },
      "GET /env.json?LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED": json({
        LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED: "true",
      }),
      "GET /shutdown": { status: 405 },
      "POST /shutdown": {
        status: 200,
        headers: { "content-type": "text/plain" },
        body: "shutdown\n",
      },
    },
    otherwise: { status: 404 },
  }],
};

const ok: Reply = { status: 200, headers: TEXT_OF_GO, body: "ok" };

/** The Cloud SQL Auth Proxy, observed with 2.27.0; the AlloyDB Auth Proxy 1.17.1 answers the same. */
export const CLOUD_SQL_PROXY: StandIn = {
  name: "cloud-sql-proxy",
  stop: "POST :9091/quitquitquit",
  ports: [
    {
      port: 9090,
      pages: { "GET /liveness": ok, "GET /readiness": ok, "GET /startup": ok },
      otherwise: NOT_FOUND_OF_GO,
    },
    {
      port: 9091,
      // A GET stops it, too.
      pages: { "GET /quitquitquit": { status: 200 }, "POST /quitquitquit": { status: 200 } },
      otherwise: NOT_FOUND_OF_GO,
    },
  ],
};

/** Observed with OpenBao's agent 2.7.2. */
export const VAULT_AGENT: StandIn = {
  name: "vault-agent",
  stop: "POST :8200/agent/v1/quit",
  ports: [{
    port: 8200,
    pages: {
      "GET /agent/v1/metrics": json({
        Timestamp: "2026-01-31 08:40:10 +0000 UTC",
        Gauges: [],
        Points: [],
        Counters: [],
        Samples: [],
      }),
      "GET /agent/v1/quit": { status: 405 },
      "POST /agent/v1/quit": { status: 200 },
    },
    otherwise: { status: 404 },
  }],
};

export const CONSUL_DATAPLANE: StandIn = {
  name: "consul-dataplane",
  stop: "POST :20600/graceful_shutdown",
  ports: [
    envoyAdmin(19000, {
      metadata: { node_name: "node-1", namespace: "default", partition: "default" },
    }),
    {
      port: 20600,
      // It stops, whatever the method.
      pages: {
        "GET /graceful_shutdown": { status: 200 },
        "POST /graceful_shutdown": { status: 200 },
        "GET /graceful_startup": { status: 200 },
      },
      otherwise: NOT_FOUND_OF_GO,
    },
  ],
};

export const DAPR: StandIn = {
  name: "dapr",
  stop: "POST :3500/v1.0/shutdown",
  ports: [{
    port: 3500,
    pages: {
      "GET /v1.0/healthz/outbound": { status: 204 },
      "GET /v1.0/healthz": { status: 204 },
      "GET /v1.0/metadata": json({ id: "my-job", runtimeVersion: "1.18.3", actors: [] }),
      "GET /v1.0/shutdown": { status: 405 },
      "POST /v1.0/shutdown": { status: 204 },
    },
    otherwise: NOT_FOUND_OF_GO,
  }],
};

/** One of each. Kuma's and Envoy's have a port in common. */
export const STAND_INS: readonly StandIn[] = [
  ISTIO,
  ENVOY,
  KUMA,
  LINKERD,
  CLOUD_SQL_PROXY,
  VAULT_AGENT,
  CONSUL_DATAPLANE,
  DAPR,
];

/** The same sidecar with a different answer to one request; `undefined` closes the port. */
export function withReply(
  standIn: StandIn,
  port: number,
  page: string,
  change: Partial<Reply> | undefined,
): StandIn {
  const ports = standIn.ports.flatMap((one) => {
    if (one.port !== port) return [one];
    if (change === undefined) return [];
    const reply = { ...one.pages[page] ?? one.otherwise, ...change };
    return [{ ...one, pages: { ...one.pages, [page]: reply } }];
  });
  return { ...standIn, ports };
}

/** Running stand-ins. */
export interface Started {
  /** The requests so far, each as `POST :9901/quitquitquit`. */
  readonly requests: readonly string[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts them all, each on its own ports. */
export function startStandIns(...standIns: readonly StandIn[]): Started {
  const requests: string[] = [];
  const servers = standIns.flatMap(({ ports }) => ports).map(({ port, pages, otherwise }) =>
    Deno.serve({ port, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
      const { pathname, search } = new URL(request.url);
      requests.push(`${request.method} :${port}${pathname}${search}`);
      const { status, headers = {}, body = null } =
        pages[`${request.method} ${pathname}${search}`] ?? otherwise;
      return new Response(body, { status, headers });
    })
  );
  return {
    requests,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(servers.map((server) => server.shutdown()));
    },
  };
}
