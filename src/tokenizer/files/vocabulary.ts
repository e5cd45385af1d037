/**
 * Reads the vocabulary and merges of tokenizer.json without an object that has a key for each token, and without a list
 * for each merge. For 262,144 tokens, V8 takes seconds to parse and enumerate such values. Instead, a map of tokens and
 * a table of merges are filled from the text. All users share them.
 */
import { afterSpace, newJsonString, readString, valueOf } from "./json-text.ts";
import { readMerges } from "./merge-ranks.ts";
import { TokenIndex } from "./token-index.ts";

/**
 * Parses tokenizer.json. `model.vocab` is a map where the file has an object. Where merges follow it, `model.merges`
 * are `MergeRanks`. @throws {SyntaxError} as JSON.parse does.
 */
export function parseTokenizerJson(text: string): unknown {
  const vocabulary = findInModel(text, "vocab", "{", { at: 0, keys: [] });
  const found = vocabulary && readTokens(text, vocabulary.at);
  if (!vocabulary || !found) return JSON.parse(text);
  const list = findInModel(text, "merges", "[", { ...vocabulary, at: found.to });
  const merges = list && readMerges(text, list.at, found.tokens, found.index);
  const rest = list && merges ? `${text.slice(found.to, list.at)}[]${text.slice(merges.to)}` : text.slice(found.to);
  const json = JSON.parse(`${text.slice(0, vocabulary.at)}{}${rest}`) as { readonly model: Record<string, unknown> };
  json.model.vocab = found.tokens;
  if (merges) json.model.merges = merges.ranks;
  return json;
}

/** The ids of all tokens. A plain object is accepted too. */
export function idsOfTokens(vocabulary: unknown): ReadonlyMap<string, number> {
  if (vocabulary instanceof Map) return vocabulary as Map<string, number>;
  if (Array.isArray(vocabulary))
    return new Map(vocabulary.map((entry: readonly [string, number], id) => [entry[0], id]));
  return new Map(Object.entries((vocabulary ?? {}) as Record<string, number>));
}

/** A place in a document, and the keys of the objects and lists that it is in. */
interface Place {
  readonly at: number;
  readonly keys: readonly string[];
}

/**
 * The bracket that opens `model.<name>`; null where there is none, or where the text is not as expected. JSON.parse
 * then says why.
 */
function findInModel(text: string, name: string, bracket: "{" | "[", from: Place): Place | null {
  const keys = [...from.keys];
  const string = newJsonString();
  let key = "";
  for (let at = from.at; at < text.length; at++) {
    const char = text[at];
    if (char === '"') {
      if (!readString(text, at, string)) return null;
      key = text.slice(at + 1, string.end);
      at = string.end;
    } else if (char === "{" || char === "[") {
      if (char === bracket && key === name && keys.length === 2 && keys[1] === "model") return { at, keys };
      keys.push(key);
      key = "";
    } else if (char === "}" || char === "]") keys.pop();
    else if (char === ",") key = "";
  }
  return null;
}

interface ReadTokens {
  readonly tokens: ReadonlyMap<string, number>;
  readonly index: TokenIndex;
  /** The place after the vocabulary. */
  readonly to: number;
}

/** Reads the vocabulary at `from`, the place of its brace; null where the text is not as expected. */
function readTokens(text: string, from: number): ReadTokens | null {
  const tokens = new Map<string, number>();
  const index = new TokenIndex(text);
  const string = newJsonString();
  let at = afterSpace(text, from + 1);
  if (text[at] === "}") return { tokens, index, to: at + 1 };
  for (;;) {
    const token = readString(text, at, string) ? valueOf(text, string) : null;
    const colon = afterSpace(text, string.end + 1);
    if (token === null || text[colon] !== ":") return null;
    const number = afterSpace(text, colon + 1);
    const after = afterDigits(text, number);
    if (after === number) return null;
    const id = Number(text.slice(number, after));
    tokens.set(token, id);
    index.add(string, id);
    at = afterSpace(text, after);
    if (text[at] === "}") return { tokens, index, to: at + 1 };
    if (text[at] !== ",") return null;
    at = afterSpace(text, at + 1);
  }
}

function afterDigits(text: string, from: number): number {
  let at = from;
  for (let code = text.charCodeAt(at); code >= 48 && code <= 57; code = text.charCodeAt(at)) at++; // "0" to "9"
  return at;
}
