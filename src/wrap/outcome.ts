/**
 * What came of one object, for the report.
 *
 * @module
 */

/** What came of one object. */
export interface Outcome {
  readonly state: "wrapped" | "unneeded" | "left";
  /** Each change and why, or why there is none. */
  readonly lines: readonly string[];
  /** What somebody has to look at. */
  readonly notes: readonly string[];
  /** Where in the text, if that is not the object's own start. */
  readonly offset?: number;
}

/** What is said about one object while it is changed. */
export interface Remarks {
  /** Each change and why. */
  readonly lines: string[];
  /** What somebody has to look at. */
  readonly notes: string[];
}
