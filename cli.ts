/**
 * The command line: argv and environment in, exit code out.
 *
 * @module
 */

import { main } from "./src/cli/main.ts";

Deno.exit(await main(Deno.args));
