/**
 * Version and build information.
 *
 * @module
 */

/**
 * The version, as in `deno.json`.
 *
 * @example
 * ```ts
 * import { VERSION } from "@k8s-job/wrapper";
 * import { assertMatch } from "@std/assert";
 *
 * assertMatch(VERSION, /^\d+\.\d+\.\d+/);
 * ```
 */
export const VERSION = "0.1.0";

/**
 * How this copy was made. `scripts/compile.ts` replaces this text, so that a binary built only for
 * tests says so.
 */
export const BUILD = "from source";
