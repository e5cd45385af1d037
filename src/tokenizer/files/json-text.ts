/**
 * Places in the text of a JSON document, for readers of large parts that JSON.parse would turn into too many objects.
 */

const [TAB, LINE_FEED, RETURN, SPACE, QUOTE, BACKSLASH] = [9, 10, 13, 32, 34, 92];

/** A string in a document, by its place. */
export interface JsonString {
  /** The places of its quotation marks. */
  from: number;
  end: number;
  /** Of its spelling in the document, 32 bits. */
  hash: number;
  hasEscapes: boolean;
}

export function newJsonString(): JsonString {
  return { from: 0, end: 0, hash: 0, hasEscapes: false };
}

/** Reads the string whose quotation mark is at `from` into `string`. @returns false where there is none, or no end */
export function readString(text: string, from: number, string: JsonString): boolean {
  if (text.charCodeAt(from) !== QUOTE) return false;
  let hash = 0;
  let hasEscapes = false;
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      string.from = from;
      string.end = at;
      string.hash = hash ^ (hash >>> 15);
      string.hasEscapes = hasEscapes;
      return true;
    }
    hash = Math.imul(hash ^ code, 0x01000193) + 0x9e3779b1; // an odd factor keeps all bits
    if (code !== BACKSLASH) continue;
    hasEscapes = true;
    at++;
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return false;
}

/** The value of a string; null where JSON does not allow its escapes. */
export function valueOf(text: string, { from, end, hasEscapes }: JsonString): string | null {
  if (!hasEscapes) return text.slice(from + 1, end);
  try {
    return JSON.parse(text.slice(from, end + 1)) as string;
  } catch {
    return null;
  }
}

/** The first place at or after `at` that is not white space. */
export function afterSpace(text: string, at: number): number {
  for (let place = at; ; place++) {
    const code = text.charCodeAt(place);
    if (code !== SPACE && code !== LINE_FEED && code !== RETURN && code !== TAB) return place;
  }
}
