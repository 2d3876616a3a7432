/** Stops the sidecar at a port, if there is one; needs no permission except for the network. */

import { envoy, stopSidecars } from "@k8s-job/wrapper";

const [outcome] = await stopSidecars([envoy({ baseUrl: `http://127.0.0.1:${Deno.args[0]}` })]);
Deno.stdout.writeSync(new TextEncoder().encode(`${outcome?.outcome}\n`));
