/**
 * The fastest possible stop request on this runtime: the connection is open, the bytes are ready,
 * and they are written as soon as the runtime reports COMMAND's end.
 *
 *     floor_socket PORT COMMAND [ARG...]
 *
 * @module
 */

const [port, file = "", ...args] = Deno.args;
const streams = { stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
const command = new Deno.Command(file, { args, ...streams }).spawn();

const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
const bytes = (line: string) => new TextEncoder().encode(`${line} HTTP/1.1\r\nhost: x\r\n\r\n`);
const answer = new Uint8Array(4096);
await connection.write(bytes("GET /ready"));
await connection.read(answer);
const request = bytes("POST /quit");

const { code } = await command.status;
await connection.write(request);
await connection.read(answer);
Deno.exit(code);
