/** Log entries that a test can wait for. */

import type { LogEntry, Logger } from "@k8s-job/wrapper";

/** A log that keeps its entries. */
export interface Recording {
  /** All entries, the oldest first. */
  readonly entries: readonly LogEntry[];
  readonly log: Logger;
  /** Waits for the first entry of an event. */
  event(name: string): Promise<LogEntry>;
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
    event: (name) =>
      new Promise((resolve) => {
        const check = () => {
          const entry = entries.find(({ event }) => event === name);
          if (entry !== undefined) resolve(entry);
        };
        waiting.add(check);
        check();
      }),
  };
}
