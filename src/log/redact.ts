/** Replaces the server's keys in the lines of the log. */

/** A shorter key is replaced only as a word of its own, because it could be part of any word. */
export const MIN_LENGTH_ANYWHERE = 8;
/** The beginning and the end of a word. An underscore separates words, and so does a character escaped in a URL. */
const WORD_START = "(?:(?<![\\p{L}\\p{N}])|(?<=%[0-9A-Fa-f]{2}))";
const WORD_END = "(?![\\p{L}\\p{N}])";
/** The logger fills these fields itself. A short key, such as "info" or "10", would damage them. */
const OWN_FIELDS = new Set(["level", "time"]);

/** Keys that `mosara keys add` made. The server knows only their hashes, so they are found by their form. */
const GENERATED_PREFIX = "mosara-";
const GENERATED = `${GENERATED_PREFIX}[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])`;

export const REDACTED = "[redacted]";

/**
 * A function from a line of JSON to the same line without the keys. It only searches strings. The names of fields are
 * the program's own, and a number is not a key.
 */
export function keyRedactor(keys: readonly string[]): (line: string) => string {
  const secrets = keys.filter((key) => key !== "");
  const anyKey = new RegExp([GENERATED, ...secrets.flatMap(keyPatterns)].join("|"), "gu");
  const literals = secrets.flatMap(writtenForms).map((form) => JSON.stringify(form).slice(1, -1));
  const anyLiteral = [GENERATED_PREFIX, ...literals];
  return (line) => {
    // Hardly any line holds a key, and looking for one is cheaper than parsing the line.
    if (!anyLiteral.some((literal) => line.includes(literal))) return line;
    const fields = JSON.parse(line) as Record<string, unknown>;
    for (const [name, value] of Object.entries(fields)) {
      if (!OWN_FIELDS.has(name)) fields[name] = withoutKeys(value, anyKey);
    }
    return `${JSON.stringify(fields)}\n`;
  };
}

/** A key, and the same key as it is written in a URL. */
function writtenForms(key: string): string[] {
  return [...new Set([key, encodeURIComponent(key)])];
}

function keyPatterns(key: string): string[] {
  const patterns = writtenForms(key).map((form) => form.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  if (key.length >= MIN_LENGTH_ANYWHERE) return patterns;
  return patterns.map((pattern) => WORD_START + pattern + WORD_END);
}

function withoutKeys(value: unknown, anyKey: RegExp): unknown {
  if (typeof value === "string") return value.replaceAll(anyKey, REDACTED);
  if (Array.isArray(value)) return value.map((item) => withoutKeys(item, anyKey));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withoutKeys(item, anyKey)]));
}
