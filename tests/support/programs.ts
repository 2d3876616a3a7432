/** Real sidecars, started as children of the test. */

/** A program that runs. */
export interface Program {
  /** Waits for its end. It is ended the hard way, and the code is not 0, if it lives on too long. */
  endsByItself(): Promise<number>;
  /** What it has written, once it is over. */
  output(): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Longer than any sidecar takes to end, on however busy a machine. */
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
  let isOver = false;
  const status = child.status.finally(() => isOver = true);
  const end = () => {
    if (!isOver) child.kill("SIGKILL");
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

/** The words for an Envoy that has an admin interface and what else the bootstrap says. */
export function envoyArgs(bootstrap: Readonly<Record<string, unknown>>): readonly string[] {
  return [
    // Without it, two Envoys of one machine fight for the same shared memory.
    "--use-dynamic-base-id",
    "--log-level",
    "error",
    "--config-yaml",
    JSON.stringify(bootstrap),
  ];
}

/** The admin interface of an Envoy, on a port of the loopback or on a Unix socket. */
export function adminAt(where: number | string): Readonly<Record<string, unknown>> {
  return {
    address: typeof where === "number"
      ? { socket_address: { address: "127.0.0.1", port_value: where } }
      : { pipe: { path: where } },
  };
}

/** The configuration of OpenBao's agent, with this in its listener. It never reaches a server. */
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
