/** Images and pods for the container tests: real ones, made by podman and runc. */

import { TEST_DENO_VERSION, testRuntime } from "../../scripts/compile.ts";
import { exists, findProgram, type Need } from "../support/needs.ts";

const HERE = new URL("./", import.meta.url).pathname;
const ROOT = new URL("../../", import.meta.url).pathname;
const CACHE = `${ROOT}.cache/containers`;

/** Nothing here takes this long unless it hangs. */
const LIMIT_MS = 120_000;

/** How a program ended. */
export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Podman's settings for these tests. */
const SETTINGS = { CONTAINERS_CONF: Deno.env.get("CONTAINERS_CONF") ?? `${HERE}containers.conf` };

async function output(program: string, args: readonly string[], input?: string): Promise<Output> {
  const child = new Deno.Command(program, {
    args: [...args],
    env: SETTINGS,
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).spawn();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Runs a program to its end and returns what it printed; throws if it fails. */
export async function must(
  program: string,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const { code, stdout, stderr } = await output(program, args, input);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: ${code}\n${stdout}${stderr}`);
  return stdout.trim();
}

/** Runs podman, even if it fails. */
export function podman(...args: readonly string[]): Promise<Output> {
  return output("podman", args);
}

const PROGRAMS = ["podman", "runc", "catatonit", "patchelf", "cc", "musl-gcc", "dpkg-deb"];

/** Podman, able to start pods, and the tools that the images are made with. */
export const PODMAN: Need<true> = {
  get what() {
    const missing = PROGRAMS.filter((name) => !isInstalled(name));
    if (missing.length > 0) return `${missing.join(", ")} (.ci/run installs them)`;
    if (Deno.uid() !== 0) return "root, for podman";
    return `a machine that lets podman start a pod: ${podProblem()}`;
  },
  find: () =>
    PROGRAMS.every(isInstalled) && Deno.uid() === 0 && podProblem() === undefined
      ? true
      : undefined,
};

function isInstalled(name: string): boolean {
  const folders = ["/usr/libexec/podman", "/usr/lib/podman", "/usr/sbin"];
  return findProgram(name) !== undefined || folders.some((folder) => exists(`${folder}/${name}`));
}

let podStarted: { readonly problem: string | undefined } | undefined;

/** Starts an empty pod, which some machines do not allow. Returns podman's last line if it fails. */
function podProblem(): string | undefined {
  return (podStarted ??= { problem: tryPod() }).problem;
}

function tryPod(): string | undefined {
  const name = `wrapper-test-${crypto.randomUUID().slice(0, 8)}`;
  const command = (...args: string[]) =>
    new Deno.Command("timeout", { args: ["60", "podman", ...args], env: SETTINGS }).outputSync();
  try {
    for (const args of [["create", "--network=none", "--name"], ["start"]]) {
      const { success, stderr } = command("pod", ...args, name);
      const lines = new TextDecoder().decode(stderr).trim();
      if (!success) return lines.split("\n").at(-1) || "podman said nothing for 60 s";
    }
    return undefined;
  } finally {
    command("pod", "rm", "--force", "--time=0", name);
  }
}

/** A base image that is in common use. */
export interface Base {
  /** What it is usually called. */
  readonly title: string;
  /** Its name. */
  readonly image: string;
  /** The Dockerfile's target for it. */
  readonly target: "wrapper" | "portable";
  /** The image made from it, with COMMAND under the wrapper. */
  readonly jobImage: string;
  /** Which build of COMMAND: a static one, or one with a different C library than the wrapper's. */
  readonly job: "job" | "job-musl";
}

function base(
  title: string,
  target: Base["target"],
  image: string,
  job: Base["job"] = "job",
): Base {
  const name = title.toLowerCase().replaceAll(" ", "-");
  return { title, image, target, job, jobImage: `localhost/wrapper-test/on-${name}` };
}

/** The base images that the wrapper is tested on. */
export const BASES: readonly Base[] = [
  base("distroless cc", "wrapper", "gcr.io/distroless/cc-debian12:nonroot"),
  base("distroless base", "portable", "gcr.io/distroless/base-debian12:nonroot"),
  base("distroless static", "portable", "gcr.io/distroless/static-debian12:nonroot"),
  base("scratch", "portable", "scratch"),
  base("Debian slim", "wrapper", "docker.io/library/debian:bookworm-slim"),
  base("BusyBox", "portable", "docker.io/library/busybox:latest"),
  base("Alpine", "portable", "docker.io/library/alpine:latest", "job-musl"),
];

/** The image with COMMAND under the wrapper that is made from a base image. */
export function imageOn(title: string): string {
  const found = BASES.find((candidate) => candidate.title === title);
  if (found === undefined) throw new Error(`no base image ${title}`);
  return found.jobImage;
}

/** The wrapper's path in the image of each target. */
export const PROGRAM = { wrapper: "/wrapper", portable: "/wrapper/wrapper" } as const;

/** The image of a target of the Dockerfile. */
export const TARGET_IMAGE = {
  wrapper: "localhost/wrapper-test/wrapper",
  portable: "localhost/wrapper-test/portable",
} as const;

/** The image of pilot-agent's stand-in. */
export const PILOT_AGENT_IMAGE = "localhost/wrapper-test/pilot-agent";

/** The image that Envoy runs in; the program itself is large, and is mounted. */
export const ENVOY_IMAGE = "docker.io/library/debian:bookworm-slim";

/** The image that the Dockerfile uses to build. */
export const BUILDER_IMAGE = `docker.io/denoland/deno:debian-${TEST_DENO_VERSION}`;

/** Builds one target of the Dockerfile without a network. */
export async function buildTarget(
  target: "wrapper" | "portable",
  ...options: readonly string[]
): Promise<string> {
  const build = ["build", "--quiet", "--network=none", "--pull=never", "--timestamp=0"];
  const version = `DENO_VERSION=${TEST_DENO_VERSION}`;
  return await must("podman", [
    ...build,
    ...["--build-arg", version, "--target", target],
    ...options,
    ROOT,
  ]);
}

/**
 * Builds one target of the Dockerfile for arm64. As with Docker, no arm64 program runs during the
 * build; the runtime is the one for tests.
 */
export async function buildForArm64(target: "wrapper" | "portable"): Promise<string> {
  await makeImages();
  const context = `${CACHE}/arm64`;
  Deno.mkdirSync(context, { recursive: true });
  Deno.copyFileSync(await testRuntime("aarch64-unknown-linux-gnu"), `${context}/denort`);
  const builder = `FROM ${BUILDER_IMAGE}\nCOPY denort /usr/local/lib/denort\n`;
  const build = ["build", "--quiet", "--network=none", "--pull=never", "--file=-", "--tag"];
  await must("podman", [...build, `${BUILDER_IMAGE}-arm64`, context], builder);
  return await buildTarget(
    target,
    "--platform=linux/arm64",
    ...["--build-arg", `DENO_VERSION=${TEST_DENO_VERSION}-arm64`],
    ...["--build-arg", "BASE=localhost/wrapper-test/cc-arm64"],
    // Docker itself sets this.
    ...["--build-arg", "BUILDPLATFORM=linux/amd64"],
  );
}

let made: Promise<void> | undefined;

/** Makes every image, once per process. */
export function makeImages(): Promise<void> {
  return made ??= makeImagesNow();
}

/** Makes every image. Images that are up to date are kept, so that a second run is quick. */
async function makeImagesNow(): Promise<void> {
  Deno.mkdirSync(CACHE, { recursive: true });
  await must(`${HERE}base_images.sh`, []);
  await makeBuilder();
  for (const target of ["wrapper", "portable"] as const) {
    await buildTarget(target, "--tag", TARGET_IMAGE[target]);
  }

  const context = `${CACHE}/context`;
  Deno.mkdirSync(context, { recursive: true });
  const warnings = ["-O1", "-Wall", "-Wextra", "-Werror"];
  await must("cc", [...warnings, "-static", "-o", `${context}/job`, `${HERE}job.c`]);
  // COMMAND with a different C library than the wrapper's.
  await must("musl-gcc", [...warnings, "-o", `${context}/job-musl`, `${HERE}job.c`]);
  await must("cc", [
    ...warnings,
    "-static",
    "-o",
    `${context}/pilot-agent`,
    `${HERE}pilot_agent.c`,
  ]);

  const image = (tag: string, containerfile: string) =>
    must("podman", [
      ...["build", "--quiet", "--network=none", "--pull=never", "--file=-", "--tag", tag, context],
    ], containerfile);
  await image(
    PILOT_AGENT_IMAGE,
    'FROM scratch\nCOPY pilot-agent /\nENTRYPOINT ["/pilot-agent"]\n',
  );
  for (const { image: from, target, jobImage, job } of BASES) {
    const program = PROGRAM[target];
    const copied = target === "portable" ? "/wrapper" : program;
    await image(
      jobImage,
      `FROM ${from}\n` +
        `COPY --from=${TARGET_IMAGE[target]} ${copied} ${copied}\n` +
        `COPY ${job} /job\nENTRYPOINT ["${program}", "/job"]\n`,
    );
  }
}

/**
 * Makes a stand-in for the image that the Dockerfile uses to build, under its name: Deno from npm, the
 * runtime for tests, and what Deno would download, because this build has no network.
 */
async function makeBuilder(): Promise<void> {
  const tag = BUILDER_IMAGE;
  const lock = Deno.readFileSync(`${ROOT}deno.lock`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", lock)).toHex();
  const { stdout } = await podman(
    ...["image", "inspect", "--format", '{{index .Labels "wrapper-test.lock"}}', tag],
  );
  if (stdout.trim() === digest) return;

  const context = `${CACHE}/builder`;
  if (exists(context)) Deno.removeSync(context, { recursive: true });
  Deno.mkdirSync(context, { recursive: true });
  const find = 'process.stdout.write(require.resolve("@deno/linux-x64-glibc/deno"))';
  const npx = ["--yes", `--package=deno@${TEST_DENO_VERSION}`, "--"];
  const bin = await must("npx", [...npx, "sh", "-c", "command -v deno"]);
  const modules = Deno.realPathSync(bin).replace(/\/node_modules\/.*$/, "/node_modules");
  const deno = await must("node", ["-e", find.replace("@deno", `${modules}/@deno`)]);
  const target = "x86_64-unknown-linux-gnu";
  const runtime = await testRuntime(target);
  Deno.copyFileSync(deno, `${context}/deno`);
  Deno.copyFileSync(runtime, `${context}/denort`);
  Deno.copyFileSync(findProgram("patchelf") ?? "", `${context}/patchelf`);
  const env = [`DENO_DIR=${context}/cache`, `DENORT_BIN=${runtime}`];
  const store = "DENO_TLS_CA_STORE=mozilla,system";
  const compile = ["run", "--allow-all", `${ROOT}scripts/compile.ts`, "--target", target];
  await must("env", [...env, store, deno, ...compile, "--output", `${CACHE}/compiled`]);
  const containerfile = `FROM docker.io/library/debian:bookworm-slim
COPY deno patchelf /usr/bin/
COPY denort /usr/local/lib/denort
COPY cache /deno-dir
ENV DENORT_BIN=/usr/local/lib/denort DENO_DIR=/deno-dir
LABEL wrapper-test.lock=${digest}
ENTRYPOINT ["/usr/bin/deno"]
`;
  const build = ["build", "--quiet", "--network=none", "--pull=never", "--file=-", "--tag", tag];
  await must("podman", [...build, context], containerfile);
}

/** What a cluster with strict rules requires of a container, with fewer resources than it would give. */
export const HARD_SETTINGS: readonly string[] = [
  "--user=65532:65532",
  "--read-only",
  // Without it, podman mounts a writable /tmp, /run and /var/tmp.
  "--read-only-tmpfs=false",
  "--cap-drop=all",
  "--security-opt=no-new-privileges",
  "--memory=64m",
  "--memory-swap=64m",
];

/** A pod: containers that share a loopback, each with its own PID namespace. */
export interface Pod extends AsyncDisposable {
  readonly name: string;
  /** Starts a container in it: podman's options, the image, and its arguments. */
  start(container: string, ...words: readonly string[]): Promise<void>;
  /** Waits until a container's log has a text. */
  waitForLog(container: string, text: string): Promise<void>;
  /** Sends SIGTERM to all of its containers, as Kubernetes does, and SIGKILL 60 s later. */
  stop(): Promise<void>;
  /** Waits for a container's end, and returns its exit code. */
  exitCode(container: string): Promise<number>;
  /** What a container wrote to stdout and stderr. */
  log(container: string): Promise<string>;
}

/** Makes an empty pod. */
export async function startPod(...options: readonly string[]): Promise<Pod> {
  const name = `wrapper-test-${crypto.randomUUID().slice(0, 8)}`;
  await must("podman", ["pod", "create", "--network=none", ...options, "--name", name]);
  const log = (container: string) => containerLog(`${name}-${container}`);
  return {
    name,
    log,
    async start(container, ...words) {
      const run = ["run", "--detach", "--pod", name, "--name", `${name}-${container}`];
      await must("podman", [...run, ...words]);
    },
    async waitForLog(container, text) {
      const endMs = performance.now() + LIMIT_MS;
      while (!(await log(container)).includes(text)) {
        if (performance.now() > endMs) {
          throw new Error(`no ${JSON.stringify(text)} from ${container}: ${await log(container)}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async stop() {
      await must("podman", ["pod", "stop", "--time=60", name]);
    },
    exitCode: (container) => containerEnd(`${name}-${container}`),
    async [Symbol.asyncDispose]() {
      await podman("pod", "rm", "--force", "--time=0", name);
    },
  };
}

/** Runs a pod from a manifest, with the other documents that it needs. */
export async function playPod(
  spec: object,
  others: readonly object[],
): Promise<Pick<Pod, "exitCode" | "log"> & AsyncDisposable> {
  const name = `wrapper-test-${crypto.randomUUID().slice(0, 8)}`;
  // As the kubelet makes it: podman's own emptyDir belongs to one of the containers' users.
  const folder = `${CACHE}/${name}-volume`;
  Deno.mkdirSync(folder);
  Deno.chmodSync(folder, 0o777);
  const volume = JSON.stringify({ path: folder, type: "Directory" });
  const text = JSON.stringify(spec).replaceAll(/"emptyDir":\{[^}]*\}/g, `"hostPath":${volume}`);
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name }, spec: JSON.parse(text) };
  const file = `${CACHE}/${name}.yaml`;
  const documents = [...others, pod].map((document) => JSON.stringify(document));
  Deno.writeTextFileSync(file, documents.join("\n---\n") + "\n");
  await must("podman", ["kube", "play", "--quiet", "--network=none", "--build=false", file]);
  return {
    log: (container) => containerLog(`${name}-${container}`),
    exitCode: (container) => containerEnd(`${name}-${container}`),
    async [Symbol.asyncDispose]() {
      await podman("pod", "rm", "--force", "--time=0", name);
      await podman("kube", "down", file);
      Deno.removeSync(folder, { recursive: true });
      Deno.removeSync(file);
    },
  };
}

