/** Describes the counterexample and what it violates. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message.replaceAll(/(.)\1{40,}/gs, "$1…") +
    (error.cause === undefined ? "" : `\n${explain(error.cause)}`);
}
