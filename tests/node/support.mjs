/** What the tests on Node share: the library as built for Node, and real servers. */

import { spawn } from "node:child_process";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The folder with the bundles made by `scripts/bundle_for_node.ts`. */
export const BUNDLES = process.env.WRAPPER_NODE_BUNDLES ??
  fileURLToPath(new URL("../../.cache/node/", import.meta.url));

/** The library, as an ES module or as CommonJS. */
export const library = process.env.WRAPPER_NODE_FORMAT === "cjs"
  ? createRequire(import.meta.url)(`${BUNDLES}/wrapper.cjs`)
  : await import(`${BUNDLES}/wrapper.mjs`);

/** Starts a sidecar that answers every GET with 200, and every other request with `answer`. */
export async function startSidecar(answer = (_request, response) => response.end(), path) {
  const requests = [];
  const server = http.createServer((request, response) => {
    requests.push({ method: request.method, path: request.url, headers: request.headers });
    if (request.method === "GET") response.end("ok");
    else answer(request, response);
  });
  await new Promise((resolve) =>
    path === undefined ? server.listen(0, "127.0.0.1", resolve) : server.listen(path, resolve)
  );
  return {
    origin: path === undefined ? `http://127.0.0.1:${server.address().port}` : undefined,
    requests,
    posts: () => requests.filter(({ method }) => method !== "GET"),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(resolve);
      }),
  };
}

/** A port on which nothing listens. */
export async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A log that a test can wait for. */
export function recordLog() {
  const entries = [];
  const waiting = new Set();
  return {
    entries,
    log: (entry) => {
      entries.push(entry);
      for (const check of waiting) check();
    },
    event: (name) =>
      new Promise((resolve) => {
        const check = () => {
          const entry = entries.find(({ event }) => event === name);
          if (entry !== undefined) resolve(entry);
        };
        waiting.add(check);
        check();
      }),
  };
}

/** Starts the command line on Node in its own process. */
export function startCli(args, env = {}) {
  const script = fileURLToPath(new URL("cli.mjs", import.meta.url));
  const child = spawn(process.execPath, [script, ...args], {
    env: { ...process.env, KUBERNETES_SERVICE_HOST: "", WRAPPER_NODE_BUNDLES: BUNDLES, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  const waiting = new Set();
  for (const name of ["stdout", "stderr"]) {
    child[name].setEncoding("utf8").on("data", (text) => {
      output[name] += text;
      for (const check of waiting) check();
    });
  }
  const ended = new Promise((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, ...output }));
  });
  return {
    child,
    ended,
    waitFor: (text) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (output.stdout.includes(text) || output.stderr.includes(text)) resolve();
        };
        waiting.add(check);
        check();
        ended.then(() => reject(new Error(`ended without ${text}: ${output.stderr}`)));
      }),
  };
}
