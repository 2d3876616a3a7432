/**
 * The platform: the calls that differ between Deno and Node, in one place. The npm package has
 * `node.ts` in place of `deno.ts`.
 *
 * @module
 */

export * from "./deno.ts";
export type * from "./types.ts";
