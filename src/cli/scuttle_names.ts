/**
 * The names of scuttle's variables: whatever is read of them is loaded only where there is one.
 *
 * @module
 */

/**
 * A variable of another program may well have this name, so that alone it says nothing about
 * scuttle.
 */
export const NAME_OF_MANY = "QUIT_REQUEST_TIMEOUT";

/** What an operator that is in use sets, and scuttle does not read. */
export const SINGULAR = "GENERIC_QUIT_ENDPOINT";

/**
 * All the variables that are read: scuttle's, and those that only its forefather has.
 *
 * @see https://github.com/monzo/envoy-preflight
 */
export const SCUTTLE_VARIABLES = [
  "SCUTTLE_LOGGING",
  "ENVOY_ADMIN_API",
  "ISTIO_QUIT_API",
  "GENERIC_QUIT_ENDPOINTS",
  "GENERIC_QUIT_ONLY",
  "NEVER_KILL_ISTIO",
  "NEVER_KILL_ISTIO_ON_FAILURE",
  "START_WITHOUT_ENVOY",
  "WAIT_FOR_ENVOY_TIMEOUT",
  "QUIT_WITHOUT_ENVOY_TIMEOUT",
  NAME_OF_MANY,
  SINGULAR,
  "ENVOY_KILL_API",
  "ALWAYS_KILL_ENVOY",
  "NEVER_KILL_ENVOY",
] as const;

/** What their names start with. */
const STARTS: ReadonlySet<string> = new Set(SCUTTLE_VARIABLES.map((name) => name.slice(0, 3)));

/** Whether a variable may be one of scuttle's, or a mistyped one; a pod can have thousands of others. */
export function couldBeScuttles(name: string): boolean {
  return STARTS.has(name.slice(0, 3));
}
