/**
 * Errors of files and folders, in words for an operator.
 *
 * @module
 */

import { errorCode } from "./platform.ts";

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EDQUOT: "the disk quota is used up",
  EEXIST: "exists already",
  EFBIG: "larger than files may be here",
  EIO: "the disk failed",
  EISDIR: "is a folder",
  ELOOP: "too many symbolic links",
  EMFILE: "too many open files",
  ENAMETOOLONG: "its name is too long",
  ENFILE: "too many open files in the system",
  ENOENT: "no such file or folder",
  ENOSPC: "no space left on the disk",
  ENOTDIR: "a part of its path is no folder",
  ENOTEMPTY: "is a folder",
  EPERM: "not permitted",
  EROFS: "the file system is read-only",
  ETXTBSY: "the file is being run",
};

/** Why a file or folder could not be used. */
export function fileErrorReason(error: unknown): string {
  return REASONS[errorCode(error)] ?? (error instanceof Error ? error.message : String(error));
}
