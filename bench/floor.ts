/**
 * The least that a compiled Deno program can do as an entrypoint: it starts COMMAND and exits with
 * its code. No wrapper on this runtime can be faster than this.
 *
 * @module
 */

const [file = "", ...args] = Deno.args;
const streams = { stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
const { code } = await new Deno.Command(file, { args, ...streams }).spawn().status;
Deno.exit(code);
