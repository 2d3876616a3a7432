/** The images that pods in the cluster use: those of the container tests, under the manifests' names. */

import { VERSION } from "../../src/cli/version.ts";
import { DAPR_PROGRAMS, ISTIO_PROGRAMS } from "../../scripts/kubernetes/programs.ts";
import { SANDBOX_IMAGE } from "../../scripts/kubernetes/node.ts";
import {
  BUILDER_IMAGE,
  ENVOY_IMAGE,
  imageOn,
  makeImages,
  must,
  PILOT_AGENT_IMAGE,
  PROGRAM,
  TARGET_IMAGE,
} from "../containers/support.ts";
import { CLOUD_SQL_PROXY_PROGRAM, ENVOY, findProgram, OPENBAO_PROGRAM } from "../support/needs.ts";
import { agentConfig } from "../support/programs.ts";

/** Debian with a shell, and the wrapper at `/wrapper`. */
export const SHELL = "registry.example.com/shell:1";

/** COMMAND of the container tests (`job.c`) at `/job`, with the wrapper, and nothing else. */
export const BARE = "registry.example.com/bare:1";

/** The stand-in for Istio's pilot-agent. Its arguments: milliseconds until it listens, and from SIGTERM on. */
export const PILOT_AGENT = "registry.example.com/pilot-agent:1";

/** Deno with the tests' sources, for stand-ins that are written in TypeScript. */
export const DENO = "registry.example.com/deno:1";

/** OpenBao's agent, a fork of Vault's, with what Vault's injector configures for `agent-enable-quit`. */
export const OPENBAO = "registry.example.com/openbao:1";

/** Istio's pilot-agent with its Envoy, and a control plane that has nothing to say. */
export const ISTIO = "registry.example.com/istio:1";

/** Dapr's sidecar. Its API token is `a-token`. */
export const DAPR = "registry.example.com/daprd:1.14.0";

/** The wrapper's own image for init containers. */
export const INSTALLER = `ghcr.io/k8s-job/wrapper:${VERSION}-portable`;

/** Images that only get another name. */
const RENAMED: readonly (readonly [name: string, image: string])[] = [
  [SHELL, imageOn("Debian slim")],
  [BARE, imageOn("distroless cc")],
  [PILOT_AGENT, PILOT_AGENT_IMAGE],
  [INSTALLER, TARGET_IMAGE.portable],
];

/** A file's text, or where the file or folder is on this machine. */
type Content = { readonly text: string } | { readonly copy: () => string | undefined };

/** What the injector sets for pilot-agent, without certificates and Kubernetes' API. */
const START_ISTIO = `#!/bin/sh
/control-plane &
export POD_NAME=pod POD_NAMESPACE=namespace INSTANCE_IP=127.0.0.1 SERVICE_ACCOUNT=default
export TRUST_DOMAIN=cluster.local ISTIO_META_CLUSTER_ID=Kubernetes
export PROXY_CONFIG='{"binaryPath": "/envoy", "configPath": "/tmp/istio", "statusPort": 15020,
  "discoveryAddress": "127.0.0.1:15010", "controlPlaneAuthPolicy": "NONE"}'
exec /pilot-agent proxy sidecar --domain namespace.svc.cluster.local \\
  --templateFile /envoy_bootstrap.json
`;

/** An image that is made here: a base image, and programs in it. */
export interface MadeImage {
  readonly name: string;
  readonly from: string;
  /** Each path in the image, and the file on this machine or the lines of a script. */
  readonly files: Readonly<Record<string, Content>>;
  readonly more?: string;
}

