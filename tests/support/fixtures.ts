/** Small programs in C that a test runs as COMMAND or along with it. */

import { findProgram, type Need } from "./needs.ts";

const SOURCES = new URL("../fixtures/", import.meta.url).pathname;
const PROGRAMS = new URL("../../.cache/fixtures/", import.meta.url).pathname;

/** A C compiler. These programs use calls of Linux. */
export const C_COMPILER: Need<string> = {
  what: "a C compiler with the headers of Linux (apt-get install gcc libc6-dev)",
  find() {
    const compiler = findProgram("cc");
    if (compiler === undefined) return undefined;
    const args = ["-E", "-include", "sys/prctl.h", "-x", "c", "/dev/null"];
    const { success } = new Deno.Command(compiler, { args, stdout: "null", stderr: "null" })
      .outputSync();
    return success ? compiler : undefined;
  },
};

const compiled = new Map<string, string>();

/** Compiles `tests/fixtures/NAME.c` and returns the path of the program, or of the library with those `flags`. */
export function compileFixture(name: string, flags: readonly string[] = []): string {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  Deno.mkdirSync(PROGRAMS, { recursive: true });
  // Several test files may compile the same program at the same time.
  const draft = `${PROGRAMS}${name}-${crypto.randomUUID()}`;
  const { success, stderr } = new Deno.Command("cc", {
    args: ["-O1", "-Wall", "-Wextra", "-Werror", ...flags, "-o", draft, `${SOURCES}${name}.c`],
  }).outputSync();
  if (!success) throw new Error(`cc: ${new TextDecoder().decode(stderr)}`);
  const path = `${PROGRAMS}${name}`;
  Deno.renameSync(draft, path);
  compiled.set(name, path);
  return path;
}
