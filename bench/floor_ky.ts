/**
 * The obvious way to send a stop request: `fetch` through ky, which is loaded once COMMAND runs and
 * warmed up by a harmless request.
 *
 *     floor_ky PORT COMMAND [ARG...]
 *
 * @module
 */

const [port, file = "", ...args] = Deno.args;
const streams = { stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
const command = new Deno.Command(file, { args, ...streams }).spawn();

const { default: ky } = await import("ky");
const address = `http://127.0.0.1:${port}`;
await ky.get(`${address}/ready`).text();

const { code } = await command.status;
await ky.post(`${address}/quit`);
Deno.exit(code);
