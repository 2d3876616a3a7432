/**
 * The tests in `tests/namespace/` need the sidecars' own ports. Each file runs in its own network
 * namespace, where all ports are free.
 */

import { testInNamespace } from "../support/namespaces.ts";

const FOLDER = new URL("../namespace/", import.meta.url).pathname;

for (const { name } of Deno.readDirSync(FOLDER)) testInNamespace(`${FOLDER}${name}`);
