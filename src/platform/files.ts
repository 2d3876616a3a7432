/**
 * What both runtimes need to know about files.
 *
 * @module
 */

/** Where the C library looks for commands if PATH is not set (`confstr(_CS_PATH)`). */
export const DEFAULT_PATH = "/bin:/usr/bin";

/** The bits of a file's mode of which one at least is set if somebody may execute it. */
export const ANYONE_EXECUTES = 0o111;
