/**
 * Log lines, as text for people or as JSON for machines.
 *
 * @module
 */

import { type EventName, type Fields, type LogLevel, MESSAGES, messageText } from "./messages.ts";
import { queueLine } from "./stderr.ts";

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

/**
 * Receives what happens. An error that it throws is ignored: the job and its sidecars end in the same way.
 *
 * @example
 * ```ts
 * import { type Logger, run } from "@k8s-job/wrapper";
 *
 * const log: Logger = ({ level, msg, fields }) => console.log(level, msg, fields);
 * await run(["true"], { log });
 * ```
 */
export interface Logger {
  /** Receives one entry. */
  (entry: LogEntry): void;
  /** Whether entries of this level are wanted; the others are not even put together. All are by default. */
  readonly wants?: (level: LogLevel) => boolean;
}

/** What {@linkcode createLogger} needs. */
export interface LoggerOptions {
  /**
   * The least important level that is still written.
   *
   * @default "info"
   */
  readonly level?: LogLevel;
  /**
   * Text lines start with `wrapper: `; JSON lines have `time`, `level`, `event`, `msg` and fields.
   *
   * @default "text"
   */
  readonly format?: LogFormat;
  /**
   * Receives one line, with its line feed.
   *
   * @default writes it to stderr
   */
  readonly write?: (line: string) => void;
}

/**
 * Makes a logger that writes lines.
 *
 * @example To stderr
 * ```ts
 * import { createLogger, run } from "@k8s-job/wrapper";
 *
 * await run(["true"], { log: createLogger({ level: "debug" }) });
 * ```
 *
 * @example To wherever the caller likes
 * ```ts
 * import { createLogger } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * const lines: string[] = [];
 * const log = createLogger({ write: (line) => lines.push(line) });
 * log({ level: "info", event: "hook-stopped", msg: "istio: told to quit", fields: {} });
 * log({ level: "debug", event: "hook-note", msg: "not for everyone", fields: {} });
 * assertEquals(lines, ["wrapper: istio: told to quit\n"]);
 * ```
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  const { level: least = "info", format = "text", write = queueLine } = options;
  const wants = (level: LogLevel) => LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(least);
  const log: Logger = ({ level, event, msg, fields }) => {
    if (!wants(level)) return;
    if (format === "json") {
      const time = new Date().toISOString();
      write(`${escapeInvisible(JSON.stringify({ time, level, event, msg, ...fields }))}\n`);
    } else {
      const mark = level === "error" || level === "warn" ? `${level}: ` : "";
      write(`wrapper: ${mark}${msg}\n`);
    }
  };
  return Object.assign(log, { wants });
}

/**
 * A logger that says nothing: the default of the library.
 *
 * @example
 * ```ts
 * import { run, silentLogger } from "@k8s-job/wrapper";
 *
 * await run(["true"], { log: silentLogger });
 * ```
 */
export const silentLogger: Logger = Object.assign(() => {}, { wants: () => false });

/** Logs one of the known messages with its fields. */
export type Report = <Event extends EventName>(event: Event, fields: Fields<Event>) => void;

/** Gives a logger the known messages. */
export function createReport(logger: Logger): Report {
  return (event, fields) => {
    const { level } = MESSAGES[event];
    if (!isWanted(logger, level)) return;
    const entry = { level, event, msg: oneLine(messageText(event, fields)), fields: tidy(fields) };
    try {
      logger(entry);
    } catch {
      // It is the caller's, and there is no other place to say so.
    }
  };
}

function isWanted({ wants }: Logger, level: LogLevel): boolean {
  try {
    return wants?.(level) !== false;
  } catch {
    return true;
  }
}

/** Rounds milliseconds, and cuts texts that are longer than anyone reads. */
function tidy(fields: LogEntry["fields"]): LogEntry["fields"] {
  const tidied: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(fields)) {
    tidied[name] = typeof value === "number" ? Math.round(value) : cut(value);
  }
  return tidied;
}

/** Nearly every line: it takes one quick look, where {@linkcode INVISIBLE} has tables to search. */
const PLAIN = /^[ -~]*$/;

/** Control characters, marks of direction, and separators of lines and paragraphs. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;

/** JSON allows some of these characters unescaped, where a terminal or a line reader acts on them. */
export function escapeInvisible(json: string): string {
  if (PLAIN.test(json)) return json;
  const escape = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return json.replaceAll(INVISIBLE, (text) => text.split("").map(escape).join(""));
}

/** Nobody reads more than this; a sidecar may answer with kilobytes. */
const LONGEST_TEXT = 2000;

/**
 * Makes one line of a text, whatever a sidecar or a user has put into it. No character of it moves a
 * terminal's cursor or reverses the text.
 */
export function oneLine(text: string): string {
  return cut(PLAIN.test(text) ? text : text.replaceAll(INVISIBLE, " "));
}

function cut(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT)} …`;
}
