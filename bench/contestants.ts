/**
 * Who is measured: this wrapper, the floor below it, and what others have made.
 *
 * @module
 */

import { findProgram } from "../tests/support/needs.ts";

/** What the contestants find on this machine. */
export interface Setup {
  /** Where the stand-in for a sidecar listens; the first is the usual port. */
  readonly ports: readonly number[];
  /** A folder for files, removed in the end. */
  readonly folder: string;
}

/** One program that is measured. */
export interface Contestant {
  /** Its name in the tables. */
  readonly name: string;
  /** Its file. */
  readonly program: string;
  /** Whether it sends a stop request over HTTP. */
  readonly stops: boolean;
  /** Files that it needs beside itself. */
  readonly extra?: readonly string[];
  /** The port that it has built in, if it has one. */
  readonly fixedPort?: number;
  /** Its words before COMMAND's. */
  readonly words: (setup: Setup) => readonly string[];
  /** Its variables. */
  readonly env?: (setup: Setup) => Readonly<Record<string, string>>;
}

/** The usual port of the stand-in. */
function portOf({ ports }: Setup): number {
  const port = ports[0];
  if (port === undefined) throw new Error("the stand-in for a sidecar listens nowhere");
  return port;
}

/** The name of this program in the tables. */
export const WRAPPER = "wrapper";
/** The same with a hook that is a plain URL: no harmless request is known for it. */
export const WRAPPER_URL = "wrapper, URL hook";
/** The same without a hook. */
export const WRAPPER_NO_HOOK = "wrapper, no hook";
/** An empty program made by `deno compile` on the same base, which only spawns COMMAND. */
export const FLOOR = "floor";

/** The floor with an open connection, on which it writes a stop request. */
export const FLOOR_SOCKET = "floor, socket";
/** The floor with ky, by which it sends a stop request. */
export const FLOOR_KY = "floor, ky";

/** The programs in this folder that are compiled to be measured, by their names in the tables. */
export const FLOORS = {
  [FLOOR]: "floor.ts",
  [FLOOR_SOCKET]: "floor_socket.ts",
  [FLOOR_KY]: "floor_ky.ts",
} as const;

/**
 * This program in the forms that are measured, and the floors.
 *
 * @param wrapper the compiled program
 * @param copy the same in another file
 * @param floors each compiled floor
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
    { name: WRAPPER_NO_HOOK, program: copy, stops: false, words: () => ["--hook", "none"] },
    { name: FLOOR, program: floors[FLOOR], stops: false, words: () => [] },
    { name: FLOOR_SOCKET, program: floors[FLOOR_SOCKET], stops: true, words: port },
    { name: FLOOR_KY, program: floors[FLOOR_KY], stops: true, words: port },
  ];
}

/** A peer: found by its variable, or on PATH. */
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
      // Like the others it does not wait for the sidecar, and writes no log line.
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

/** The peers that this machine has, and a sentence for each that it lacks. */
export function findPeers(): { found: readonly Contestant[]; absent: readonly string[] } {
  const found: Contestant[] = [];
  const absent: string[] = [];
  for (const { file, variable, ...peer } of PEERS) {
    const program = findProgram(file, variable);
    const plugin = Deno.env.get(GO_PLUGIN);
    if (program === undefined) {
      absent.push(`${peer.name}: not measured, no ${file} on PATH nor in ${variable}`);
    } else if (peer.fixedPort !== undefined && !isFree(peer.fixedPort)) {
      absent.push(`${peer.name}: not measured, its port ${peer.fixedPort} is taken`);
    } else if (file !== "go-wrapper") {
      found.push({ ...peer, program });
    } else if (plugin === undefined) {
      absent.push(`${peer.name}: not measured, its plug-in is not named by ${GO_PLUGIN}`);
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
