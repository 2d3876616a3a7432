/** A command line on Node: the tests start it as a process of its own. */

import process from "node:process";
import { library } from "./support.mjs";

process.exit(await library.main(process.argv.slice(2)));
