/**
 * From argv and the environment to settings.
 *
 * @module
 */

// @ts-types="../../types/std_cli_parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
import { quotesHint } from "../../hooks/quotes.ts";
import { redactValue } from "../log/redact.ts";
import {
  type Action,
  ACTIONS,
  type Environment,
  impliedDefaults,
  keysOf,
  type Kind,
  type Option,
  OPTIONS,
  readAll,
  type Settings,
  WRAP_OPTIONS,
} from "../options.ts";
import { nearest } from "../nearest.ts";
import type { nearMisses, readScuttle, ScuttleReading } from "./scuttle.ts";
import { couldBeOwn, findStrangers, findUnknownVariables } from "./unknown_variables.ts";

/**
 * Where a setting's value came from: `--retries`, `WRAPPER_RETRIES`, the variables of scuttle that it
 * follows from, or `default`.
 */
export type Origin = string;

/** What kind of place a value came from. */
export type Source = "option" | "variable" | "scuttle" | "default";

/** What was read from the command line and the environment. */
export interface Invocation {
  /** COMMAND and its words, byte for byte. */
  readonly command: readonly string[];
  /** What to do instead of running COMMAND. */
  readonly action?: Action;
  /**
   * Whether such an action was meant, and cannot be told: mistyped, with no word that could be COMMAND, or
   * without the value that it needs.
   */
  readonly actionIsLost: boolean;
  /** What that action was given, if it needs something: the PATH of `--install`. */
  readonly actionArgument?: string;
  /** Whether more than one action is asked for. */
  readonly hasSeveralActions: boolean;
  /** What `--wrap` was given. */
  readonly wrap?: WrapWords;
  /** The settings; where a value was wrong, its default. */
  readonly settings: Settings;
  /** Where each setting came from. */
  readonly origins: ReadonlyMap<keyof Settings, Origin>;
  /** What kind of place the hooks' TARGETs came from. */
  readonly hookSource: Source;
  /** These TARGETs as they were typed; one that is there twice is there once in the settings. */
  readonly typedHooks: readonly string[];
  /** Whether what was wrong may have been meant to name a hook. */
  readonly hookIsLost: boolean;
  /** Whether it may have been meant to say that the pod has several containers. */
  readonly containersAreLost: boolean;
  /** Everything that was wrong, each a sentence for the operator. */
  readonly problems: readonly string[];
  /** What was ignored, each a sentence for the operator. */
  readonly warnings: readonly string[];
  /** The sidecars, if scuttle's variables name them and nothing else does. */
  readonly scuttle?: Pick<ScuttleReading, "hooks" | "waitFor">;
}

/** The words of `--wrap` and its options, as they were typed. */
export interface WrapWords {
  readonly files: readonly string[];
  readonly image?: { readonly text: string; readonly origin: Origin };
  readonly containers: readonly string[];
  readonly entrypoints: readonly string[];
  /** The other options that were given, as variables for the manifest. */
  readonly variables: ReadonlyMap<string, string>;
}

/** What else is known when the command line is read. */
export interface ReadingContext {
  /** The names of all variables of the environment. */
  readonly variables?: readonly string[];
  /** What reads scuttle's variables; needed only if one of them may be there. */
  readonly scuttle?: {
    readonly readScuttle: typeof readScuttle;
    readonly nearMisses: typeof nearMisses;
  };
  /** Whether a text could have been meant as a TARGET; needed only if there are {@linkcode strangers}. */
  readonly couldBeTarget?: (text: string) => boolean;
}

/** A value as it was typed, and where. */
interface Typed {
  readonly text: string;
  readonly origin: Origin;
  readonly source: Source;
}

const OPTION_LIST: readonly Option<unknown>[] = Object.values(OPTIONS);

/** Everything that has a name on the command line. */
const NAMED = [...OPTION_LIST, ...ACTIONS, ...WRAP_OPTIONS];

