/**
 * The table of signals: names and numbers.
 *
 * @module
 */

/**
 * Every signal that both runtimes know by name, with its number on Linux, which is the same on x86-64
 * and 64-bit ARM. Real-time signals have no name in either runtime.
 *
 * @see https://man7.org/linux/man-pages/man7/signal.7.html
 *
 * @example
 * ```ts
 * import { SIGNALS } from "@k8s-job/wrapper";
 * import { assertEquals } from "@std/assert";
 *
 * // The signal behind exit code 137.
 * assertEquals(SIGNALS.find(({ number }) => number === 137 - 128)?.name, "SIGKILL");
 * ```
 */
export const SIGNALS = [
  { name: "SIGHUP", number: 1 },
  { name: "SIGINT", number: 2 },
  { name: "SIGQUIT", number: 3 },
  { name: "SIGILL", number: 4 },
  { name: "SIGTRAP", number: 5 },
  { name: "SIGABRT", number: 6 },
  { name: "SIGBUS", number: 7 },
  { name: "SIGFPE", number: 8 },
  { name: "SIGKILL", number: 9 },
  { name: "SIGUSR1", number: 10 },
  { name: "SIGSEGV", number: 11 },
  { name: "SIGUSR2", number: 12 },
  { name: "SIGPIPE", number: 13 },
  { name: "SIGALRM", number: 14 },
  { name: "SIGTERM", number: 15 },
  { name: "SIGSTKFLT", number: 16 },
  { name: "SIGCHLD", number: 17 },
  { name: "SIGCONT", number: 18 },
  { name: "SIGSTOP", number: 19 },
  { name: "SIGTSTP", number: 20 },
  { name: "SIGTTIN", number: 21 },
  { name: "SIGTTOU", number: 22 },
  { name: "SIGURG", number: 23 },
  { name: "SIGXCPU", number: 24 },
  { name: "SIGXFSZ", number: 25 },
  { name: "SIGVTALRM", number: 26 },
  { name: "SIGPROF", number: 27 },
  { name: "SIGWINCH", number: 28 },
  { name: "SIGIO", number: 29 },
  { name: "SIGPWR", number: 30 },
  { name: "SIGSYS", number: 31 },
] as const;

/** What macOS has in addition. SIGINFO is its Ctrl-T. */
export const ONLY_ON_MACOS: readonly ("SIGEMT" | "SIGINFO")[] = ["SIGEMT", "SIGINFO"];

/**
 * The signals that cannot be caught: the kernel carries out the first two itself, and Deno refuses
 * listeners for the others, which report a fault in the program.
 */
const UNCATCHABLE = ["SIGKILL", "SIGSTOP", "SIGILL", "SIGFPE", "SIGSEGV"] as const;

/**
 * A signal that can be sent by name, such as `SIGQUIT`.
 *
 * @example
 * ```ts
 * import { signalHook, type SignalName } from "@k8s-job/wrapper";
 *
 * const signal: SignalName = "SIGQUIT";
 * console.log(signalHook({ process: "nginx", signal }).address);
 * ```
 */
export type SignalName = typeof SIGNALS[number]["name"] | "SIGEMT" | "SIGINFO";

/** A signal that a program can catch. */
export type CatchableSignal = Exclude<SignalName, typeof UNCATCHABLE[number]>;

/** The names of all signals on Linux, in the order of their numbers. */
export const SIGNAL_NAMES: readonly SignalName[] = SIGNALS.map(({ name }) => name);

/** The signals that can be caught on Linux. */
export const CATCHABLE: readonly CatchableSignal[] = SIGNAL_NAMES.filter(isCatchable);

function isCatchable(signal: SignalName): signal is CatchableSignal {
  return !UNCATCHABLE.some((name) => name === signal);
}

const NUMBERS: ReadonlyMap<SignalName, number> = new Map<SignalName, number>(
  SIGNALS.map(({ name, number }) => [name, number]),
);

/** A signal's number. */
export function signalNumber(signal: SignalName): number {
  return NUMBERS.get(signal) ?? 0;
}

/**
 * The signal that COMMAND gets in place of one that came; null drops it. SIGKILL, SIGSTOP, SIGILL,
 * SIGFPE, SIGSEGV and SIGCHLD cannot be replaced: they never come to be passed on.
 *
 * @example
 * ```ts
 * import { run, type SignalRewrites } from "@k8s-job/wrapper";
 *
 * // A web server that ends in an orderly way at SIGQUIT only.
 * const rewrite: SignalRewrites = { SIGTERM: "SIGQUIT", SIGHUP: null };
 * console.log((await run(["true"], { rewrite })).exitCode);
 * ```
 */
export type SignalRewrites = Readonly<Partial<Record<SignalName, SignalName | null>>>;

/** Finds a signal by its name, with or without `SIG`, or by its number. */
export function findSignal(text: string): SignalName | undefined {
  const typed = text.toUpperCase();
  return SIGNALS.find(({ name, number }) =>
    name === typed || name === `SIG${typed}` || String(number) === typed
  )?.name;
}

/** Whether a program can be told to get another signal in place of this one: it comes to COMMAND. */
export function isPassedOn(signal: SignalName): signal is CatchableSignal {
  return isCatchable(signal) && signal !== "SIGCHLD";
}
