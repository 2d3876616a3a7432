/** The command line on Node, which the tests start as a separate process. */

import process from "node:process";
import { library } from "./support.mjs";

process.exit(await library.main(process.argv.slice(2)));
