/** Reads every document of a YAML text; the caller says what it takes them for. */
export function parseAll<Document>(text: string): Document[];
