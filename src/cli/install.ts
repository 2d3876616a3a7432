/**
 * Copies this program to where another container can run it.
 *
 * @module
 */

import {
  copyFile,
  executablePath,
  isFolder,
  listFolder,
  makeFolder,
  processId,
  readBytes,
  removeFile,
  renameFile,
  setMode,
  workingFolder,
  writeBytes,
} from "../platform/mod.ts";

/** The folder beside the portable program that has its libraries. */
const LIBRARIES = "wrapper-lib";

/** The file's name where PATH is a folder. */
const FILE_NAME = "wrapper";

/**
 * Copies this program, and the libraries beside it if it has some, to a file or into a folder. Each
 * file appears whole or not at all, and what runs from there meanwhile runs on.
 *
 * @param path a file's path, or that of a folder that exists
 * @returns one line that says where it is now
 * @throws the system's error, or one that says what is in the way
 */
export function install(path: string): string {
  const from = executablePath();
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
  makeFolder(toLibraries);
  const names = listFolder(fromLibraries);
  // The program comes last: where it is, its libraries are.
  for (const name of names) place(`${fromLibraries}/${name}`, `${toLibraries}/${name}`);
  const loader = absolute(`${toLibraries}/${interpreter.fileName}`);
  place(from, to, (file) => setInterpreter(file, interpreter, loader));
  return `installed ${to}, and ${names.length} libraries in ${toLibraries}`;
}

/** Copies a file under a name for the moment, changes the copy, and then gives it its real name. */
function place(from: string, to: string, change?: (file: string) => void): void {
  const folder = folderOf(to);
  const unfinished = `${folder}/.${to.slice(to.lastIndexOf("/") + 1)}.${processId()}.unfinished`;
  try {
    copyFile(from, unfinished);
    change?.(unfinished);
    setMode(unfinished, 0o755);
    renameFile(unfinished, to);
  } catch (error) {
    try {
      removeFile(unfinished);
    } catch {
      // It was never there.
    }
    throw error;
  }
}

function folderOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end < 0 ? "." : end === 0 ? "" : path.slice(0, end);
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${workingFolder()}/${path}`;
}

/** The dynamic loader that an ELF file names, and where in the file it does. */
interface Interpreter {
  readonly fileName: string;
  /** Where its path is in the file. */
  readonly offset: number;
  /** How many bytes the path has room for, with the zero at its end. */
  readonly room: number;
}

/** A program header that holds the path of the dynamic loader: `PT_INTERP` in elf(5). */
const INTERPRETER_HEADER = 3;

/**
 * The loader of the portable build: the one in the folder beside the program. The kernel wants that
 * path to be absolute, so a program that goes to another folder needs another one.
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

/** Writes another path over the loader's, in the room that the build has left for it. */
function setInterpreter(file: string, { offset, room }: Interpreter, path: string): void {
  const bytes = new TextEncoder().encode(path);
  if (bytes.length >= room) throw new Error(`its path is longer than ${room - 1} bytes`);
  const padded = new Uint8Array(room);
  padded.set(bytes);
  writeBytes(file, offset, padded);
}
