/**
 * Sidecars that stay as they are, whatever they are told: one phase of a double's life, in which a test
 * may change an answer.
 */

import { type Recording, type Reply, servePort } from "./doubles.ts";
import {
  CLOUD_SQL_PROXY_LIFE,
  CONSUL_DATAPLANE_LIFE,
  DAPR_LIFE,
  ENVOY_LIFE,
  ISTIO_LIFE,
  KUMA_LIFE,
  LINKERD_LIFE,
  VAULT_AGENT_LIFE,
} from "./recordings.ts";

export type { Reply } from "./doubles.ts";

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

/** A sidecar as it is in a phase of its life. */
export function standIn(recording: Recording, phase = "ready"): StandIn {
  const replyTo = (page: string | { readonly answer?: string } | undefined): Reply =>
    recording.answers[(typeof page === "string" ? page : page?.answer) ?? ""] ?? { status: 404 };
  return {
    name: recording.name,
    stop: recording.stop,
    ports: Object.entries(recording.phases[phase]?.ports ?? {}).map(([port, pages]) => ({
      port: Number(port),
      pages: Object.fromEntries(
        Object.entries(pages).map(([request, page]) => [request, replyTo(page)]),
      ),
      otherwise: replyTo(pages["*"]),
    })),
  };
}

/** Envoy's admin interface on another port, with this node. */
export function envoyAdmin(port: number, node: Readonly<Record<string, unknown>> = {}): Port {
  const [admin] = ENVOY.ports;
  const info = admin?.pages["GET /server_info"];
  if (admin === undefined || info === undefined) throw new Error("no recording of Envoy");
  const value = JSON.parse(info.body ?? "");
  const body = JSON.stringify({ ...value, node: { ...value.node, ...node } });
  return { ...admin, port, pages: { ...admin.pages, "GET /server_info": { ...info, body } } };
}

export const ISTIO = standIn(ISTIO_LIFE);
export const ENVOY = standIn(ENVOY_LIFE);
export const KUMA = standIn(KUMA_LIFE);
export const LINKERD = standIn(LINKERD_LIFE);
export const CLOUD_SQL_PROXY = standIn(CLOUD_SQL_PROXY_LIFE);
export const VAULT_AGENT = standIn(VAULT_AGENT_LIFE);
export const CONSUL_DATAPLANE = standIn(CONSUL_DATAPLANE_LIFE);
export const DAPR = standIn(DAPR_LIFE);

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
    servePort(port, (request) => {
      requests.push(request.replace(" ", ` :${port}`));
      return { reply: pages[request] ?? otherwise };
    })
  );
  return {
    requests,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}
