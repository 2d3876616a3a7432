/**
 * Copies this program to where another container can run it.
 *
 * @module
 */

import fs from "node:fs";
import process from "node:process";
import { isMissing } from "../platform/errors.ts";
import { executablePath, IS_LINUX } from "../platform/mod.ts";

/** The folder next to the portable program that holds its libraries. */
const LIBRARIES = "wrapper-lib";

/** The file's name where PATH is a folder. */
const FILE_NAME = "wrapper";

/**
 * Copies this program, along with its libraries if it has some next to it, to a file or into a
 * folder. Each file appears whole or not at all, and a program that runs from there keeps running.
 *
 * @param path the path of a file, or of a folder that exists
 * @returns one line that names the new file
 * @throws the system's error, or one that names the obstacle
 */
export function install(path: string): string {
  const from = executablePath();
  if (!IS_LINUX) {
    throw new Error(
      "this needs Linux, as containers do; build an image with the wrapper for Linux",
    );
  }
  if (from === undefined) {
    throw new Error("this wrapper runs from its source; only a compiled one can be copied");
  }
  const to = isFolder(path) ? `${path.replace(/\/+$/, "")}/${FILE_NAME}` : path;
  if (to.endsWith("/")) throw new Error("no such folder");
  const folder = folderOf(to);
  if (!isFolder(folder || "/")) throw new Error(`no such folder: ${folder}`);
  if (isFolder(to)) throw new Error(`${to} is a folder`);

  const interpreter = ownInterpreter(from);
  if (interpreter === undefined) {
    place(from, to);
    return `installed ${to}`;
  }
  const fromLibraries = `${folderOf(from)}/${LIBRARIES}`;
  const toLibraries = `${folder}/${LIBRARIES}`;
  fs.mkdirSync(toLibraries, { recursive: true });
  const names = fs.readdirSync(fromLibraries);
  // The program comes last: once it is there, so are its libraries.
  for (const name of names) place(`${fromLibraries}/${name}`, `${toLibraries}/${name}`);
  const loader = absolute(`${toLibraries}/${interpreter.fileName}`);
  place(from, to, (file) => setInterpreter(file, interpreter, loader));
  return `installed ${to}, and ${names.length} libraries in ${toLibraries}`;
}

function isFolder(path: string): boolean {
  try {
    return fs.statSync(path).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Copies a file under a temporary name, changes the copy, and then gives it its real name. */
function place(from: string, to: string, change?: (file: string) => void): void {
  const folder = folderOf(to);
  const unfinished = `${folder}/.${to.slice(to.lastIndexOf("/") + 1)}.${process.pid}.unfinished`;
  try {
    fs.copyFileSync(from, unfinished);
    change?.(unfinished);
    fs.chmodSync(unfinished, 0o755);
    fs.renameSync(unfinished, to);
  } catch (error) {
    try {
      fs.unlinkSync(unfinished);
    } catch {
      // It was never created.
    }
    throw error;
  }
}

function folderOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end < 0 ? "." : end === 0 ? "" : path.slice(0, end);
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${process.cwd()}/${path}`;
}

/** The dynamic loader that an ELF file names, and where its path is in the file. */
interface Interpreter {
  readonly fileName: string;
  readonly offset: number;
  /** How many bytes the path has room for, including the zero at its end. */
  readonly room: number;
}

/** The type of the program header that holds the dynamic loader's path: `PT_INTERP` in elf(5). */
const INTERPRETER_HEADER = 3;

/**
 * The loader of the portable build: the one in the folder next to the program. The kernel requires
 * an absolute path, so a program that moves to another folder needs another path.
 *
 * @returns undefined for a program that uses the system's loader
 */
function ownInterpreter(file: string): Interpreter | undefined {
  // Both machines that Deno compiles for on Linux are 64-bit and little-endian.
  const head = readBytes(file, 0, 4096);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length < 64 || view.getUint32(0) !== 0x7f454c46) return undefined;
  const tableOffset = Number(view.getBigUint64(0x20, true));
  const entryBytes = view.getUint16(0x36, true);
  const entries = view.getUint16(0x38, true);
  for (let index = 0; index < entries; index++) {
    const entry = tableOffset + index * entryBytes;
    if (entry + entryBytes > head.length) return undefined;
    if (view.getUint32(entry, true) !== INTERPRETER_HEADER) continue;
    const offset = Number(view.getBigUint64(entry + 8, true));
    const room = Number(view.getBigUint64(entry + 32, true));
    const path = new TextDecoder().decode(readBytes(file, offset, room)).replace(/\0.*$/s, "");
    const [fileName = "", folder] = path.split("/").reverse();
    return folder === LIBRARIES ? { fileName, offset, room } : undefined;
  }
  return undefined;
}

/** Overwrites the loader's path, within the room that the build has left for it. */
function setInterpreter(file: string, { offset, room }: Interpreter, path: string): void {
  const bytes = new TextEncoder().encode(path);
  if (bytes.length >= room) throw new Error(`its path is longer than ${room - 1} bytes`);
  const padded = new Uint8Array(room);
  padded.set(bytes);
  writeBytes(file, offset, padded);
}

/** Reads bytes from an offset on; fewer than asked for if the file ends first. */
function readBytes(path: string, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const file = fs.openSync(path, "r");
  try {
    let done = 0;
    while (done < length) {
      const read = fs.readSync(file, bytes, done, length - done, offset + done);
      if (read === 0) break;
      done += read;
    }
    return bytes.subarray(0, done);
  } finally {
    fs.closeSync(file);
  }
}

/** Overwrites bytes from an offset on. */
function writeBytes(path: string, offset: number, bytes: Uint8Array): void {
  const file = fs.openSync(path, "r+");
  try {
    for (let done = 0; done < bytes.length;) {
      done += fs.writeSync(file, bytes, done, bytes.length - done, offset + done);
    }
  } finally {
    fs.closeSync(file);
  }
}
