/**
 * The command line: argv and environment in, exit code out.
 *
 * @module
 */

import { main } from "./mod.ts";

Deno.exit(await main(Deno.args));
