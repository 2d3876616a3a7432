/**
 * Makes Deno on Linux behave as Deno on macOS does, as far as the wrapper can tell, for tests without a
 * Mac:
 *
 *     deno run --preload tests/macos/preload.ts --allow-all cli.ts true
 *
 * It works for programs that run from their source. What it cannot show is what macOS' own kernel and
 * programs do differently.
 */

import { DISGUISES, MACOS_SIGNALS } from "./signals.ts";

function linuxSignal(name: Deno.Signal): Deno.Signal {
  if (!MACOS_SIGNALS.has(name)) throw new TypeError(`Invalid signal: ${name}`);
  return DISGUISES.get(name) ?? name;
}

const { addSignalListener, removeSignalListener, kill } = Deno;
Deno.addSignalListener = (name, listener) => addSignalListener(linuxSignal(name), listener);
Deno.removeSignalListener = (name, listener) => removeSignalListener(linuxSignal(name), listener);
Deno.kill = (pid, name) => kill(pid, typeof name === "string" ? linuxSignal(name) : name);

const target = `${Deno.build.arch === "aarch64" ? "aarch64" : "x86_64"}-apple-darwin`;
Object.defineProperty(Deno, "build", {
  value: Object.freeze({ ...Deno.build, os: "darwin", vendor: "apple", env: undefined, target }),
});

/** macOS has no /proc. */
function refuseProc(path: unknown): void {
  if (!/^(file:\/\/)?\/proc(\/|$)/.test(String(path))) return;
  throw Object.assign(new Deno.errors.NotFound(`No such file or directory (os error 2): ${path}`), {
    code: "ENOENT",
  });
}

const READERS = [
  "lstatSync",
  "readDirSync",
  "readFileSync",
  "readLinkSync",
  "readTextFileSync",
  "statSync",
] as const;
for (const name of READERS) {
  const read = Deno[name];
  Object.defineProperty(Deno, name, {
    value: (...args: Parameters<typeof read>) => {
      refuseProc(args[0]);
      return Reflect.apply(read, Deno, args);
    },
  });
}

/** The commands of Deno that run a program, which is then in the simulation as well. */
const RUN_PROGRAMS: ReadonlySet<string> = new Set(["eval", "run", "test"]);

const { Command } = Deno;
Deno.Command = class extends Command {
  constructor(command: string | URL, options: Deno.CommandOptions = {}) {
    const [verb = "", ...args] = options.args ?? [];
    // With --check, Deno would check the types of this file instead of those of the program.
    const isSimulated = String(command) === Deno.execPath() && RUN_PROGRAMS.has(verb) &&
      !args.includes("--check");
    const preload = ["--preload", import.meta.filename ?? ""];
    super(command, isSimulated ? { ...options, args: [verb, ...preload, ...args] } : options);
  }
};

/** The first four bytes of Linux's programs, and of macOS'. */
const ELF = [0x7f, 0x45, 0x4c, 0x46];
const MACH_O = [0xcf, 0xfa, 0xed, 0xfe];

/** Programs look like macOS' own, and those of macOS like another system's. */
const { openSync } = Deno;
Deno.openSync = (path, options) => {
  refuseProc(path);
  const file = openSync(path, options);
  const readSync = file.readSync.bind(file);
  file.readSync = (bytes) => {
    const length = readSync(bytes);
    const startsWith = (magic: readonly number[]) =>
      length !== null && length >= 4 && magic.every((byte, index) => bytes[index] === byte);
    if (startsWith(ELF)) bytes.set(MACH_O);
    else if (startsWith(MACH_O)) bytes.set(ELF);
    return length;
  };
  return file;
};

/** macOS' C library has another name, and other calls. */
Deno.dlopen = (path) => {
  throw new TypeError(
    `Could not open library: dlopen(${path}, 0x0005): tried: '${path}' (no such file)`,
  );
};
