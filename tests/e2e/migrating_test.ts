/**
 * The lines of shell scripts in docs/migrating.md, run as they stand there beside what replaces them: only
 * addresses, paths and names become the test's own.
 */

import { assert, assertEquals, assertStringIncludes } from "../support/assert.ts";
import { both, findProgram, NAMED_PROCESSES, type Need, testWith } from "../support/needs.ts";
import { freePort } from "../support/sidecar.ts";
import { BINARY, type Running, startProgram } from "../support/wrapper.ts";

const PAGE = Deno.readTextFileSync(new URL("../../docs/migrating.md", import.meta.url));

interface Row {
  readonly script: string;
  readonly options: string;
}

/** The rows of the table after this line. */
function rowsAfter(line: string): readonly Row[] {
  const start = PAGE.indexOf(`\n${line}\n`);
  assert(start >= 0, line);
  const [table = ""] = PAGE.slice(start + line.length + 3).split("\n\n");
  return table.trim().split("\n").slice(2).map((text) => {
    const [, script = "", options = ""] = /^\| `(.*)` +\| `(.*)` +\|$/.exec(text) ?? [];
    assert(script !== "" && options !== "", text);
    return { script: script.replaceAll("\\|", "|"), options };
  });
}

const BEFORE = rowsAfter("Before the job, and then `my-job`:");
const AFTER = rowsAfter("After the job, as `my-job; rc=$?; …; exit $rc`:");
const AROUND = rowsAfter("Around the job:");

/** What a line of a script is about, on addresses of its own. */
interface World extends AsyncDisposable {
  /** Puts the test's own addresses, paths and names in place of those of the page. */
  translate(text: string): string;
  /** Starts the sidecar, or whatever it is. */
  start(): void;
  /** What it was told, by a request or a signal. */
  told(): Promise<string>;
  /** The folder with `my-job`, which prints a line and exits with 3, once its stdin has ended. */
  readonly folder: string;
}

function makeWorld({ script }: Row): World {
  const folder = Deno.makeTempDirSync();
  const port = freePort();
  // The kernel keeps 15 bytes of a name.
  const name = `e${crypto.randomUUID().slice(0, 8)}`;
  const requests: string[] = [];
  const started: AsyncDisposable[] = [];
  Deno.writeTextFileSync(
    `${folder}/my-job`,
    '#!/bin/sh\necho "started $TOKEN"\nwhile read line; do :; done\nexit 3\n',
    { mode: 0o755 },
  );

  function answer(request: Request): Response {
    requests.push(`${request.method} ${new URL(request.url).pathname}`);
    return new Response("ok");
  }

  function startProcess(): AsyncDisposable & { readonly status: Promise<Deno.CommandStatus> } {
    Deno.copyFileSync("/bin/sleep", `${folder}/${name}`);
    Deno.chmodSync(`${folder}/${name}`, 0o755);
    const child = new Deno.Command(`${folder}/${name}`, { args: ["1000"] }).spawn();
    child.status.then(({ signal }) => requests.push(signal ?? ""));
    return {
      status: child.status,
      async [Symbol.asyncDispose]() {
        try {
          child.kill("SIGKILL");
        } catch {
          // It was told to quit.
        }
        await child.status;
      },
    };
  }

  function serve(where: { path: string } | { port: number; hostname: string }) {
    const server = "path" in where
      ? Deno.serve({ ...where, onListen: () => {} }, answer)
      : Deno.serve({ ...where, onListen: () => {} }, answer);
    return { [Symbol.asyncDispose]: () => server.shutdown() };
  }

  return {
    folder,
    translate: (text) =>
      text
        .replaceAll(/localhost:\d+/g, `localhost:${port}`)
        .replace("postgres 5432", `localhost ${port}`)
        .replace("postgres:5432", `localhost:${port}`)
        .replaceAll("/run/app.sock", `${folder}/app.sock`)
        .replace("%2Frun%2Fapp.sock", encodeURIComponent(`${folder}/app.sock`))
        .replaceAll("/vault/secrets/config", `${folder}/config`)
        .replace("/shared/done", `${folder}/done`)
        .replaceAll(/\benvoy\b/g, name)
        .replace("1h", "0.5s"),
    start() {
      if (/pgrep|pkill/.test(script)) started.push(startProcess());
      else if (script.includes("app.sock")) started.push(serve({ path: `${folder}/app.sock` }));
      else if (script.includes("/vault/secrets/config")) {
        Deno.writeTextFileSync(`${folder}/draft`, "export TOKEN='open sesame'\n");
        Deno.renameSync(`${folder}/draft`, `${folder}/config`);
      } else if (!script.includes("/shared/done")) {
        started.push(serve({ port, hostname: "127.0.0.1" }));
      }
    },
    async told() {
      for (const one of started) if ("status" in one) await one.status;
      if (!script.includes("/shared/done")) {
        // Looks for readiness, and for whether it is there, are no stop requests.
        return requests.filter((request) => request !== "GET /").join();
      }
      return findFile(`${folder}/done`) ? "created" : "";
    },
    async [Symbol.asyncDispose]() {
      for (const one of started) await one[Symbol.asyncDispose]();
      Deno.removeSync(folder, { recursive: true });
    },
  };
}

function findFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Starts a line of a shell, with `my-job` on its PATH. */
function startScript(world: World, line: string, env: Record<string, string> = {}): Running {
  const path = `${world.folder}:${Deno.env.get("PATH")}`;
  return startProgram(["sh", "-c", world.translate(line)], {
    stdin: "piped",
    env: { MESH: "true", ...env, PATH: path },
  });
}

function startInstead(world: World, options: string, env: Record<string, string> = {}): Running {
  const hook = options.includes("--hook") ? "" : "--hook none ";
  return startScript(world, `exec ${BINARY} ${hook}${options} my-job`, env);
}

/** Lets `my-job` end, and returns how the line has ended. */
async function finish(running: Running): Promise<readonly [code: number, stdout: string]> {
  await running.waitFor("started");
  await running.child.stdin.close();
  const { code, stdout } = await running.ended;
  // What `pgrep` and `curl` print is theirs.
  return [code, stdout.slice(stdout.indexOf("started")).split("\n")[0] ?? ""];
}

/** The programs of a line. */
function programsOf({ script, options }: Row): Need<unknown> {
  const known = ["curl", "wget", "nc", "pgrep", "pkill", "timeout"];
  const names = known.filter((name) => script.includes(name));
  const programs = {
    what: `${names.join(", ")} (apt-get install curl wget netcat-openbsd procps coreutils)`,
    find: () => names.every((name) => findProgram(name) !== undefined) ? names : undefined,
  };
  return /(process|signal):/.test(options) ? both(programs, NAMED_PROCESSES) : programs;
}

for (const row of BEFORE) {
  const { script, options } = row;
  const line = `${script}; my-job`;
  testWith(programsOf(row), `before the job: ${script}`, async (_, context) => {
    await context.step("it is there early", async () => {
      await using world = makeWorld(row);
      world.start();
      await using shell = startScript(world, line);
      const original = await finish(shell);
      await using wrapper = startInstead(world, options);
      assertEquals(await finish(wrapper), original, wrapper.output.stderr);
      assertEquals(original[0], 3);
    });
    await context.step("it comes late", async () => {
      await using world = makeWorld(row);
      await using shell = startScript(world, line);
      await using wrapper = startInstead(world, options);
      await wrapper.waitFor("waiting up to 5m");
      assertEquals([shell.output.stdout, wrapper.output.stdout], ["", ""]);
      world.start();
      const [original, instead] = await Promise.all([finish(shell), finish(wrapper)]);
      assertEquals(instead, original, wrapper.output.stderr);
    });
    await context.step("it never comes: 125 here, a loop without end there", async () => {
      await using world = makeWorld(row);
      await using shell = startScript(world, line);
      await using wrapper = startInstead(world, `${options} --wait 300ms`);
      const { code, stdout } = await wrapper.ended;
      assertEquals([code, stdout], [125, ""]);
      assertEquals(await Promise.race([shell.ended, Promise.resolve("waits")]), "waits");
    });
    await context.step("SIGTERM while it is waited for", async () => {
      await using world = makeWorld(row);
      await using wrapper = startInstead(world, options);
      await wrapper.waitFor("waiting up to 5m");
      wrapper.kill("SIGTERM");
      const { code, stdout } = await wrapper.ended;
      assertEquals([code, stdout], [143, ""]);
    });
  });
}

