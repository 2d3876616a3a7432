/**
 * From TARGETs to what they name, and what is wrong with them.
 *
 * @module
 */

import type { Hook } from "../hook.ts";
import { OPTIONS } from "../options.ts";
import { errorText } from "../platform/errors.ts";
import { explain, type Invocation } from "./settings.ts";

/** What does not fit together among TARGETs that can be read. */
export function contradictions(
  origin: string,
  targets: readonly string[],
  hooks: readonly Hook[],
): readonly string[] {
  const single = hooks.flatMap((hook) => "candidates" in hook ? [] : [hook]);
  const addressOf = (hook: Hook) => hook.address.replace("//localhost", "//127.0.0.1");
  const twice = single.flatMap((hook, index) => {
    const first = single.findIndex((other) => addressOf(other) === addressOf(hook));
    return first === index ? [] : [describeTwice(single[first]?.name, hook)];
  });
  return [
    ...(targets.includes("none") && hooks.length > 0
      ? [`${origin}: none has no effect beside another TARGET, which is told to quit all the same`]
      : []),
    ...[...new Set(twice)].map((problem) => `${origin}: ${problem}`),
  ];
}

function describeTwice(first: string | undefined, { name, address }: Hook): string {
  return first === name
    ? `${name} is there twice, for ${address}: name it once`
    : `${first} and ${name} have the same address, ${address}: name one of them`;
}

/** Reads the TARGETs of one option, `none` apart. */
export function readTargets<Value>(
  key: "hook" | "waitTargets",
  { settings, origins }: Invocation,
  parse: (target: string) => Value | undefined,
): {
  readonly read: ReadonlyMap<string, Value>;
  readonly problems: readonly string[];
} {
  const targets = settings[key];
  const origin = origins.get(key) ?? "default";
  // A blank or a comma in a password or a query splits the variable in the middle of a secret.
  const hide = origin === OPTIONS[key].variable && targets.some((text) => /[?#@]/.test(text));
  const read = new Map<string, Value>();
  const problems: string[] = [];
  for (const [index, target] of targets.entries()) {
    try {
      const value = parse(target);
      if (value !== undefined) read.set(target, value);
    } catch (error) {
      const expected = errorText(error);
      problems.push(
        hide
          ? `${origin}, TARGET ${index + 1} of ${targets.length}: ${expected}`
          : explain(origin, target, expected),
      );
    }
  }
  return { read, problems };
}
