/**
 * Builds the npm package, and tests it as its users get it: packed, checked, installed into an empty
 * folder, and used on the oldest and the newest Node that it is for, as ES modules and as CommonJS.
 *
 *     deno task test:npm
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { buildPackage, filesBelow } from "./build_npm.ts";
import { COMMAND, NODE_TWINS, NODE_VERSIONS } from "./npm/package.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const FOLDER = `${ROOT}.cache/npm`;
const PACKAGE = `${FOLDER}/package`;
const CONSUMER = `${FOLDER}/consumer`;

/** The oldest Node of `engines`, and the newest there is. */
const NODES = [NODE_VERSIONS.replace(">=", ""), "26.10.0"];

const PUBLINT = "publint@0.3.25";
const TYPES_CHECKER = "@arethetypeswrong/cli@0.18.5";
const TYPESCRIPT = "typescript@5.9.3";
const NODE_TYPES = "@types/node@22.20.5";

let count = 0;
function passed(what: string): void {
  count++;
  console.log(`ok  ${what}`);
}

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(
  [program = "", ...args]: readonly string[],
  { cwd = FOLDER, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Result> {
  const options = { args, cwd, env: { ...env, NODE_OPTIONS: "", NO_COLOR: "1" } };
  const { code, stdout, stderr } = await new Deno.Command(program, options).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Runs a program that must succeed, and returns what it prints. */
async function must(words: readonly string[], options: Parameters<typeof run>[1] = {}) {
  const { code, stdout, stderr } = await run(words, options);
  if (code !== 0) throw new Error(`${words.join(" ")}: exit code ${code}\n${stdout}${stderr}`);
  return stdout;
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

function writeJson(path: string, value: unknown): void {
  Deno.writeTextFileSync(path, JSON.stringify(value));
}

/** Builds and packs the package; returns the tarball's path. */
async function pack(): Promise<string> {
  const lock = Deno.readTextFileSync(`${ROOT}deno.lock`);
  console.log(`built by ${await buildPackage(PACKAGE, true)}`);
  check(Deno.readTextFileSync(`${ROOT}deno.lock`) === lock, "the build has changed deno.lock");
  const [{ filename, files }] = JSON.parse(
    await must(["npm", "pack", "--json", "--pack-destination", FOLDER], { cwd: PACKAGE }),
  );
  const names: readonly string[] = files.map(({ path }: { path: string }) => path);
  check(!names.some((name) => name.endsWith(".map")), "has source maps");
  check(!names.some((name) => /_(node|test)\.|_test\//.test(name)), "has twins or tests");
  for (const file of Object.keys(NODE_TWINS)) {
    const [js = ""] = [`esm/${file.replace(/ts$/, "js")}`];
    check(names.includes(js), `has no ${js}`);
  }
  for (const path of filesBelow(PACKAGE).filter((one) => one.endsWith(".js"))) {
    check(!/\bDeno\.\w/.test(stripComments(Deno.readTextFileSync(path))), `${path} uses Deno`);
  }
  const links = Deno.readTextFileSync(`${PACKAGE}/README.md`).match(/\]\((?!#|https?:)[^)]*\)/g);
  check(links === null, `README's links lead out of the package: ${links}`);
  passed(`packed: ${names.length} files, nothing that only Deno can run, deno.lock unchanged`);
  return `${FOLDER}/${filename}`;
}

function stripComments(code: string): string {
  return code.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
}

async function checkPackage(tarball: string): Promise<void> {
  const remarks = await must(["npx", "--yes", PUBLINT, tarball, "--strict"]);
  check(!/warning|suggestion/i.test(remarks), remarks);
  passed(PUBLINT);
  await must(["npx", "--yes", TYPES_CHECKER, tarball]);
  passed(TYPES_CHECKER);
}

/** Installs the package with the Nodes and TypeScript into an empty folder. */
async function install(tarball: string): Promise<void> {
  Deno.mkdirSync(CONSUMER);
  writeJson(`${CONSUMER}/package.json`, { private: true });
  const machine = `${Deno.build.os}-${Deno.build.arch === "aarch64" ? "arm64" : "x64"}`;
  const nodes = NODES.map((version) => `node-${version}@npm:node-${machine}@${version}`);
  const others = [tarball, TYPESCRIPT, NODE_TYPES];
  await must(["npm", "install", "--no-fund", "--no-audit", ...others], { cwd: CONSUMER });
  // Its own packages of each version, without a script that runs at their installation.
  await must(["npm", "install", "--no-fund", "--no-audit", "--no-save", ...nodes], {
    cwd: CONSUMER,
  });
  passed("installed into an empty folder");
  const package_ = "@k8s-job/wrapper";
  Deno.writeTextFileSync(`${CONSUMER}/wrapper.mjs`, `export * from "${package_}";\n`);
  Deno.writeTextFileSync(`${CONSUMER}/wrapper.cjs`, `module.exports = require("${package_}");\n`);
}

async function useOnNode(version: string): Promise<void> {
  const node = `${CONSUMER}/node_modules/node-${version}/bin/node`;
  check((await must([node, "--version"])).trim() === `v${version}`, `${node} is no ${version}`);
  for (const format of ["mjs", "cjs"]) {
    const env = { WRAPPER_NODE_BUNDLES: CONSUMER, WRAPPER_NODE_FORMAT: format };
    const args = ["--test", "--test-reporter=tap", `${ROOT}tests/node/library.test.mjs`];
    const report = await must([node, ...args], { env });
    const [, passes = "0"] = /^# pass (\d+)$/m.exec(report) ?? [];
    check(Number(passes) > 20 && /^# (fail|skipped) 0$/m.test(report), report);
    passed(`Node ${version}, ${format === "cjs" ? "CommonJS" : "ES modules"}: ${passes} tests`);
  }
  const command = `${CONSUMER}/node_modules/.bin/${COMMAND}`;
  const { code, stderr } = await run([node, command, "--hook=none", "sh", "-c", "exit 3"]);
  check(code === 3 && stderr.includes("command ended with exit code 3"), stderr);
  const wrapped = await must([node, command, "--wrap", `${ROOT}tests/fixtures/job.yaml`]);
  check(wrapped.includes('"/shared/wrapper", "/my-job"'), wrapped);
  const noInstall = await run([node, command, "--install", FOLDER]);
  check(noInstall.code === 125 && noInstall.stderr.includes("runs on Node"), noInstall.stderr);
  passed(`Node ${version}: the command ${COMMAND}`);
}

/** The pages' examples for Node, each in the folder where the package is installed, as it stands. */
async function runExamples(version: string): Promise<void> {
  const node = `${CONSUMER}/node_modules/node-${version}/bin/node`;
  const examples = ["README.md", "docs/library.md"].flatMap((page) => {
    const blocks = Deno.readTextFileSync(ROOT + page).matchAll(/^```(?:ts|js)\n([^]*?)^```$/gm);
    return [...blocks].map(([, code = ""]) => code).filter((code) => !/\bDeno\./.test(code));
  });
  check(examples.length >= 4, `only ${examples.length} examples`);
  for (const example of examples) {
    Deno.writeTextFileSync(`${CONSUMER}/example.mjs`, example);
    await must([node, "example.mjs"], { cwd: CONSUMER });
  }
  passed(`Node ${version}: ${examples.length} examples of the pages`);
}

/** What a program of a user imports, in strict TypeScript without the types of the DOM. */
const PROGRAM = `
import { createLogger, istio, NotReadyError, run, type RunResult, stopSidecars } from "@k8s-job/wrapper";

export async function job(): Promise<RunResult> {
  const log = createLogger();
  const result = await run(["true"], { hooks: [istio()], log });
  if (result.error instanceof NotReadyError) throw result.error;
  await stopSidecars([istio({ baseUrl: "http://127.0.0.1:9" })], { shutdownTimeoutMs: 1 });
  // @ts-expect-error: a time limit is a number
  await stopSidecars([], { shutdownTimeoutMs: "1s" });
  return result;
}
`;

async function compileConsumers(): Promise<void> {
  Deno.writeTextFileSync(`${CONSUMER}/program.mts`, PROGRAM);
  Deno.writeTextFileSync(`${CONSUMER}/program.cts`, PROGRAM);
  const ways = [
    ["node16", "node16"],
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ] as const;
  for (const [module, moduleResolution] of ways) {
    const files = moduleResolution === "bundler" ? ["program.mts"] : ["program.mts", "program.cts"];
    writeJson(`${CONSUMER}/tsconfig.json`, {
      compilerOptions: {
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true,
        target: "es2023",
        lib: ["es2023"],
        types: ["node"],
        module,
        moduleResolution,
      },
      files,
    });
    await must([`${CONSUMER}/node_modules/.bin/tsc`, "--project", CONSUMER]);
    passed(`tsc --strict, ${moduleResolution}: ${files.join(", ")}`);
  }
}

if (import.meta.main) {
  try {
    Deno.removeSync(FOLDER, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  Deno.mkdirSync(FOLDER, { recursive: true });
  try {
    const tarball = await pack();
    await checkPackage(tarball);
    await install(tarball);
    for (const version of NODES) await useOnNode(version);
    for (const version of NODES) await runExamples(version);
    await compileConsumers();
  } catch (error) {
    console.error(`FAILED: ${error instanceof Error ? error.message : error}`);
    console.log(`${count} passed, 1 failed`);
    Deno.exit(1);
  }
  console.log(`${count} passed, 0 failed`);
}
