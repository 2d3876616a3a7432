#!/usr/bin/env node
/**
 * The command line on Node: the npm package's `wrapper`.
 *
 * @module
 */

import process from "node:process";
import { main } from "./mod.ts";

// Not awaited: the package's CommonJS half cannot wait at a module's top level.
main(process.argv.slice(2)).then((code) => process.exit(code));
