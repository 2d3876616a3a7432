/**
 * The programs that are measured: this wrapper, the floor below it, and its peers.
 *
 * @module
 */

import { findProgram } from "../tests/support/needs.ts";

/** What the contestants can use on this machine. */
export interface Setup {
  /** The ports on which the stand-in for a sidecar listens; most contestants use the first. */
  readonly ports: readonly number[];
  /** A folder for files, removed at the end. */
  readonly folder: string;
}

/** One program that is measured. */
export interface Contestant {
  /** Its name in the tables. */
  readonly name: string;
  /** Its executable. */
  readonly program: string;
  /** Whether it sends a stop request over HTTP. */
  readonly stops: boolean;
  /** Other files that it needs. */
  readonly extra?: readonly string[];
  /** The port that is built into it, if there is one. */
  readonly fixedPort?: number;
  /** Its arguments before COMMAND. */
  readonly words: (setup: Setup) => readonly string[];
  /** Its environment variables. */
  readonly env?: (setup: Setup) => Readonly<Record<string, string>>;
}

/** The stand-in's first port. */
function portOf({ ports }: Setup): number {
  const port = ports[0];
  if (port === undefined) throw new Error("the stand-in for a sidecar listens nowhere");
  return port;
}

/** The name of this program in the tables. */
export const WRAPPER = "wrapper";
/** This program with a hook that is a plain URL: no harmless request is known for it. */
export const WRAPPER_URL = "wrapper, URL hook";
/** The wrapper as the last of two containers to end. */
export const WRAPPER_CONTAINERS = "wrapper, two containers";
/** This program without a hook. */
export const WRAPPER_NO_HOOK = "wrapper, no hook";
/** An empty program, compiled by `deno compile` on the same runtime, that only spawns COMMAND. */
export const FLOOR = "floor";

/** The floor with an open connection, on which it writes a stop request. */
export const FLOOR_SOCKET = "floor, socket";
/** The floor with ky, through which it sends a stop request. */
export const FLOOR_KY = "floor, ky";

/** The programs in this folder that are compiled for the measurement, by their names in the tables. */
export const FLOORS = {
  [FLOOR]: "floor.ts",
  [FLOOR_SOCKET]: "floor_socket.ts",
  [FLOOR_KY]: "floor_ky.ts",
} as const;

/**
 * Returns the measured variants of this program, and the floors.
 *
 * @param wrapper the compiled program
 * @param copy a copy of it in another file
 * @param floors the compiled floors
 */
export function ownContestants(
  wrapper: string,
  copy: string,
  floors: Readonly<Record<keyof typeof FLOORS, string>>,
): readonly Contestant[] {
  const port = (setup: Setup) => [String(portOf(setup))];
  return [
    {
      name: WRAPPER,
      program: wrapper,
      stops: true,
      words: (setup) => ["--hook", `istio=http://127.0.0.1:${portOf(setup)}`],
    },
    {
      name: WRAPPER_URL,
      program: wrapper,
      stops: true,
      words: (setup) => ["--hook", `http://127.0.0.1:${portOf(setup)}/quit`],
    },
    {
      name: WRAPPER_CONTAINERS,
      program: wrapper,
      stops: true,
      words: (setup) => [
        ...["--hook", `istio=http://127.0.0.1:${portOf(setup)}`],
        ...["--containers", "2", "--shared-dir", sharedFolder(setup)],
      ],
    },
    { name: WRAPPER_NO_HOOK, program: copy, stops: false, words: () => ["--hook", "none"] },
    { name: FLOOR, program: floors[FLOOR], stops: false, words: () => [] },
    { name: FLOOR_SOCKET, program: floors[FLOOR_SOCKET], stops: true, words: port },
    { name: FLOOR_KY, program: floors[FLOOR_KY], stops: true, words: port },
  ];
}

/** A folder in which the other container's wrapper has written down its end. */
function sharedFolder({ folder }: Setup): string {
  const shared = Deno.makeTempDirSync({ dir: folder });
  const ended = { state: "left", succeeded: true, containers: 2, order: 1, failuresBefore: 0 };
  Deno.writeTextFileSync(`${shared}/${crypto.randomUUID()}.json`, JSON.stringify(ended));
  return shared;
}

/** A peer, found through its variable or on PATH. */
interface Peer extends Omit<Contestant, "program"> {
  readonly file: string;
  readonly variable: string;
}

const GO_PLUGIN = "BENCH_GO_WRAPPER_PLUGIN";

const PEERS: readonly Peer[] = [
  {
    name: "scuttle",
    file: "scuttle",
    variable: "BENCH_SCUTTLE",
    stops: true,
    words: () => [],
    env: (setup) => ({
      ENVOY_ADMIN_API: `http://127.0.0.1:${portOf(setup)}`,
      ISTIO_QUIT_API: `http://127.0.0.1:${portOf(setup)}`,
      // Like the others, it must not wait for the sidecar, and must not log.
      START_WITHOUT_ENVOY: "true",
      SCUTTLE_LOGGING: "false",
    }),
  },
  {
    name: "linkerd-await",
    file: "linkerd-await",
    variable: "BENCH_LINKERD_AWAIT",
    stops: true,
    words: (setup) => ["--port", String(portOf(setup)), "--shutdown", "--"],
  },
  {
    name: "Go wrapper",
    file: "go-wrapper",
    variable: "BENCH_GO_WRAPPER",
    stops: true,
    fixedPort: 15_000,
    words: () => [],
    env: () => ({ WRAPPER_PLUGIN_PATH: Deno.env.get(GO_PLUGIN) ?? "" }),
  },
  {
    name: "kubexit",
    file: "kubexit",
    variable: "BENCH_KUBEXIT",
    stops: false,
    words: () => [],
    env: ({ folder }) => ({ KUBEXIT_NAME: "tombstone", KUBEXIT_GRAVEYARD: folder }),
  },
  { name: "tini", file: "tini", variable: "BENCH_TINI", stops: false, words: () => ["-s", "--"] },
  {
    name: "dumb-init",
    file: "dumb-init",
    variable: "BENCH_DUMB_INIT",
    stops: false,
    words: () => [],
  },
];

/** Returns the peers that this machine has, and a sentence for each one that it lacks. */
export function findPeers(): { found: readonly Contestant[]; absent: readonly string[] } {
  const found: Contestant[] = [];
  const absent: string[] = [];
  for (const { file, variable, ...peer } of PEERS) {
    const program = findProgram(file, variable);
    const plugin = Deno.env.get(GO_PLUGIN);
    if (program === undefined) {
      absent.push(`${peer.name}: not measured, no ${file} on PATH or in ${variable}`);
    } else if (peer.fixedPort !== undefined && !isFree(peer.fixedPort)) {
      absent.push(`${peer.name}: not measured, its port ${peer.fixedPort} is taken`);
    } else if (file !== "go-wrapper") {
      found.push({ ...peer, program });
    } else if (plugin === undefined) {
      absent.push(`${peer.name}: not measured, ${GO_PLUGIN} does not name its plugin`);
    } else {
      found.push({ ...peer, program, extra: [plugin] });
    }
  }
  return { found, absent };
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch {
    return false;
  }
}
