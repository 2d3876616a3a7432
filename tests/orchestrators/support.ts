/** What the tests of the orchestrators share: their programs, the page's lines, and a sidecar's requests. */

import { assert, assertEquals } from "../support/assert.ts";
import { INSTALLER } from "../kubernetes/images.ts";
import { containerOf, type Namespace, type Pod } from "../kubernetes/support.ts";
import { BINARY, type Ended as EndedProgram, startProgram } from "../support/wrapper.ts";

/** Nothing here takes this long unless it hangs. */
const LIMIT_MS = 240_000;

const PAGE = Deno.readTextFileSync(new URL("../../docs/orchestrators.md", import.meta.url));

/** The page's lines to paste in this language. */
export function linesToPaste(language: "python" | "yaml"): readonly string[] {
  return [...PAGE.matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, "g"))]
    .map(([, text = ""]) => text);
}

/** A program or a folder that the script has built or installed. */
export function installed(variable: string): string {
  const path = Deno.env.get(variable) ?? "";
  assert(path !== "", `needs ${variable}: deno task test:orchestrators`);
  return path;
}

/** A home for programs of a test's own, on whose PATH `wrapper` is. */
export interface Home extends Disposable {
  readonly folder: string;
  /** Runs an installed program to its end. */
  run(variable: string, ...args: readonly string[]): Promise<EndedProgram>;
}

/** Makes such a home; it goes with the test. */
export function makeHome(): Home {
  const folder = Deno.makeTempDirSync();
  Deno.mkdirSync(`${folder}/bin`);
  Deno.symlinkSync(BINARY, `${folder}/bin/wrapper`);
  const env = { HOME: folder, PATH: `${folder}/bin:${Deno.env.get("PATH")}` };
  return {
    folder,
    run: async (variable, ...args) =>
      await startProgram([installed(variable), ...args], { env }).ended,
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

/** What a pod mounts from this machine, so that its image need not have it. */
export interface Mounted {
  /** The Python environment. */
  readonly environment: string;
  readonly mounts: readonly object[];
  readonly volumes: readonly object[];
}

/** Debian's programs, a Python environment with its Python, and these folders. */
export function mountedFor(python: string, ...folders: readonly string[]): Mounted {
  const script = "import sys; print(sys.prefix, sys.base_prefix)";
  const { stdout } = new Deno.Command(python, { args: ["-c", script] }).outputSync();
  const [environment = "", base = ""] = new TextDecoder().decode(stdout).trim().split(" ");
  const own = base === "/usr" ? [] : [base];
  const named = ["/usr", ...own, environment, ...folders].map((path, index) => ({
    name: `machine-${index}`,
    path,
  }));
  return {
    environment,
    mounts: named.map(({ name, path }) => ({ name, mountPath: path, readOnly: true })),
    volumes: named.map(({ name, path }) => ({ name, hostPath: { path, type: "Directory" } })),
  };
}

/** The wrapper's folder in a container. */
export const WRAPPER_MOUNTS = [{ name: "wrapper", mountPath: "/shared" }] as const;

/** Its volume. */
export const WRAPPER_VOLUMES = [{ name: "wrapper", emptyDir: {} }] as const;

/** What puts it there. */
export const INSTALL_WRAPPER = [{
  name: "install-wrapper",
  image: INSTALLER,
  args: ["--install", "/shared"],
  volumeMounts: WRAPPER_MOUNTS,
}] as const;

/** How a program ended. */
export interface Ended {
  readonly code: number;
  readonly output: string;
}

/** A program that runs; it ends with the test. */
export interface Running extends AsyncDisposable {
  readonly ended: Promise<Ended>;
  hasEnded(): boolean;
}

/** Starts a program. */
export function start(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Running {
  const child = new Deno.Command(file, {
    args: [...args],
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    // It leads a group: Airflow's task is a process of its own, and holds the pipes open.
    detached: true,
  }).spawn();
  const kill = () => {
    try {
      Deno.kill(-child.pid, "SIGKILL");
    } catch {
      // It has already ended.
    }
  };
  const timer = setTimeout(kill, LIMIT_MS);
  let hasEnded = false;
  const ended = child.output().then(({ code, stdout, stderr }) => {
    hasEnded = true;
    clearTimeout(timer);
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, output: text(stdout) + text(stderr) };
  });
  return {
    ended,
    hasEnded: () => hasEnded,
    async [Symbol.asyncDispose]() {
      kill();
      await ended;
    },
  };
}

/** The log of a pod's container from its start on, even if the pod is deleted once it has ended. */
export async function followLog(here: Namespace, pod: string, container: string): Promise<string> {
  await here.until<Pod>("pods", pod, (pod) => {
    const { running, terminated } = containerOf(pod, container)?.state ?? {};
    return running !== undefined || terminated !== undefined;
  });
  const { code, stdout, stderr } = await here.kubectl(
    ["logs", "--follow", pod, "--container", container],
  );
  assertEquals(code, 0, stderr);
  return stdout;
}

/** The sidecar got one stop request, after COMMAND's last use of the network. */
export function assertToldOnce(log: string): void {
  const requests = [...log.matchAll(/^pilot-agent: (\S+ \S+)/gm)].map(([, request = ""]) => request)
    .filter((request) => !request.startsWith("GET /healthz/"));
  assertEquals(requests, ["GET /last-use", "POST /quitquitquit"], log);
}
