/** Sidecars on Unix sockets. */

import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "../support/assert.ts";
import {
  ANSWERING,
  EXIT_3,
  NO_ANSWER,
  OK,
  PATIENT,
  runJob,
  runRow,
  SHORT,
} from "../support/faults.ts";
import type { Behavior } from "../support/faulty_sidecar.ts";
import { type Need, testWith } from "../support/needs.ts";

/** A path for a Unix socket, in a folder that is removed at the end. */
function socketPath() {
  const folder = Deno.makeTempDirSync();
  return {
    path: `${folder}/it.sock`,
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

const unixTarget = (path: string) => `http+unix://${encodeURIComponent(path)}/quit`;

Deno.test("a sidecar on a Unix socket", async () => {
  using socket = socketPath();
  const place = { path: socket.path };
  const target = () => unixTarget(socket.path);
  const told = /: told to quit \(200 OK\)/;
  const title = "on a socket";
  await runRow({ title, behavior: ANSWERING, place, target, posts: 1, log: told });
  const resetting: Behavior = {
    onStop: (connection, number) => number === 1 ? connection.reset() : connection.send(OK),
  };
  await runRow({ title, behavior: resetting, place, target, posts: 2, log: told });
});

Deno.test("a Unix socket on which nothing accepts connections", async () => {
  using socket = socketPath();
  const listener = Deno.listen({ transport: "unix", path: socket.path });
  try {
    const { code, stderr } = await runJob([unixTarget(socket.path)], SHORT, EXIT_3);
    assertEquals(code, 3);
    assertMatch(stderr, NO_ANSWER);
  } finally {
    listener.close();
  }
});

Deno.test("a Unix socket whose server has died, and one that does not exist", async () => {
  using socket = socketPath();
  const gone = `${socket.path}.gone`;
  const listener = Deno.listen({ transport: "unix", path: gone });
  // Deno removes the file of a listener that it closes; a server that dies does not.
  Deno.renameSync(gone, socket.path);
  listener.close();
  const answers = [[socket.path, "connection refused"], [gone, "there is no such socket"]];
  for (const [path = "", answer = ""] of answers) {
    const { code, stderr } = await runJob([unixTarget(path)], PATIENT, EXIT_3);
    assertEquals(code, 3);
    assertStringIncludes(stderr, `: no such sidecar (${answer} at http+unix:`);
  }
});

/** The length of the queue of connections of Deno's listeners on Unix sockets. */
const UNIX_QUEUE = 1024;

const MANY_FILES: Need<true> = {
  what: `${UNIX_QUEUE + 200} open files (ulimit -n)`,
  find() {
    const { stdout } = new Deno.Command("sh", { args: ["-c", "ulimit -n"] }).outputSync();
    const limit = new TextDecoder().decode(stdout).trim();
    return limit === "unlimited" || Number(limit) > UNIX_QUEUE + 200 ? true : undefined;
  },
};

testWith(MANY_FILES, "a Unix socket whose queue of connections is full", async () => {
  using socket = socketPath();
  const address = { transport: "unix", path: socket.path } as const;
  const listener = Deno.listen(address);
  const queued: Deno.UnixConn[] = [];
  try {
    // Unlike TCP, where a connection would wait, the system refuses this one: EAGAIN.
    const fill = async () => {
      while (queued.length < UNIX_QUEUE + 100) queued.push(await Deno.connect(address));
    };
    await assertRejects(fill, Deno.errors.WouldBlock);
    const limits = { ...PATIENT, retries: 2 };
    const { code, stderr } = await runJob([unixTarget(socket.path)], limits, EXIT_3);
    assertEquals(code, 3);
    assertMatch(stderr, /NOT stopped.*: connection broke: .+ \(3 attempts in /);
  } finally {
    listener.close();
    for (const connection of queued) connection.close();
  }
});
