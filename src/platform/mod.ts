/**
 * The platform: the calls that differ between Deno and Node, behind one front. The npm package has
 * `node.ts` in place of `deno.ts`.
 *
 * @module
 */

export * from "./deno.ts";
