/**
 * Programs in the Executable and Linkable Format, as Linux has them.
 *
 * @module
 * @see https://man7.org/linux/man-pages/man5/elf.5.html
 */

import { readBytes } from "../platform/mod.ts";

/** The dynamic loader that a program names, and where its path is in the file. */
export interface Loader {
  readonly path: string;
  readonly offset: number;
  /** How many bytes the path has room for, including the zero at its end. */
  readonly room: number;
}

/** The bytes of the header of a 64-bit program. */
const HEADER_BYTES = 64;

/** The type of the program header that holds the dynamic loader's path. */
const PT_INTERP = 3;

/** Whether a file that starts with these bytes is in this format. */
export function isElf(head: Uint8Array): boolean {
  return [0x7f, 0x45, 0x4c, 0x46].every((byte, index) => head[index] === byte);
}

/**
 * The dynamic loader that a 64-bit, little-endian program names; both machines that Deno compiles for on
 * Linux are that.
 *
 * @returns undefined for a program that names none
 * @throws the system's error, or a RangeError for a file that is damaged
 */
export function loaderOf(file: string): Loader | undefined {
  const header = viewOf(readBytes(file, 0, HEADER_BYTES));
  const entryBytes = header.getUint16(54, true);
  const entries = header.getUint16(56, true);
  const tableOffset = Number(header.getBigUint64(32, true));
  const table = viewOf(readBytes(file, tableOffset, entries * entryBytes));
  for (let entry = 0; entry < table.byteLength; entry += entryBytes) {
    if (table.getUint32(entry, true) !== PT_INTERP) continue;
    const offset = Number(table.getBigUint64(entry + 8, true));
    const room = Number(table.getBigUint64(entry + 32, true));
    const path = new TextDecoder().decode(readBytes(file, offset, room)).replace(/\0.*$/s, "");
    return { path, offset, room };
  }
  return undefined;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
