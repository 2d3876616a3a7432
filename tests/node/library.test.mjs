/** The library on Node: real processes, real signals, real servers. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { BUNDLES, freePort, library, recordLog, startCli, startSidecar } from "./support.mjs";

const { envoy, fileHook, httpHook, signalHook } = library;
const { NotReadyError, stopSidecars, run, StartError, waitUntilReady } = library;

function temporaryFolder(t) {
  const folder = fs.mkdtempSync(`${os.tmpdir()}/wrapper-node-`);
  t.after(() => fs.rmSync(folder, { recursive: true }));
  return folder;
}

test("run() returns COMMAND's exit code and each hook's outcome", async (t) => {
  const sidecar = await startSidecar();
  t.after(sidecar.close);
  const result = await run(["sh", "-c", "exit 7"], { hooks: [envoy({ baseUrl: sidecar.origin })] });
  assert.equal(result.exitCode, 7);
  assert.ok(result.pid > 1 && result.durationMs > 0);
  assert.deepEqual(result.hooks.map(({ hook, outcome }) => [hook, outcome]), [
    ["envoy", "stopped"],
  ]);
  assert.deepEqual(sidecar.posts().map(({ path }) => path), ["/quitquitquit"]);
});

test("a full stderr that nobody reads holds nothing up", async () => {
  const cli = fileURLToPath(new URL("cli.mjs", import.meta.url));
  const fill = `exec 3>&2
    fill() {
      dd if=/dev/zero of=/proc/self/fd/3 oflag=nonblock conv=notrunc bs="$1" count=1 2>/dev/null
    }
    while fill 4096; do :; done
    while fill 1; do :; done
    exec 3>&-
    exec "$@"`;
  // A pipe, as the shell makes it: what Node itself makes is a socket.
  const script =
    `exec 5>&1; { sh -c "$FILL" sh "$@"; echo "code $?" >&5; } 2>&1 >&5 | { cat <&4; :; }`;
  const words = [process.execPath, cli, "--hook=none", "--log-level=debug", "sh", "-c", "exit 3"];
  const env = { ...process.env, FILL: fill, WRAPPER_NODE_BUNDLES: BUNDLES };
  // The reader of the pipe waits for its own stdin, and reads nothing.
  const child = spawn("sh", ["-c", script, "sh", ...words], {
    env,
    stdio: ["ignore", "pipe", "inherit", "ignore", "pipe"],
  });
  const [text] = await once(child.stdout.setEncoding("utf8"), "data");
  assert.equal(text, "code 3\n");
  child.stdio[4].end();
  await once(child, "exit");
});

test("the exit code is 128 + N if signal N ended COMMAND", async () => {
  for (const [name, number] of [["KILL", 9], ["TERM", 15], ["SEGV", 11], ["USR1", 10]]) {
    const { exitCode, signal } = await run(["sh", "-c", `kill -${name} $$`]);
    assert.deepEqual([exitCode, signal], [128 + number, `SIG${name}`]);
  }
});

test("126 or 127 and a StartError if COMMAND cannot be started, and hooks run", async (t) => {
  const sidecar = await startSidecar();
  t.after(sidecar.close);
  const folder = temporaryFolder(t);
  const plain = `${folder}/plain`;
  fs.writeFileSync(plain, "not for execution", { mode: 0o644 });
  const rows = [
    ["/no/such/program", 127, "ENOENT"],
    ["no-such-program-on-the-path", 127, "ENOENT"],
    [folder, 126, "EACCES"],
    [plain, 126, "EACCES"],
    [`${plain}/below`, 127, "ENOTDIR"],
  ];
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  for (const [command, exitCode, code] of rows) {
    const result = await run([command], { hooks });
    assert.ok(result.error instanceof StartError, String(result.error));
    assert.deepEqual([result.exitCode, result.error.code, result.pid], [exitCode, code, undefined]);
  }
  assert.equal(sidecar.posts().length, rows.length);
});

test("COMMAND gets its words, environment, folder and standard streams unchanged", async (t) => {
  const folder = temporaryFolder(t);
  const words = ["007", "1e3", "-x", "--help", "", "--", "ä b"];
  const script = 'printf "%s\\n" "$@" > "$0"; readlink /proc/self/cwd >> "$0"; echo $MINE >> "$0"';
  process.env.MINE = "set by the caller";
  const { exitCode } = await run(["sh", "-c", script, `${folder}/out`, ...words]);
  assert.equal(exitCode, 0);
  const written = fs.readFileSync(`${folder}/out`, "utf8");
  assert.equal(written, [...words, process.cwd(), "set by the caller", ""].join("\n"));
});

test("a time limit ends COMMAND with 124", async () => {
  const { exitCode, timedOut, signal } = await run(["sleep", "60"], { timeoutMs: 50 });
  assert.deepEqual([exitCode, timedOut, signal], [124, true, "SIGTERM"]);
});

test("killAfterMs and processGroup also apply to what COMMAND has started", async (t) => {
  const folder = temporaryFolder(t);
  execFileSync("mkfifo", [`${folder}/pipe`]);
  // The named pipe ends when its last writer, COMMAND's child, has ended.
  const pipe = fs.createReadStream(`${folder}/pipe`);
  const ready = new Promise((resolve) => pipe.once("data", resolve));
  const gone = new Promise((resolve) => pipe.once("end", resolve));
  const script = `trap "" TERM; (echo ready >&9; sleep 60; :) 9> ${folder}/pipe & wait`;
  const controller = new AbortController();
  const options = { processGroup: true, killAfterMs: 50, signal: controller.signal };
  const running = run(["bash", "-c", script], options);
  await ready;
  controller.abort();
  const { exitCode, signal } = await running;
  assert.deepEqual([exitCode, signal], [137, "SIGKILL"]);
  await gone;
});

test("an AbortSignal: before the start, during the wait, while COMMAND runs", async (t) => {
  const sidecar = await startSidecar();
  t.after(sidecar.close);
  const hooks = [envoy({ baseUrl: sidecar.origin })];
  const before = await run(["true"], { hooks, signal: AbortSignal.abort() });
  assert.deepEqual([before.exitCode, before.pid], [143, undefined]);

  const waiting = new AbortController();
  const wait = recordLog();
  const late = [envoy({ baseUrl: `http://127.0.0.1:${await freePort()}` })];
  const inWait = run(["true"], {
    hooks: late,
    log: wait.log,
    waitMs: 60_000,
    signal: waiting.signal,
  });
  await wait.event("wait-started");
  waiting.abort();
  assert.deepEqual([(await inWait).exitCode, (await inWait).pid], [143, undefined]);

  const running = new AbortController();
  const start = recordLog();
  const inRun = run(["sleep", "60"], { hooks, log: start.log, signal: running.signal });
  await start.event("command-started");
  running.abort();
  assert.deepEqual([(await inRun).exitCode, (await inRun).signal], [143, "SIGTERM"]);
  assert.equal(sidecar.posts().length, 2);
});

test("waitUntilReady() resolves, throws a NotReadyError, or its AbortSignal's reason", async (t) => {
  let asked = 0;
  const sidecar = await startSidecar();
  t.after(sidecar.close);
  await waitUntilReady([envoy({ baseUrl: sidecar.origin })], { timeoutMs: 60_000 });
  asked = sidecar.requests.length;
  assert.ok(asked > 0);
  const late = [envoy({ baseUrl: `http://127.0.0.1:${await freePort()}` })];
  await assert.rejects(waitUntilReady(late, { timeoutMs: 100 }), (error) => {
    assert.ok(error instanceof NotReadyError);
    assert.deepEqual(error.late, [{ hook: "envoy", answer: "connection refused" }]);
    return true;
  });
  const reason = new Error("changed my mind");
  await assert.rejects(waitUntilReady(late, { signal: AbortSignal.abort(reason) }), reason);
});

test("stopSidecars(): 503, 503, 200 takes three requests; 404 fails with a hint", async (t) => {
  let posted = 0;
  const sidecar = await startSidecar((_request, response) => {
    response.statusCode = ++posted < 3 ? 503 : 200;
    response.end();
  });
  t.after(sidecar.close);
  const [stopped] = await stopSidecars([envoy({ baseUrl: sidecar.origin })]);
  assert.deepEqual([stopped.outcome, stopped.answer, posted], ["stopped", "200 OK", 3]);

  const other = await startSidecar((_request, response) => {
    response.statusCode = 404;
    response.end();
  });
  t.after(other.close);
  const [failed] = await stopSidecars([envoy({ baseUrl: other.origin })]);
  assert.equal(failed.outcome, "failed");
  assert.match(failed.hint, /istio/);
});

test("stopSidecars(): no sidecar, and a sidecar that quits without an answer", async () => {
  const [none] = await stopSidecars([envoy({ baseUrl: `http://127.0.0.1:${await freePort()}` })]);
  assert.equal(none.outcome, "no-sidecar");
  const sidecar = await startSidecar(() => sidecar.close());
  const [gone] = await stopSidecars([envoy({ baseUrl: sidecar.origin })], {
    shutdownTimeoutMs: 60_000,
  });
  assert.equal(gone.outcome, "already-stopped");
});

test("stopSidecars(): a sidecar that never answers takes its time limit", async (t) => {
  const sidecar = await startSidecar(() => {});
  t.after(sidecar.close);
  const [failed] = await stopSidecars([envoy({ baseUrl: sidecar.origin })], {
    requestTimeoutMs: 100,
    shutdownTimeoutMs: 300,
  });
  assert.equal(failed.outcome, "failed");
  assert.match(failed.answer, /no answer within 100ms/);
});

test("a Unix socket, a Host header, credentials, and no proxy", async (t) => {
  const folder = temporaryFolder(t);
  const socket = await startSidecar(undefined, `${folder}/quit.sock`);
  t.after(socket.close);
  const url = `http+unix://${encodeURIComponent(`${folder}/quit.sock`)}/quit?now=1`;
  const [overSocket] = await stopSidecars([httpHook({ name: "mine", stop: { url } })]);
  assert.equal(overSocket.outcome, "stopped");
  assert.deepEqual(socket.posts().map(({ path, headers }) => [path, headers.host]), [
    ["/quit?now=1", "localhost"],
  ]);

  const sidecar = await startSidecar();
  t.after(sidecar.close);
  for (const name of ["HTTP_PROXY", "http_proxy", "NODE_USE_ENV_PROXY"]) {
    process.env[name] = "http://127.0.0.1:9";
  }
  const { host } = new URL(sidecar.origin);
  const withPassword = `http://me:hunter2@${host}/quit`;
  const [direct] = await stopSidecars([httpHook({ name: "mine", stop: { url: withPassword } })]);
  assert.equal(direct.outcome, "stopped");
  assert.ok(!direct.address.includes("hunter2"));
  const [{ headers }] = sidecar.posts();
  assert.deepEqual([headers.authorization, headers.host], [`Basic ${btoa("me:hunter2")}`, host]);
});

test("signalHook() signals a process by its name, and waits until it has ended", async (t) => {
  const name = `node-test-${process.pid}`;
  const program = `${temporaryFolder(t)}/${name}`;
  fs.copyFileSync("/bin/sleep", program);
  const sidecar = spawn(program, ["60"]);
  const exited = once(sidecar, "exit");
  await once(sidecar, "spawn");
  const hook = signalHook({ process: name, signal: "SIGINT" });
  const [stopped] = await stopSidecars([hook]);
  assert.equal(stopped.outcome, "stopped");
  assert.deepEqual(await exited, [null, "SIGINT"]);
  const [gone] = await stopSidecars([hook]);
  assert.equal(gone.outcome, "already-stopped");
});

test("fileHook() and terminationLog write how the job ended", async (t) => {
  const folder = temporaryFolder(t);
  const { hooks } = await run(["sh", "-c", "exit 3"], {
    hooks: [fileHook({ path: `${folder}/done` })],
    terminationLog: `${folder}/termination-log`,
  });
  assert.deepEqual(hooks.map(({ outcome }) => outcome), ["stopped"]);
  assert.equal(JSON.parse(fs.readFileSync(`${folder}/done`, "utf8")).exitCode, 3);
  const summary = JSON.parse(fs.readFileSync(`${folder}/termination-log`, "utf8"));
  assert.deepEqual([summary.command, summary.exitCode], ["sh", 3]);
  const [failed] = await stopSidecars([fileHook({ path: `${folder}/no/such/folder/done` })]);
  assert.equal(failed.outcome, "failed");
  assert.match(failed.answer, /no such file or folder/);
});

test("a custom hook need not handle a refused connection itself", async () => {
  const port = await freePort();
  const fetcher = {
    name: "fetcher",
    address: "somewhere",
    probe: () => Promise.resolve({ state: "absent", answer: "not asked" }),
    stop: async () => {
      const { status } = await fetch(`http://127.0.0.1:${port}`, { method: "POST" });
      return { state: "stopped", answer: String(status) };
    },
  };
  const [none] = await stopSidecars([fetcher]);
  assert.deepEqual([none.outcome, none.answer], ["no-sidecar", "connection refused"]);
});

test("wrong arguments are refused before anything starts", async () => {
  await assert.rejects(run(["true"], { timeoutMs: -1 }), RangeError);
  await assert.rejects(run(["true"], { hooks: [envoy] }), /hooks\[0\]: .*call it/);
  await assert.rejects(run("true"), TypeError);
});

test("main() on Node: help, version, a wrong option", async () => {
  const help = await startCli(["--help"]).ended;
  assert.deepEqual([help.code, help.stderr], [0, ""]);
  assert.match(help.stdout, /--shutdown-timeout/);
  assert.match((await startCli(["--version"]).ended).stdout, /^wrapper \d.* \(node \d/);
  const wrong = await startCli(["--hook=none", "--retries=x", "true"]).ended;
  assert.equal(wrong.code, 125);
  assert.match(wrong.stderr, /--retries "x": expected/);
});

test("main() passes signals on, in order, and exits with COMMAND's code", async (t) => {
  const sidecar = await startSidecar();
  t.after(sidecar.close);
  const script = `
    for name in HUP USR1 USR2 WINCH; do trap "echo got $name" $name; done
    trap "echo got TERM; exit 3" TERM
    echo ready
    while :; do read -t 1 _ <> <(:); done`;
  const cli = startCli([`--hook=envoy=${sidecar.origin}`, "bash", "-c", script]);
  await cli.waitFor("ready");
  for (const name of ["HUP", "USR1", "USR2", "WINCH", "TERM"]) {
    cli.child.kill(`SIG${name}`);
    await cli.waitFor(`got ${name}`);
  }
  const { code, stdout } = await cli.ended;
  assert.equal(code, 3);
  assert.deepEqual(stdout.trim().split("\n").slice(1), [
    "got HUP",
    "got USR1",
    "got USR2",
    "got WINCH",
    "got TERM",
  ]);
  assert.equal(sidecar.posts().length, 1);
});

test("run() waits for a port, a page and a file, and COMMAND gets the file's variables", async (t) => {
  const folder = fs.mkdtempSync(`${os.tmpdir()}/wrapper-`);
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const path = `${folder}/config`;
  fs.writeFileSync(`${folder}/my-own-job`, '#!/bin/sh\ntest "$TOKEN" = "open sesame" && exit 3\n', {
    mode: 0o755,
  });
  const sidecar = await startSidecar((_, response) => response.end());
  t.after(sidecar.close);
  const { fileReady, httpReady, run, tcpReady } = library;
  const { entries, log } = recordLog();
  const running = run(["my-own-job"], {
    waitFor: [
      tcpReady({ address: new URL(sidecar.origin).host }),
      httpReady({ url: `${sidecar.origin}/ready` }),
      fileReady({ path }),
    ],
    envFile: [path],
    log,
  });
  fs.writeFileSync(`${path}.draft`, `export TOKEN='open sesame'\nPATH="${folder}:/bin:/usr/bin"\n`);
  fs.renameSync(`${path}.draft`, path);
  const { exitCode } = await running;
  assert.equal(exitCode, 3, JSON.stringify(entries));
  assert.equal(sidecar.posts().length, 0);
});

test("SIGTERM during --wait: COMMAND is not started, exit code 143", async () => {
  const hook = `--hook=envoy=http://127.0.0.1:${await freePort()}`;
  const cli = startCli([hook, "--wait=60s", "echo", "started"]);
  await cli.waitFor("waiting up to");
  cli.child.kill("SIGTERM");
  const { code, stdout } = await cli.ended;
  assert.deepEqual([code, stdout], [143, ""]);
});

test("a second SIGTERM while hooks run ends them at once", async (t) => {
  const sidecar = await startSidecar(() => {});
  t.after(sidecar.close);
  const hook = `--hook=envoy=${sidecar.origin}`;
  const cli = startCli([hook, "--request-timeout=60s", "--shutdown-timeout=60s", "true"]);
  await cli.waitFor("command ended");
  cli.child.kill("SIGTERM");
  await cli.waitFor("another one ends them");
  cli.child.kill("SIGTERM");
  const { code, stderr } = await cli.ended;
  assert.equal(code, 0);
  assert.match(stderr, /hooks given up/);
});

test("importing the library does nothing, and does not keep Node running", () => {
  const script = `
    const before = process.eventNames().join();
    await import(process.argv[1]);
    console.log(process.eventNames().join() === before);`;
  const args = ["--input-type=module", "-e", script, `${BUNDLES}/wrapper.mjs`];
  assert.equal(execFileSync(process.execPath, args, { encoding: "utf8" }), "true\n");
});

test("CommonJS code can require the library", async () => {
  const required = createRequire(import.meta.url)(`${BUNDLES}/wrapper.cjs`);
  assert.deepEqual(Object.keys(required).sort(), Object.keys(library).sort());
  assert.equal((await required.run(["sh", "-c", "exit 5"])).exitCode, 5);
});