/**
 * Reads the command line and the environment. An option beats its variable, which beats scuttle's
 * variables, which beat the default. It never throws: `problems` has what is wrong, and everything
 * else is read all the same.
 *
 * @param args the words after the program's name
 * @param environment looks up a variable
 * @param context the variables that there are, and the known hooks
 *
 * @example
 * ```ts
 * import { readInvocation } from "./settings.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { command, settings } = readInvocation(["--retries", "3", "sleep", "007"], () => undefined);
 * assertEquals(command, ["sleep", "007"]);
 * assertEquals(settings.retries, 3);
 * ```
 */
export function readInvocation(
  args: readonly string[],
  outerEnvironment: Environment,
  {
    variables: outerVariables = [],
    couldBeTarget = () => true,
    scuttle: scuttles,
  }: ReadingContext = {},
): Invocation {
  const { optionWords, command, mayHaveCommand, problems, lost, hasUnknown, ...cut } = cutAtCommand(
    args,
  );
  const parsed = parseOptions(optionWords);
  // What --wrap writes into a manifest must not depend on who runs it.
  const isWrap = isGiven(parsed["wrap"]);
  const environment: Environment = isWrap ? () => undefined : outerEnvironment;
  const variables = isWrap ? [] : outerVariables;
  const scuttle = scuttles?.readScuttle(environment);
  const unknown = findUnknownVariables(
    variables,
    environment,
    OPTION_LIST,
    (option, text) =>
      option === OPTIONS.hook
        ? (option.kind.split?.(text) ?? []).some(couldBeTarget)
        : option.kind.parse(text) !== undefined,
  );
  problems.push(...unknown.problems);

  function typedValues(key: keyof Settings): readonly Typed[] {
    const { name, variable } = OPTIONS[key];
    const words = parsed[name];
    if (isGiven(words)) {
      return words.map((word) => ({ text: String(word), origin: `--${name}`, source: "option" }));
    }
    const value = environment(variable)?.trim();
    if (value || (value === "" && OPTIONS[key].kind.takesEmpty)) {
      const texts = OPTIONS[key].kind.split?.(value) ?? [value];
      return texts.map((text) => ({ text, origin: variable, source: "variable" }));
    }
    const { texts = [], origin = "" } = scuttle?.values.get(key) ?? {};
    return texts.map((text) => ({ text, origin, source: "scuttle" }));
  }

  const origins = new Map<keyof Settings, Origin>();
  const sources = new Map<keyof Settings, Source>();
  /** Reads one setting. Given twice, the last value counts, or all of them if they add up. */
  function setting<Key extends keyof Settings>(key: Key): Settings[Key] {
    const option: Option<Settings[Key]> = OPTIONS[key];
    let value: Settings[Key] | undefined;
    origins.set(key, "default");
    for (const { text, origin, source } of typedValues(key)) {
      const read = option.kind.parse(text);
      if (read === undefined) {
        lost.add(option.name);
        problems.push(explain(origin, text, `expected ${option.kind.expected}`, option.kind));
      } else {
        value = value === undefined ? read : option.kind.add?.(value, read) ?? read;
        origins.set(key, origin);
        sources.set(key, source);
      }
    }
    return value ?? option.defaultValue(environment);
  }
  const typed = readAll<Settings>(OPTIONS, setting);
  const isSet = (key: keyof Settings) => origins.get(key) !== "default";
  const waitsForTargets = typed.waitTargets.some((target) => target !== "none");
  const implied = impliedDefaults(typed, isSet, waitsForTargets);
  const settings: Settings = {
    ...typed,
    ...implied,
    ...(implied.leftovers !== "ignore" && !isSet("reap") && { reap: true }),
  };
  const noWait = waitsForTargets && settings.waitMs === 0
    ? [`${origins.get("waitMs")} 0 turns ${origins.get("waitTargets")} off: nothing is waited for`]
    : [];
  const injectedBy = origins.get("injected") ?? "default";
  // Kubernetes leaves `$(NAME)` as it is if there is no such variable.
  const unreplaced = !isWrap && typedValues("injected").some(({ text }) => /\$[({]/.test(text))
    ? [
      `${injectedBy} counts as set, and a sidecar is expected: Kubernetes replaces $(NAME) only if NAME is defined above it`,
    ]
    : [];
  const hookSource = sources.get("hook") ?? "default";
  const typedHooks = typedValues("hook").flatMap(({ text }) => OPTIONS.hook.kind.parse(text) ?? []);
  const isLost = ({ name, variable }: Option<unknown>) =>
    lost.has(name) || unknown.meant.has(variable);
  const hookIsLost = isLost(OPTIONS.hook) ||
    (hookSource === "default" && hasUnknown);

  const allAsked = ACTIONS.filter(({ name }) => isGiven(parsed[name]));
  const [asked, another] = allAsked;
  if (asked !== undefined && another !== undefined) {
    problems.push(`--${asked.name} and --${another.name}: expected one of them`);
  }
  const action = asked?.name;
  const actionArgument = asked?.argument === undefined ? undefined : lastWord(parsed[asked.name]);
  if (actionArgument === "") problems.push(`--${action}: expected a ${asked?.argument}`);
  for (const { name, expected } of isWrap ? [] : WRAP_OPTIONS) {
    const text = lastWord(parsed[name]);
    if (text !== undefined) problems.push(`--${name}: ${expected} goes with --wrap only`);
  }
  const wrap = isWrap ? wrapWords(parsed, origins, settings, outerEnvironment) : undefined;
  if (wrap?.files.includes("") && actionArgument !== "") problems.push("--wrap: expected a FILE");
  if (actionArgument !== undefined && command.length > 0) {
    problems.push(explain(`--${action}`, actionArgument, "runs no COMMAND, and one is given"));
  }
  if (command.length === 0 && action === undefined && problems.length === 0) {
    problems.push(
      "COMMAND is missing: write it after the options, as in wrapper --hook istio my-job --flag; " +
        "wrapper --help has the rest",
    );
  }
  return {
    command,
    settings,
    origins,
    hookSource,
    typedHooks,
    hookIsLost,
    actionIsLost: action === undefined &&
      (cut.mayBeArgument || (!mayHaveCommand && ACTIONS.some(({ name }) => lost.has(name)))),
    hasSeveralActions: another !== undefined,
    containersAreLost: isLost(OPTIONS.containers),
    problems,
    warnings: [
      ...cut.warnings,
      ...ignoredVariables(environment),
      ...unknown.warnings,
      ...scuttle?.warnings ?? [],
      ...scuttles?.nearMisses(variables, environment) ?? [],
      ...noWait,
      ...unreplaced,
    ],
    ...(action === undefined ? {} : { action }),
    ...(scuttle !== undefined && hookSource === "scuttle" ? { scuttle } : {}),
    ...(actionArgument === undefined ? {} : { actionArgument }),
    ...(wrap === undefined ? {} : { wrap }),
  };
}

/** What `--wrap` and its options were given. */
function wrapWords(
  parsed: Readonly<Record<string, unknown>>,
  origins: ReadonlyMap<keyof Settings, Origin>,
  settings: Settings,
  environment: Environment,
): WrapWords {
  const words = (name: string) => isGiven(parsed[name]) ? parsed[name].map(String) : [];
  const given = new Map<string, string>();
  const add = <Key extends keyof Settings>(key: Key) => {
    const option: Option<Settings[Key]> = OPTIONS[key];
    if (origins.get(key) !== `--${option.name}`) return;
    const text = option.kind.add === undefined ? words(option.name).at(-1) : undefined;
    given.set(option.variable, text ?? option.kind.format(settings[key]));
  };
  for (const key of keysOf(OPTIONS)) add(key);
  const image = environment("WRAPPER_IMAGE")?.trim();
  const typedImage = lastWord(parsed["image"]);
  return {
    files: words("wrap"),
    ...(typedImage !== undefined
      ? { image: { text: typedImage, origin: "--image" } }
      : image
      ? { image: { text: image, origin: "WRAPPER_IMAGE" } }
      : {}),
    containers: words("container"),
    entrypoints: words("entrypoint"),
    variables: given,
  };
}

/** The variables that may have been meant for the wrapper, and are none of its own. */
export function strangers(variables: readonly string[]): readonly string[] {
  return variables.some(couldBeOwn) ? findStrangers(variables, OPTION_LIST) : [];
}

/** Warns about variables that look as if they were for the wrapper, but are not read. */
function ignoredVariables(environment: Environment): readonly string[] {
  return environment("WRAPPER_PLUGIN_PATH")
    ? [
      "WRAPPER_PLUGIN_PATH is ignored: plugins are not loaded; name the sidecar with WRAPPER_HOOKS",
    ]
    : [];
}

/** Reads `--name=value` words; only their names are declared, because each one takes time. */
function parseOptions(words: readonly string[]): Readonly<Record<string, unknown>> {
  if (words.length === 0) return {};
  const names = words.map((word) => word.slice(2, word.indexOf("=")));
  return parseArgs(words, { string: names, collect: names });
}

function isGiven(words: unknown): words is readonly unknown[] {
  return Array.isArray(words) && words.length > 0;
}

function lastWord(words: unknown): string | undefined {
  return isGiven(words) ? String(words.at(-1)) : undefined;
}

/**
 * One sentence that names what was wrong, its value, and what was expected.
 *
 * @param kind what the value should have been, which may know what was meant
 */
export function explain(
  origin: string,
  value: string,
  expected: string,
  kind?: Pick<Kind<unknown>, "suggest">,
): string {
  const meant = kind?.suggest?.(value);
  const hint = quotesHint(value) ?? (meant === undefined ? undefined : `did you mean ${meant}?`);
  const withHint = kind === undefined || hint === undefined ? expected : `${expected}; ${hint}`;
  // A whole command line in one word, taken for a value, can hold a password.
  const isWords = kind !== undefined && hint === undefined ? /\S\s+\S/ : /\S\s+-/;
  const shown = isWords.test(value) ? `${firstWord(value)} …` : redactValue(value);
  return `${origin} ${JSON.stringify(shown)}: ${withHint}`;
}

/** What stands before the first blank. */
function firstWord(text: string): string {
  return redactValue(text.trimStart().replace(/\s.*$/s, ""));
}

/**
 * Cuts argv at COMMAND, before any parser sees it, because COMMAND's words are not for parsing. Each
 * option comes out as one word, `--name=value`, so that no value can be taken for an option.
 */
function cutAtCommand(args: readonly string[]) {
  const optionWords: string[] = [];
  const problems: string[] = [];
  /** The options whose value is missing, or which an unknown one was probably meant to be. */
  const lost = new Set<string>();
  let hasUnknown = false;
  /** Where the last option was that had no value of its own. */
  let bare: { readonly index: number; readonly boolean?: string } | undefined;
  let index = 0;
  for (; index < args.length; index++) {
    const word = args[index] ?? "";
    if (word === "--") {
      index++;
      break;
    }
    if (!word.startsWith("-") || word === "-") break;

    const [, typedName = "", value] = /^--?([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    const action = ACTIONS.find(({ name, short }) =>
      word.startsWith("--") ? name === typedName : short === typedName
    );
    const option = word.startsWith("--")
      ? OPTION_LIST.find(({ name }) => name === typedName)
      : undefined;
    const wrapOption = WRAP_OPTIONS.find(({ name }) => `--${name}` === `--${typedName}`);
    const named = action ?? option ?? (word.startsWith("--") ? wrapOption : undefined);
    if (named === undefined) {
      const unknown = unknownOption(word.replace(/=.*$/s, ""));
      problems.push(unknown.problem);
      if (unknown.meant !== undefined) lost.add(unknown.meant);
      hasUnknown = true;
      if (!/[=\s]/.test(word)) bare = { index };
      continue;
    }
    const name = `--${named.name}`;
    const placeholder = option?.kind.placeholder ?? action?.argument ?? wrapOption?.argument ?? "";
    if (value !== undefined) {
      const wanted = placeholder !== "" || action === undefined;
      if (!wanted) problems.push(explain(name, value, "takes no value"));
      optionWords.push(`${name}=${wanted ? value : ""}`);
    } else if (placeholder === "") {
      optionWords.push(`${name}=${action === undefined ? "true" : ""}`);
      if (action === undefined) bare = { index, boolean: name };
    } else if (index + 1 < args.length && !isNamed(args[index + 1] ?? "")) {
      optionWords.push(`${name}=${args[++index]}`);
    } else {
      const expected = option?.kind.expected ?? wrapOption?.expected ?? `a ${placeholder}`;
      problems.push(`${name}: its value is missing: expected ${expected}`);
      lost.add(named.name);
    }
  }
  const words = args.slice(index);
  const before = bare?.index === index - 1 ? bare : undefined;
  const boolean = before?.boolean;
  return {
    optionWords,
    problems,
    lost,
    hasUnknown,
    mayHaveCommand: words.length > 0,
    mayBeArgument: before !== undefined && boolean === undefined && isArgumentOf(lost, words),
    // After an unknown option, the first word may be its value, and a secret.
    command: before !== undefined && boolean === undefined ? [] : words,
    warnings: boolean === undefined ? [] : warnAboutBoolean(boolean, words),
  };
}

/** Whether a word is one of our options, which is nobody's value: `--env-file --hook linkerd`. */
function isNamed(word: string): boolean {
  const [, name] = /^--([^=]+)(=|$)/.exec(word) ?? [];
  return NAMED.some((option) => option.name === name);
}

/**
 * Whether the words after an unknown option are likely to be what an action takes, and no COMMAND: a
 * manifest, `--wrap` itself, or a path alone after a mistyped action.
 */
function isArgumentOf(lost: ReadonlySet<string>, words: readonly string[]): boolean {
  const [word = "", next] = words;
  const takesOne = ACTIONS.some(({ name, argument }) => argument !== undefined && lost.has(name));
  const isManifest = word === "-" || /\.(ya?ml|json)$/i.test(word);
  return words.some((one) => /^--wrap(=|$)/.test(one)) ||
    (next === undefined ? takesOne || isManifest : takesOne && isManifest);
}

/** A boolean's value after a blank is COMMAND, which is rarely meant if it is such a word. */
function warnAboutBoolean(
  name: string,
  [word = "", ...others]: readonly string[],
): readonly string[] {
  if (!/^(true|false|1|0|yes|no)$/.test(word) || others.length === 0) return [];
  const value = /^(true|1|yes)$/.test(word);
  return [
    `${name} takes a value only after "=", so ${JSON.stringify(word)} is COMMAND; ` +
    `if it was meant as the value, write ${name}=${value}`,
  ];
}

/** Suggests the known option that a misspelled one is likely to mean. */
function unknownOption(word: string): { readonly problem: string; readonly meant?: string } {
  const short = ACTIONS.find((action) => word.toLowerCase() === `-${action.short?.toLowerCase()}`);
  if (short !== undefined) {
    return {
      problem: `unknown option ${JSON.stringify(word)}: did you mean -${short.short}?`,
      meant: short.name,
    };
  }
  // `"--hook istio"`: what follows the blank can be a secret.
  const [name = "", rest] = word.split(/\s+(.*)/s);
  if (rest !== undefined) {
    const near = nearest(name, NAMED.map((option) => `--${option.name}`));
    const meant = near?.isClose ? near.word : "--NAME";
    const isOne = ({ name }: { readonly name: string }) => meant === `--${name}`;
    const isAlone = OPTION_LIST.find(isOne)?.kind.placeholder === "" ||
      ACTIONS.some((action) => isOne(action) && action.argument === undefined);
    const written = isAlone ? meant : `${meant}=VALUE or ${meant} VALUE`;
    return {
      problem:
        `unknown option ${JSON.stringify(`${redactValue(name)} …`)}: all of it is one word, ` +
        `its blanks included; write ${written}, each argument as a word of its own`,
      ...(near?.isClose ? { meant: near.word.slice(2) } : {}),
    };
  }
  const near = nearest(word, NAMED.map((option) => `--${option.name}`));
  const tip = near?.isClose ? `did you mean ${near.word}?` : "wrapper --help lists the options";
  return {
    problem: `unknown option ${JSON.stringify(redactValue(word))}: ${tip}`,
    ...(near?.isClose ? { meant: near.word.slice(2) } : {}),
  };
}
