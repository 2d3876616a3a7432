/** Log entries that a test can wait for. */

import type { LogEntry, Logger } from "@k8s-job/wrapper";

/** A log that keeps its entries. */
export interface Recording {
  /** All entries, the oldest first. */
  readonly entries: readonly LogEntry[];
  readonly log: Logger;
  /** Waits for the first entry of an event, or for the first that `matches`. */
  event(name: string, matches?: (entry: LogEntry) => boolean): Promise<LogEntry>;
}

/** Records a log. */
export function recordLog(): Recording {
  const entries: LogEntry[] = [];
  const waiting = new Set<() => void>();
  return {
    entries,
    log(entry) {
      entries.push(entry);
      for (const check of waiting) check();
    },
    event: (name, matches = () => true) =>
      new Promise((resolve) => {
        const check = () => {
          const entry = entries.find((one) => one.event === name && matches(one));
          if (entry !== undefined) resolve(entry);
        };
        waiting.add(check);
        check();
      }),
  };
}
