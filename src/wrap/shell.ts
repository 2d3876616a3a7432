/**
 * What a command's words say when they start a shell.
 *
 * @module
 */

const SHELL = /(^|\/)(sh|bash|ash|dash|zsh|ksh)$/;

/** Whether the words start a shell. */
export function isShell(words: readonly string[]): boolean {
  const [first = "", second = ""] = words;
  return SHELL.test(first) || (/(^|\/)(env|busybox)$/.test(first) && SHELL.test(second));
}

/** Whether a shell is among the words, behind a program that starts others, too. */
export function hasShell(words: readonly string[]): boolean {
  return words.some((word) => SHELL.test(word));
}

/**
 * The script of a shell, if it has several steps; undefined if it has one, or is none.
 *
 * @example
 * ```ts
 * import { scriptOf } from "./shell.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(scriptOf(["sh", "-c", "load && run"]), "load && run");
 * assertEquals(scriptOf(["sh", "-c", "cd /data && exec run"]), undefined);
 * assertEquals(scriptOf(["sh", "-c", "run --all"]), undefined);
 * ```
 */
export function scriptOf(words: readonly string[]): string | undefined {
  if (!isShell(words)) return undefined;
  const flag = words.findIndex((word) => /^-[a-z]*c$/.test(word));
  const script = flag < 0 ? undefined : words[flag + 1]?.trim();
  if (script === undefined) return undefined;
  const lines = script.split("\n").filter((line) => !/^\s*(#|set\s|$)/.test(line));
  const text = lines.join("\n").trim();
  if (!/[\n;|&]/.test(text)) return undefined;
  // After `exec` the shell is the last step itself.
  const last = text.split(/\n|;|&&|\|\|/).at(-1)?.trim() ?? "";
  return /^exec\s/.test(last) && !/\|/.test(text) ? undefined : script;
}

/** Whether the words are a shell's whose script starts the wrapper, by its whole path. */
export function startsWrapper(words: readonly string[]): boolean {
  return isShell(words) &&
    words.some((word) => /(^|[\s;&|(])\/([\w.-]+\/)*wrapper\s/.test(word));
}

/** Whether the words tell a sidecar to quit themselves. */
export function stopsSidecars(words: readonly string[]): boolean {
  return words.some((word) =>
    /quitquitquit|\/v1\.0\/shutdown|:4191\/shutdown|graceful_shutdown|agent\/v1\/quit/.test(word) &&
      !word.startsWith("--") ||
    /\b(pkill|killall)\s[^;&|\n]*(proxy|envoy|pilot-agent|daprd|fluent|vault|agent)/.test(word)
  );
}
