/**
 * Variables that look as if they were for the wrapper, but are none of its own.
 *
 * @module
 */

import { type Nearest, nearest } from "../nearest.ts";
import type { Environment, Option } from "../options.ts";

/** What is wrong with the names of variables. */
export interface UnknownVariables {
  /** A variable that is likely to be a mistyped one, each a sentence for the operator. */
  readonly problems: readonly string[];
  /** All others, each a sentence for the operator. */
  readonly warnings: readonly string[];
  /** The variables that were probably meant. */
  readonly meant: ReadonlySet<string>;
}

const PREFIX = "WRAPPER_";

/**
 * What Kubernetes itself sets in each container, for every Service called `wrapper` or `wrapper-…` in
 * the namespace.
 *
 * @see https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
const SERVICE_LINK =
  /^WRAPPER(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

/** Read elsewhere, or warned about elsewhere. */
const OTHERS: readonly string[] = ["WRAPPER_PLUGIN_PATH", "WRAPPER_IMAGE"];

/** Whether a variable's name looks like one of ours; a pod can have thousands, by service links. */
export function couldBeOwn(name: string): boolean {
  return /^(W|RAP)/i.test(name);
}

/** The variables that look like ours, but are not. */
export function findStrangers(
  names: readonly string[],
  options: readonly Option<unknown>[],
): readonly string[] {
  return names.filter((name) =>
    couldBeOwn(name) && !OTHERS.includes(name) && !SERVICE_LINK.test(name) &&
    !options.some(({ variable }) => variable === name)
  );
}

/**
 * Finds the variables that nobody reads. A value is never repeated, because it could be a secret.
 *
 * @param names the names of all variables
 * @param environment looks up a variable
 * @param options the options whose variables are known
 * @param couldBe whether a value could be that option's
 */
export function findUnknownVariables(
  names: readonly string[],
  environment: Environment,
  options: readonly Option<unknown>[],
  couldBe: (option: Option<unknown>, text: string) => boolean,
): UnknownVariables {
  const problems: string[] = [];
  const warnings: string[] = [];
  const meant = new Set<string>();
  const byVariable = new Map(options.map((option) => [option.variable, option]));
  for (const name of findStrangers(names, options)) {
    const near = nearestVariable(name, [...byVariable.keys()]);
    const text = environment(name)?.trim();
    // A variable that is set but empty counts as not set.
    if (near === undefined || !text) continue;
    const option = byVariable.get(near.word);
    if (near.isClose && option !== undefined && couldBe(option, text)) {
      meant.add(near.word);
      problems.push(`unknown variable ${name}: did you mean ${near.word}?`);
    } else {
      // `WRAPPER_LOG=debug`: the whole of a longer name's beginning.
      const longer = options.find((one) =>
        one.variable.startsWith(`${name}_`) && couldBe(one, text)
      );
      const word = longer?.variable ?? near.word;
      warnings.push(`${name} is ignored: no option has this variable; the nearest is ${word}`);
    }
  }
  return { problems, warnings, meant };
}

/** The known variable that is nearest to another; undefined if that is not for the wrapper at all. */
function nearestVariable(
  name: string,
  known: readonly string[],
): Pick<Nearest, "word" | "isClose"> | undefined {
  const typed = name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_");
  if (typed.startsWith(PREFIX)) {
    const near = nearest(
      typed.slice(PREFIX.length),
      known.map((variable) => variable.slice(PREFIX.length)),
    );
    return near && { ...near, word: PREFIX + near.word };
  }
  // `WRAPER_HOOKS`: only the first word is mistyped.
  const first = typed.slice(0, typed.indexOf("_") + 1);
  const word = PREFIX + typed.slice(first.length);
  const isClose = first.length > 3 && known.includes(word) && nearest(first, [PREFIX])?.isClose;
  return isClose ? { word, isClose } : undefined;
}
