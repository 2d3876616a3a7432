/** Real sidecars, started as children of the test. */

/** A running program. */
export interface Program {
  readonly pid: number;
  /** When it ended, on the clock of `performance.now()`; undefined as long as it runs. */
  readonly endedAtMs: number | undefined;
  /** Waits for its end and returns its exit code. One that runs too long is killed; its code is not 0. */
  endsByItself(): Promise<number>;
  /** What it wrote to stderr, once it has ended. */
  output(): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Longer than any sidecar takes to end, even on a busy machine. */
const TOO_LONG_MS = 60_000;

/** How a program is started. */
export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /**
   * Whether it starts other programs, which end with it as they do in its container: it gets a process
   * group of its own.
   */
  readonly detached?: boolean;
}

/** Starts a program. */
export function startProgram(
  file: string,
  args: readonly string[],
  { detached = false, ...surroundings }: Surroundings = {},
): Program {
  const child = new Deno.Command(file, {
    ...surroundings,
    detached,
    args: [...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const output = new Response(child.stderr).text();
  let endedAtMs: number | undefined;
  const status = child.status.finally(() => {
    endedAtMs = performance.now();
    if (detached) killGroup(child.pid);
  });
  const end = () => {
    if (endedAtMs === undefined) child.kill("SIGKILL");
  };
  return {
    pid: child.pid,
    get endedAtMs() {
      return endedAtMs;
    },
    async endsByItself() {
      const timer = setTimeout(end, TOO_LONG_MS);
      const { code } = await status;
      clearTimeout(timer);
      return code;
    },
    output: () => output,
    [Symbol.asyncDispose]: async () => {
      end();
      await status;
      await output;
    },
  };
}

function killGroup(pid: number): void {
  try {
    Deno.kill(-pid, "SIGKILL");
  } catch {
    // All have ended.
  }
}

/** Envoy's arguments for this bootstrap configuration. */
export function envoyArgs(bootstrap: Readonly<Record<string, unknown>>): readonly string[] {
  return [
    // Without it, two Envoys on one machine use the same shared memory.
    "--use-dynamic-base-id",
    "--log-level",
    "error",
    "--config-yaml",
    JSON.stringify(bootstrap),
  ];
}

/** The configuration of Envoy's admin interface, on a port of the loopback or on a Unix socket. */
export function adminAt(where: number | string): Readonly<Record<string, unknown>> {
  return {
    address: typeof where === "number"
      ? { socket_address: { address: "127.0.0.1", port_value: where } }
      : { pipe: { path: where } },
  };
}

/** The configuration of Vault's or OpenBao's agent, with this in its listener. It never connects to a server. */
export function agentConfig(listener: string): string {
  return `vault { address = "http://127.0.0.1:1" }
api_proxy {}
listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = true
  ${listener}
}
`;
}