const STOPPING = [
  ...AFTER.map((row) => ({ ...row, line: `my-job; rc=$?; ${row.script}; exit $rc` })),
  ...AROUND.filter(({ script }) => script.includes("trap")).map((row) => ({
    ...row,
    line: row.script,
  })),
];

for (const row of STOPPING) {
  const { script, options, line } = row;
  const isTombstone = script.includes("touch");
  testWith(programsOf(row), `after the job: ${script}`, async (_, context) => {
    await context.step("the same stop request, and COMMAND's exit code", async () => {
      const outcomes = [];
      for (
        const start of [
          (world: World) => startScript(world, line),
          (world: World) => startInstead(world, options),
        ]
      ) {
        await using world = makeWorld(row);
        world.start();
        await using running = start(world);
        outcomes.push([await finish(running), await world.told()]);
      }
      const [original, instead] = outcomes;
      assertEquals(instead, original);
      assertEquals(original?.[0], [3, "started "]);
      assert(original?.[1] !== "");
    });
    await context.step("an absent sidecar: COMMAND's exit code", async () => {
      await using world = makeWorld(row);
      await using wrapper = startInstead(world, `--startup-window 0 ${options}`);
      await using shell = startScript(world, line);
      assertEquals((await finish(wrapper))[0], 3);
      assertEquals((await finish(shell))[0], 3);
    });
    if (!isTombstone) {
      await context.step("a late sidecar: stopped here, left behind there", async () => {
        await using world = makeWorld(row);
        await using shell = startScript(world, line);
        await finish(shell);
        // Not 1h, for which the page's own limits become half a second.
        await using wrapper = startInstead(world, `--startup-window 60m ${options}`);
        const ending = finish(wrapper);
        await wrapper.waitFor("not there yet");
        world.start();
        assertEquals((await ending)[0], 3);
        assert(await world.told() !== "", wrapper.output.stderr);
      });
    }
    await context.step("SIGTERM: passed on and stopped here, neither there", async () => {
      await using world = makeWorld(row);
      if (!script.includes("trap")) {
        await using shell = startScript(world, line);
        await shell.waitFor("started");
        shell.kill("SIGTERM");
        // my-job still runs, and has the pipes that the shell's own end would close.
        assertEquals((await shell.child.status).code, 143);
        if (isTombstone) assertEquals(await world.told(), "");
        await shell.child.stdin.close();
      }
      world.start();
      await using wrapper = startInstead(world, options);
      await wrapper.waitFor("started");
      wrapper.kill("SIGTERM");
      assertEquals((await wrapper.ended).code, 143);
      assert(await world.told() !== "", wrapper.output.stderr);
    });
  });
}

Deno.test("a mesh flag that is off: nothing is expected, in a pod too", async () => {
  const row = AFTER.find(({ script }) => script.includes("MESH"));
  assert(row !== undefined);
  await using world = makeWorld(row);
  const env = { MESH: "false", KUBERNETES_SERVICE_HOST: "10.0.0.1" };
  await using wrapper = startInstead(world, row.options, env);
  assertEquals((await finish(wrapper))[0], 3);
  const { stderr, durationMs } = await wrapper.ended;
  assertStringIncludes(stderr, "no such sidecar");
  assert(durationMs < 20_000, stderr);
});

for (const row of AROUND.filter(({ script }) => script.includes("timeout"))) {
  testWith(programsOf(row), `around the job: ${row.script}`, async () => {
    await using world = makeWorld(row);
    await using shell = startScript(world, row.script);
    await using wrapper = startInstead(world, `--hook none ${row.options}`);
    assertEquals((await wrapper.ended).code, 124);
    assertEquals((await shell.ended).code, 124);
  });
}
