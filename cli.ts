/**
 * The command line: argv and environment in, exit code out.
 *
 * @module
 */

import { main } from "./mod.ts";

// A promise that nobody awaits, and that fails, would end this process and leave COMMAND without a
// parent and the sidecars without a stop request.
addEventListener("unhandledrejection", (event) => event.preventDefault());

Deno.exit(await main(Deno.args));
