/**
 * `--install` on Node, where there is no program to copy.
 *
 * @module
 */

/**
 * Explains what can be installed.
 *
 * @throws always
 */
export function install(_path: string): string {
  throw new Error("this wrapper runs on Node; only the compiled binary can be copied");
}
