/** The doubles give the real programs' answers: each request, sent to both. */

import { PRESETS, waitUntilReady } from "../../mod.ts";
import { compareWithDouble } from "../support/compare.ts";
import type { Recording } from "../support/doubles.ts";
import {
  ALLOYDB_AUTH_PROXY_PROGRAM,
  CLOUD_SQL_PROXY_PROGRAM,
  ENVOY,
  type Need,
  OPENBAO_PROGRAM,
  testWith,
  VAULT_PROGRAM,
} from "../support/needs.ts";
import {
  adminAt,
  agentConfig,
  envoyArgs,
  type Program,
  startProgram,
} from "../support/programs.ts";
import {
  ALLOYDB_AUTH_PROXY_LIFE,
  CLOUD_SQL_PROXY_LIFE,
  ENVOY_LIFE,
  VAULT_AGENT_LIFE,
} from "../support/recordings.ts";
import { holdConnection, untilStatus } from "../support/sidecar.ts";

interface Row {
  readonly need: Need<string>;
  /** Its name, if the recording is of another program. */
  readonly program?: string;
  readonly recording: Recording;
  readonly phase: string;
  readonly args: () => readonly string[];
  /** Brings it into the phase, once it runs; a ready one is only waited for. */
  readonly enter?: () => Promise<void>;
}

/** A server that accepts connections and never answers: whoever connects through a proxy waits for it. */
const SILENT = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const SILENT_URL = `http://127.0.0.1:${SILENT.addr.port}`;
Deno.test.afterAll(() => SILENT.close());

const INSTANCE_PORT = 5432;

/** The phases of a Google proxy, each with its own arguments. */
function googleProxy(
  need: Need<string>,
  recording: Recording,
  endpointOption: string,
  instance: string,
): readonly Row[] {
  const common = ["--token=none", "--address=127.0.0.1", `--port=${INSTANCE_PORT}`, instance];
  const full = ["--max-connections=1", `${endpointOption}=${SILENT_URL}`];
  const enterFull = async () => {
    await holdConnection(INSTANCE_PORT);
    await untilStatus("http://127.0.0.1:9090/readiness", 503);
  };
  const phases = [
    ["ready", ["--quitquitquit", "--health-check"]],
    ["without --health-check", ["--quitquitquit"]],
    ["max connections reached", ["--quitquitquit", "--health-check", ...full], enterFull],
    ["without --quitquitquit", ["--health-check"]],
    ["without --quitquitquit, max connections reached", ["--health-check", ...full], enterFull],
  ] as const;
  return phases.map(([phase, options, enter]) => ({
    need,
    recording,
    phase,
    args: () => [...options, ...common],
    ...(enter && { enter }),
  }));
}

/** The phases of an agent, each with what its listener has. */
function agent(need: Need<string>, program: string): readonly Row[] {
  const phases = [
    ["ready", "agent_api { enable_quit = true }"],
    ["quit disabled", ""],
    ["quit disabled", "agent_api { enable_quit = false }"],
    ["metrics only", 'role = "metrics_only"\n  agent_api { enable_quit = true }'],
  ] as const;
  return phases.map(([phase, listener]) => ({
    need,
    program: listener.includes("false") ? `${program} with enable_quit = false` : program,
    recording: VAULT_AGENT_LIFE,
    phase,
    args: () => {
      const file = Deno.makeTempFileSync({ suffix: ".hcl" });
      Deno.writeTextFileSync(file, agentConfig(listener));
      return ["agent", "-config", file];
    },
  }));
}

/** An Envoy that waits for what a control plane that never answers would send. */
const waitingFor = (what: "cds_config" | "lds_config") => ({
  admin: adminAt(9901),
  node: { id: "node", cluster: "cluster" },
  dynamic_resources: {
    [what]: {
      resource_api_version: "V3",
      initial_fetch_timeout: "0s",
      api_config_source: {
        api_type: "GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "control-plane" } }],
      },
    },
  },
  static_resources: {
    clusters: [{
      name: "control-plane",
      type: "STATIC",
      connect_timeout: "1s",
      typed_extension_protocol_options: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
          "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
          explicit_http_config: { http2_protocol_options: {} },
        },
      },
      load_assignment: {
        cluster_name: "control-plane",
        endpoints: [{
          lb_endpoints: [{
            endpoint: {
              address: {
                socket_address: { address: "127.0.0.1", port_value: SILENT.addr.port },
              },
            },
          }],
        }],
      },
    }],
  },
});

const ROWS: readonly Row[] = [
  {
    need: ENVOY,
    recording: ENVOY_LIFE,
    phase: "ready",
    args: () => envoyArgs({ admin: adminAt(9901) }),
  },
  ...([["pre-initializing", "cds_config"], ["initializing", "lds_config"]] as const).map((
    [phase, what],
  ) => ({
    need: ENVOY,
    recording: ENVOY_LIFE,
    phase,
    args: () => envoyArgs(waitingFor(what)),
    enter: () => untilStatus("http://127.0.0.1:9901/ready", 503),
  })),
  ...googleProxy(
    CLOUD_SQL_PROXY_PROGRAM,
    CLOUD_SQL_PROXY_LIFE,
    "--sqladmin-api-endpoint",
    "project:region:instance",
  ),
  ...googleProxy(
    ALLOYDB_AUTH_PROXY_PROGRAM,
    ALLOYDB_AUTH_PROXY_LIFE,
    "--alloydbadmin-api-endpoint",
    "projects/p/locations/l/clusters/c/instances/i",
  ),
  ...agent(OPENBAO_PROGRAM, "OpenBao's agent"),
  ...agent(VAULT_PROGRAM, "Vault's agent"),
];

for (const { need, recording, program = recording.program, phase, args, enter } of ROWS) {
  testWith(
    need,
    `${program}, ${phase}: the double answers as the real program does`,
    async (file) => {
      const preset = PRESETS.find(({ hookName }) => hookName === recording.name);
      await compareWithDouble(recording, phase, async (): Promise<Program> => {
        const real = startProgram(file, args());
        if (enter !== undefined) await enter();
        else if (phase === "ready" && preset !== undefined) await waitUntilReady([preset()]);
        return real;
      });
    },
  );
}