/** A file with this text that a container may read. */
export function withFile(text: string, mode = 0o644): Disposable & { readonly path: string } {
  const path = `${CACHE}/${crypto.randomUUID()}`;
  Deno.writeTextFileSync(path, text);
  Deno.chmodSync(path, mode);
  return { path, [Symbol.dispose]: () => Deno.removeSync(path) };
}

/** A Secret for `playPod`, as podman 4.3 wants it. */
export async function withSecret(
  name: string,
  data: Readonly<Record<string, string>>,
): Promise<AsyncDisposable> {
  const encoded = Object.entries(data).map(([key, value]) => [key, btoa(value)]);
  await podman("secret", "rm", name);
  await must(
    "podman",
    ["secret", "create", name, "-"],
    JSON.stringify(Object.fromEntries(encoded)),
  );
  return {
    async [Symbol.asyncDispose]() {
      await podman("secret", "rm", name);
    },
  };
}

async function containerLog(container: string): Promise<string> {
  const { stdout, stderr } = await podman("logs", container);
  return stdout + stderr;
}

async function containerEnd(container: string): Promise<number> {
  const { code, stdout } = await podman("wait", container);
  if (code === 0) return Number(stdout.trim());
  throw new Error(`${container} does not end: ${await containerLog(container)}`);
}
