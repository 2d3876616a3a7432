import { isTrue, type SidecarManifest } from "./types.ts";

/** No container of the manifest itself is an injected one. */
const NEVER = /(?!)/;

/** The agent as an injector adds it: HashiCorp's, and OpenBao's. */
function injected(title: string, domain: string, variable: string): SidecarManifest {
  return {
    title,
    hook: () => "vault-agent",
    names: [],
    image: NEVER,
    injector: {
      key: `${domain}/agent-inject`,
      asks({ annotations }) {
        const asked = isTrue(annotations[`${domain}/agent-inject`]);
        // An init container alone ends by itself.
        return asked && isTrue(annotations[`${domain}/agent-pre-populate-only`]) ? false : asked;
      },
      refusal: ({ annotations }) =>
        isTrue(annotations[`${domain}/agent-inject`])
          ? `${domain}/agent-pre-populate-only`
          : undefined,
      mark: `metadata.annotations['${domain}/agent-inject-status']`,
      variable,
    },
    annotations: [{
      key: `${domain}/agent-enable-quit`,
      value: "true",
      why: "without it, the agent has no stop request",
    }],
  };
}

/** Vault's agent in a manifest, its own container or an injected one. */
export const vaultManifest: SidecarManifest = {
  ...injected("Vault's agent", "vault.hashicorp.com", "INJECTED_BY_VAULT"),
  names: ["vault-agent"],
  image: /(^|\/)(vault|vault-enterprise|openbao)$/,
  isIt: ({ name, words }) =>
    name === "vault-agent" ||
    words.some((word) => /(^|[\s/])(vault|bao)?\s*agent(\s|$)/.test(word)),
  advice:
    "its configuration must have a listener on 127.0.0.1:8200 with agent_api { enable_quit = true }",
};

/** OpenBao's agent, injected. */
export const openBaoManifest: SidecarManifest = injected(
  "OpenBao's agent",
  "openbao.openbao.org",
  "INJECTED_BY_OPENBAO",
);
