/** Real sidecars, started as children of the test. */

/** A running program. */
export interface Program {
  /** Waits for its end and returns its exit code. One that runs too long is killed; its code is not 0. */
  endsByItself(): Promise<number>;
  /** What it wrote to stderr, once it has ended. */
  output(): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Longer than any sidecar takes to end, even on a busy machine. */
const TOO_LONG_MS = 60_000;

/** Starts a program. */
export function startProgram(file: string, args: readonly string[]): Program {
  const child = new Deno.Command(file, {
    args: [...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const output = new Response(child.stderr).text();
  let hasEnded = false;
  const status = child.status.finally(() => hasEnded = true);
  const end = () => {
    if (!hasEnded) child.kill("SIGKILL");
  };
  return {
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

/** The configuration of OpenBao's agent, with this in its listener. It never connects to a server. */
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
