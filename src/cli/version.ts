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
 * How this copy was made. `scripts/compile.ts` writes its own words over these, so that a binary
 * that is good for tests only says so.
 */
export const BUILD = "from source";