const MADE: readonly MadeImage[] = [
  {
    name: "registry.example.com/my-job:1",
    from: imageOn("Debian slim"),
    files: { "/my-job": { text: "#!/bin/sh\necho my job\n" } },
  },
  {
    name: "registry.example.com/my-other-job:1",
    from: imageOn("Debian slim"),
    // It ends after the first job.
    files: { "/my-other-job": { text: "#!/bin/sh\nsleep 2\necho my other job\n" } },
  },
  {
    name: "registry.example.com/my-job-without-wrapper:1",
    from: ENVOY_IMAGE,
    files: { "/my-job": { text: "#!/bin/sh\necho my job\n" } },
  },
  {
    name: DENO,
    from: BUILDER_IMAGE,
    files: { "/tests": { copy: () => TESTS } },
    // There is no network, and no folder that every user may write.
    more: "ENV DENO_NO_UPDATE_CHECK=1",
  },
  {
    name: OPENBAO,
    from: "gcr.io/distroless/static-debian12:nonroot",
    files: {
      "/bao": { copy: OPENBAO_PROGRAM.find },
      "/agent.hcl": { text: agentConfig("agent_api { enable_quit = true }") },
    },
    more: 'ENTRYPOINT ["/bao"]',
  },
  {
    name: ISTIO,
    from: ENVOY_IMAGE,
    files: {
      "/pilot-agent": { copy: () => `${ISTIO_PROGRAMS}/pilot-agent` },
      "/control-plane": { copy: () => `${ISTIO_PROGRAMS}/control-plane` },
      "/envoy_bootstrap.json": { copy: () => `${ISTIO_PROGRAMS}/envoy_bootstrap.json` },
      "/envoy": { copy: ENVOY.find },
      "/start": { text: START_ISTIO },
    },
    more: 'ENTRYPOINT ["/start"]',
  },
  {
    name: DAPR,
    from: "gcr.io/distroless/static-debian12:nonroot",
    files: { "/daprd": { copy: () => `${DAPR_PROGRAMS}/daprd` } },
    more: "ENV DAPR_HOST_IP=127.0.0.1 DAPR_API_TOKEN=a-token\n" +
      'ENTRYPOINT ["/daprd", "--mode", "standalone", "--app-id", "my-job"]',
  },
  {
    name: SANDBOX_IMAGE,
    from: "scratch",
    files: { "/catatonit": { copy: () => findProgram("catatonit") } },
    more: 'ENTRYPOINT ["/catatonit", "-P"]',
  },
  {
    name: "docker.io/envoyproxy/envoy:distroless-v1.36.2",
    from: ENVOY_IMAGE,
    files: { "/usr/local/bin/envoy": { copy: ENVOY.find } },
  },
  {
    name: "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.27.0",
    from: "gcr.io/distroless/base-debian12:nonroot",
    files: { "/cloud-sql-proxy": { copy: CLOUD_SQL_PROXY_PROGRAM.find } },
    // There are no credentials here, and no service that checks them.
    more: 'ENV CSQL_PROXY_TOKEN=none\nENTRYPOINT ["/cloud-sql-proxy"]',
  },
];

/** The tests' sources, and what they import. */
const TESTS = new URL("../", import.meta.url).pathname;

/** Makes the images, and returns the path of an archive with all of them in `folder`. */
export async function makeClusterImages(
  folder: string,
  others: readonly MadeImage[] = [],
): Promise<string> {
  const all = [...MADE, ...others];
  await makeImages();
  for (const [name, image] of RENAMED) await must("podman", ["tag", image, name]);
  for (const { name, from, files, more = "" } of all) {
    const context = `${folder}/context`;
    await must("rm", ["-rf", context]);
    Deno.mkdirSync(context);
    const copies: string[] = [];
    for (const [index, [path, content]] of Object.entries(files).entries()) {
      const file = `${context}/${index}`;
      if ("text" in content) {
        Deno.writeTextFileSync(file, content.text, { mode: 0o755 });
      } else {
        await must("cp", ["--recursive", content.copy() ?? "", file]);
      }
      copies.push(`COPY ${index} ${path}\n`);
    }
    const build = ["build", "--quiet", "--network=none", "--pull=never", "--timestamp=0"];
    await must(
      "podman",
      [...build, "--file=-", "--tag", name, context],
      `FROM ${from}\n${copies.join("")}${more}\n`,
    );
  }
  const archive = `${folder}/images.tar`;
  await must("rm", ["-f", archive]);
  const names = [...RENAMED.map(([name]) => name), ...all.map(({ name }) => name)];
  await must("podman", ["save", "--quiet", "--multi-image-archive", "--output", archive, ...names]);
  return archive;
}

/** The wrapper's path in {@linkcode SHELL} and {@linkcode BARE}. */
export const WRAPPER: string = PROGRAM.wrapper;
