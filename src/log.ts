/**
 * Log lines, as text for people or as JSON for machines.
 *
 * @module
 */

import { type EventName, type Fields, type LogLevel, MESSAGES, messageText } from "./messages.ts";

export type { LogLevel } from "./messages.ts";

/** The levels from the most to the least important. */
export const LOG_LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug"];

/** How a line is written. */
export type LogFormat = "text" | "json";

/** Something that happened. */
export interface LogEntry {
  /** How important it is. */
  readonly level: LogLevel;
  /** Which message it is; the name is stable, and `docs/messages.md` explains each. */
  readonly event: string;
  /** The message for a person, on one line. */
  readonly msg: string;
  /** The values in the message by name. */
  readonly fields: Readonly<Record<string, string | number>>;
}

/** Takes what happens. */
export type Logger = (entry: LogEntry) => void;

/** What {@linkcode createLogger} needs. */
export interface LoggerOptions {
  /** The least important level that is still written. */
  readonly level: LogLevel;
  /** Text lines start with `wrapper: `; JSON lines have `time`, `level`, `event`, `msg` and fields. */
  readonly format: LogFormat;
  /** Takes one line, with its line feed. */
  readonly write: (line: string) => void;
}

/**
 * Makes a logger that writes lines.
 *
 * @example
 * ```ts
 * import { createLogger } from "./log.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const lines: string[] = [];
 * const log = createLogger({ level: "info", format: "text", write: (line) => lines.push(line) });
 * log({ level: "info", event: "hook-stopped", msg: "istio: told to quit", fields: {} });
 * log({ level: "debug", event: "hook-note", msg: "not for everyone", fields: {} });
 * assertEquals(lines, ["wrapper: istio: told to quit\n"]);
 * ```
 */
export function createLogger(options: LoggerOptions): Logger {
  const least = LOG_LEVELS.indexOf(options.level);
  return ({ level, event, msg, fields }) => {
    if (LOG_LEVELS.indexOf(level) > least) return;
    if (options.format === "json") {
      const time = new Date().toISOString();
      options.write(JSON.stringify({ time, level, event, msg, ...fields }) + "\n");
    } else {
      const mark = level === "error" || level === "warn" ? `${level}: ` : "";
      options.write(`wrapper: ${mark}${msg}\n`);
    }
  };
}

/** A logger that says nothing: the default of the library. */
export const silentLogger: Logger = () => {};

/** Logs one of the known messages with its fields. */
export type Report = <Event extends EventName>(event: Event, fields: Fields<Event>) => void;

/** Gives a logger the known messages. */
export function reportTo(logger: Logger): Report {
  return (event, fields) => {
    const msg = oneLine(messageText(event, fields));
    logger({ level: MESSAGES[event].level, event, msg, fields: inWholeMs(fields) });
  };
}

function inWholeMs(fields: LogEntry["fields"]): LogEntry["fields"] {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === "number" ? Math.round(value) : value,
    ]),
  );
}

/** More of a line than this helps nobody; a sidecar may answer with kilobytes. */
const LONGEST_LINE = 2000;

/**
 * A line stays one line, whatever a sidecar or a user has put into it, and no character of it moves
 * a terminal's cursor or turns the direction of the text.
 */
function oneLine(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ");
  return line.length <= LONGEST_LINE ? line : `${line.slice(0, LONGEST_LINE)} …`;
}
