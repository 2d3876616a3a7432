import {
  type ContainerFacts,
  flagValue,
  isTrue,
  type NeededFlag,
  type SidecarManifest,
} from "./types.ts";

function flags(prefix: string, since: { quit: string; health: string }): readonly NeededFlag[] {
  return [{
    flag: "--quitquitquit",
    variable: `${prefix}_QUITQUITQUIT`,
    since: since.quit,
    why: "without it, the proxy has no stop request",
  }, {
    flag: "--health-check",
    variable: `${prefix}_HEALTH_CHECK`,
    forWait: true,
    since: since.health,
    why: "without it, COMMAND cannot wait for the proxy",
  }];
}

function hook(name: string, prefix: string, container?: ContainerFacts): string {
  if (container === undefined) return name;
  const { words, variables } = container;
  const port = flagValue(words, "--admin-port") ?? variables[`${prefix}_ADMIN_PORT`] ?? "9091";
  return port === "9091" ? name : `${name}=http://localhost:${port}`;
}

/** Google's Cloud SQL Auth Proxy in a manifest. */
export const cloudSqlManifest: SidecarManifest = {
  title: "the Cloud SQL Auth Proxy",
  hook: (_, container) => hook("cloud-sql-proxy", "CSQL_PROXY", container),
  names: ["cloud-sql-proxy", "cloudsql-proxy", "cloud-sql-auth-proxy", "cloudsql"],
  image: /(^|\/)(cloud-sql-proxy|gce-proxy)$/,
  flags: flags("CSQL_PROXY", { quit: "2.1.0", health: "2.0.0" }),
  problem: ({ image, words }) =>
    /(^|\/)gce-proxy(?=[:@]|$)/.test(image) ||
      words.some((word) => /(^|[\s/])cloud_sql_proxy(\s|$)|^-{1,2}instances=/.test(word))
      ? "version 1 of the proxy has no stop request: use cloud-sql-proxy 2.1.0 or later, or stop it in " +
        "another way: --hook signal:cloud_sql_proxy, --hook file:PATH"
      : undefined,
};

/** Google's AlloyDB Auth Proxy in a manifest. */
export const alloydbManifest: SidecarManifest = {
  title: "the AlloyDB Auth Proxy",
  hook: (_, container) => hook("alloydb-auth-proxy", "ALLOYDB_PROXY", container),
  names: ["alloydb-auth-proxy", "alloydb-proxy"],
  image: /(^|\/)alloydb-auth-proxy$/,
  flags: flags("ALLOYDB_PROXY", { quit: "1.2.0", health: "0.5.0" }),
};

/** Whether a sidecar has a flag, by itself, in a shell's script, or by its variable. */
export function hasFlag({ words, variables }: ContainerFacts, need: NeededFlag): boolean {
  const given = words.flatMap((word) => word.split(/\s+/))
    .filter((word) => word === need.flag || word.startsWith(`${need.flag}=`)).at(-1);
  if (given !== undefined) return given === need.flag || isTrue(given.split("=")[1]) === true;
  return isTrue(variables[need.variable]) ?? false;
}
