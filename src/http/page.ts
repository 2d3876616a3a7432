/**
 * Pages that sidecars serve, and what they reveal about the server.
 *
 * @module
 */

/** The answer to a harmless request. */
export interface Page {
  /** The status. */
  readonly status: number;
  /** The headers. */
  readonly headers: Headers;
  /** The body, cut off if it is long. */
  readonly text: string;
}

/**
 * Gets a page, once.
 *
 * @returns undefined if nobody listens there
 * @throws if somebody listens and does not answer as a web server in time
 */
export type Get = (
  url: string,
  headers?: Readonly<Record<string, string>>,
  method?: HarmlessMethod,
) => Promise<Page | undefined>;

/** The methods of requests that change nothing: GET, unless a server has no page to recognize it by. */
export type HarmlessMethod = "GET" | "OPTIONS";

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The JSON object that a page with status 200 holds; undefined if it holds anything else. */
export function jsonOf(page: Page | undefined): JsonObject | undefined {
  if (page?.status !== 200) return undefined;
  if (!page.headers.get("content-type")?.startsWith("application/json")) return undefined;
  try {
    const value: unknown = JSON.parse(page.text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether this is the default "not found" page of a server in Go, which many sidecars are. */
export function isNotFoundOfGo({ status, headers, text }: Page): boolean {
  return status === 404 && text === "404 page not found\n" &&
    headers.get("x-content-type-options") === "nosniff" && !headers.has("server");
}
