/** `@std/assert` with types, for every test. */

// @ts-types="../../types/std_assert.d.ts"
export * from "@std/assert";
