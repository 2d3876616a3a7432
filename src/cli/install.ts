/**
 * Copies this program to where another container can run it.
 *
 * @module
 */

import fs from "node:fs";
import process from "node:process";
import { isMissing } from "../platform/errors.ts";
import { executablePath, IS_LINUX } from "../platform/mod.ts";
import { type Loader, loaderOf } from "../process/elf.ts";

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

  const loader = ownLoader(from);
  if (loader === undefined) {
    place(from, to);
    return `installed ${to}`;
  }
  const fromLibraries = `${folderOf(from)}/${LIBRARIES}`;
  const toLibraries = `${folder}/${LIBRARIES}`;
  fs.mkdirSync(toLibraries, { recursive: true });
  const names = fs.readdirSync(fromLibraries);
  // The program comes last: once it is there, so are its libraries.
  for (const name of names) place(`${fromLibraries}/${name}`, `${toLibraries}/${name}`);
  const loaderThere = absolute(`${toLibraries}/${loader.path.split("/").at(-1)}`);
  place(from, to, (file) => setLoader(file, loader, loaderThere));
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

/**
 * The loader of the portable build: the one in the folder next to the program. The kernel requires
 * an absolute path, so a program that moves to another folder needs another path.
 *
 * @returns undefined for a program that uses the system's loader
 */
function ownLoader(file: string): Loader | undefined {
  const loader = loaderOf(file);
  const [, folder] = loader?.path.split("/").reverse() ?? [];
  return folder === LIBRARIES ? loader : undefined;
}

/** Overwrites the loader's path, within the room that the build has left for it. */
function setLoader(file: string, { offset, room }: Loader, path: string): void {
  const bytes = new TextEncoder().encode(path);
  if (bytes.length >= room) throw new Error(`its path is longer than ${room - 1} bytes`);
  const padded = new Uint8Array(room);
  padded.set(bytes);
  writeBytes(file, offset, padded);
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
