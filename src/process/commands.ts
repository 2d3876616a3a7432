/**
 * The COMMANDs of this process: their status is the runtime's to take.
 *
 * @module
 */

/** Those whose status the runtime has not taken yet; a program can have several. */
const commands = new Set<number>();

/** What is called when the runtime has taken one. */
const listeners = new Set<() => void>();

/**
 * Leaves a COMMAND's status to the runtime.
 *
 * @param exit settles when the runtime has it
 */
export function leaveToRuntime(pid: number, exit: Promise<unknown>): void {
  commands.add(pid);
  exit.then(() => {
    commands.delete(pid);
    for (const listener of listeners) listener();
  });
}

/** Whether a child is a COMMAND whose status the runtime has not taken yet. */
export function isCommand(pid: number): boolean {
  return commands.has(pid);
}

/**
 * Calls `listener` whenever the runtime has taken a COMMAND's status.
 *
 * @returns undoes that
 */
export function whenTaken(listener: () => void): () => void {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}
