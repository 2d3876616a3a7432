/** The signals of macOS. */

/**
 * The signals of Deno on macOS.
 *
 * @see https://github.com/denoland/deno/blob/main/ext/signals/dict.rs
 */
export const MACOS_SIGNALS: ReadonlySet<string> = new Set(
  "HUP INT QUIT ILL TRAP ABRT IOT EMT FPE KILL BUS SEGV SYS PIPE ALRM TERM URG STOP TSTP CONT CHLD TTIN TTOU IO XCPU XFSZ VTALRM PROF WINCH INFO USR1 USR2"
    .split(" ").map((name) => `SIG${name}`),
);

/** Signals that only macOS has travel as signals that only Linux has. */
export const DISGUISES: ReadonlyMap<string, Deno.Signal> = new Map<string, Deno.Signal>([
  ["SIGINFO", "SIGPWR"],
  ["SIGEMT", "SIGSTKFLT"],
]);
