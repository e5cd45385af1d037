/**
 * Reads the vocabulary of tokenizer.json without an object that has a key for each token. For 262,144 keys, V8 takes
 * seconds to parse such an object, and seconds at every enumeration. Instead, a map is filled from the text and shared
 * by all users.
 */

/** Parses tokenizer.json. `model.vocab` is a map where the file has an object. @throws {SyntaxError} as JSON.parse does. */
export function parseTokenizerJson(text: string): unknown {
  const found = findVocabulary(text);
  if (found === null) return JSON.parse(text);
  const { from, to, tokens } = found;
  const json = JSON.parse(`${text.slice(0, from)}{}${text.slice(to)}`) as { readonly model: Record<string, unknown> };
  json.model.vocab = tokens;
  return json;
}

/** The ids of all tokens. A plain object is accepted too. */
export function idsOfTokens(vocabulary: unknown): ReadonlyMap<string, number> {
  if (vocabulary instanceof Map) return vocabulary as Map<string, number>;
  if (Array.isArray(vocabulary))
    return new Map(vocabulary.map((entry: readonly [string, number], id) => [entry[0], id]));
  return new Map(Object.entries((vocabulary ?? {}) as Record<string, number>));
}

interface Found {
  /** The object's place in the text, braces included. */
  readonly from: number;
  readonly to: number;
  readonly tokens: ReadonlyMap<string, number>;
}

/** The object at `model.vocab`; null where there is none, or where the text is not as expected. JSON.parse then says why. */
function findVocabulary(text: string): Found | null {
  const keys: string[] = [];
  let key = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') {
      const end = endOfString(text, at);
      if (end < 0) return null;
      key = text.slice(at + 1, end);
      at = end;
    } else if (char === "{" || char === "[") {
      if (char === "{" && key === "vocab" && keys.length === 2 && keys[1] === "model") return readTokens(text, at);
      keys.push(key);
      key = "";
    } else if (char === "}" || char === "]") keys.pop();
    else if (char === ",") key = "";
  }
  return null;
}

const ENTRY = /[\t\n\r ]*:[\t\n\r ]*(\d+)[\t\n\r ]*([,}])[\t\n\r ]*/y;
const SPACE = /[\t\n\r ]*/y;

function readTokens(text: string, from: number): Found | null {
  const tokens = new Map<string, number>();
  SPACE.lastIndex = from + 1;
  SPACE.test(text);
  let at = SPACE.lastIndex;
  if (text[at] === "}") return { from, to: at + 1, tokens };
  for (;;) {
    const end = text[at] === '"' ? endOfString(text, at) : -1;
    if (end < 0) return null;
    const token = stringAt(text, at, end);
    ENTRY.lastIndex = end + 1;
    const entry = ENTRY.exec(text);
    if (token === null || entry === null) return null;
    tokens.set(token, Number(entry[1]));
    if (entry[2] === "}") return { from, to: end + 1 + entry[0].trimEnd().length, tokens };
    at = ENTRY.lastIndex;
  }
}

/** The place of the quotation mark that ends the string at `from`; −1 where none does. */
function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let numEscapes = 0;
    while (text[end - 1 - numEscapes] === "\\") numEscapes++;
    if (numEscapes % 2 === 0) return end;
  }
  return -1;
}

function stringAt(text: string, from: number, end: number): string | null {
  const raw = text.slice(from + 1, end);
  if (!raw.includes("\\")) return raw;
  try {
    return JSON.parse(text.slice(from, end + 1)) as string;
  } catch {
    return null;
  }
}
