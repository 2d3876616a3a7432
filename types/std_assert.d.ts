/** Types for the parts of `@std/assert` that this project's tests use; its npm copy has none. */

/** Fails unless `condition` is truthy. */
export function assert(condition: unknown, message?: string): asserts condition;
/** Fails unless both values are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void;
/** Fails if both values are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void;
/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void;
/** Fails unless `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void;
/** Fails if `actual` matches `expected`. */
export function assertNotMatch(actual: string, expected: RegExp, message?: string): void;
/** Fails unless `body` throws an error of that class and with that text in its message. */
export function assertThrows<E extends Error = Error>(
  body: () => unknown,
  // A constructor's parameters cannot be named without `any` or `never`.
  errorClass?: abstract new (...parameters: never[]) => E,
  messageIncludes?: string,
): E;
/** Fails unless the promise is rejected with an error of that class and with that text. */
export function assertRejects<E extends Error = Error>(
  body: () => PromiseLike<unknown>,
  errorClass?: abstract new (...parameters: never[]) => E,
  messageIncludes?: string,
): Promise<E>;
