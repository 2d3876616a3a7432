/**
 * The command line: argv and environment in, exit code out.
 *
 * @module
 */

import { main } from "./mod.ts";

// A promise that nobody awaits, and that fails, would end this process and leave COMMAND without a
// parent and the sidecars without a stop request.
addEventListener("unhandledrejection", (event) => event.preventDefault());

// Without this the default hooks would run in place of the operator's, and nobody would know. The
// compiled program has all permissions.
if (
  !Deno.build.standalone &&
  Deno.permissions.querySync({ name: "env", variable: "WRAPPER_HOOKS" }).state !== "granted"
) {
  const text =
    "wrapper: error: WRAPPER_HOOKS cannot be read: the permission --allow-env is missing\n";
  Deno.stderr.writeSync(new TextEncoder().encode(text));
  Deno.exit(125);
}

Deno.exit(await main(Deno.args));
