/**
 * Encodes a text in which some spellings of special tokens are meant as text. A second tokenizer knows every special
 * token under a private-use character instead of its spelling, so the spelling itself is ordinary text to it.
 * Knows no chat; whoever calls says which occurrences are literal by putting placeholders in their place.
 */
import { AppError } from "../errors.ts";
import type { AddedToken, TokenizerFiles } from "./tokenizer-files.ts";

/** First of the characters that stand for special tokens (Supplementary Private Use Area-B). */
const ALIAS_START = 0x100000;
/** First of the characters that stand for literal occurrences. */
const PLACEHOLDER_START = 0x108000;
const MAX_TOKENS = PLACEHOLDER_START - ALIAS_START;
const RESERVED = /[\u{100000}-\u{10ffff}]/u;

/** Finds and hides spellings of special tokens in text. */
export interface LiteralMarks {
  /** The first special token spelt in `text`, or undefined. */
  find(text: string): string | undefined;
  /** `text` with each spelling replaced by placeholders of the same number of characters. */
  hide(text: string): string;
  /** The inverse of `hide`. A placeholder that is no longer whole stays. */
  restore(text: string): string;
  /** Whether `text` already holds a character that is used as a mark. */
  hasReserved(text: string): boolean;
}

/** The special tokens of a tokenizer whose spelling can occur in text. */
function specialsOf(files: TokenizerFiles): AddedToken[] {
  return files.json.added_tokens.filter((token) => token.special === true && token.content !== "").slice(0, MAX_TOKENS);
}

/** Marks for the special tokens of a tokenizer. */
export function makeLiteralMarks(files: TokenizerFiles): LiteralMarks {
  const specials = specialsOf(files);
  const spelling = anyOf(specials.map((token) => token.content));
  const placeholders = new Map(
    specials.map((token, i) => [
      token.content,
      String.fromCodePoint(PLACEHOLDER_START + i).repeat([...token.content].length),
    ]),
  );
  const contents = new Map([...placeholders].map(([content, placeholder]) => [placeholder, content]));
  const hidden = anyOf([...contents.keys()]);
  return {
    find: (text) => text.match(spelling)?.[0],
    hide: (text) => text.replace(spelling, (content) => placeholders.get(content) ?? content),
    restore: (text) => text.replace(hidden, (placeholder) => contents.get(placeholder) ?? placeholder),
    hasReserved: (text) => RESERVED.test(text),
  };
}

/** Leftmost, longest first: how the tokenizer itself finds added tokens. */
function anyOf(texts: readonly string[]): RegExp {
  const sorted = [...texts].sort((a, b) => b.length - a.length);
  if (sorted.length === 0) return /(?!)/g;
  return new RegExp(sorted.map((text) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")).join("|"), "g");
}

/** Special tokens under aliases: the files of the second tokenizer, and the text it is to be given. */
export interface AliasedTokenizer {
  readonly files: TokenizerFiles;
  /** Puts the alias of each special token in the place of its spelling. */
  alias(text: string): string;
}

/** @throws {AppError} invalid_request when the tokenizer matches special tokens in normalised text, where aliases would not do. */
export function aliasSpecials(files: TokenizerFiles): AliasedTokenizer {
  const specials = specialsOf(files);
  const normalized = specials.find((token) => token.normalized === true && files.json.normalizer !== null);
  if (normalized !== undefined) throw literalError(normalized.content);
  const aliases = new Map(specials.map((token, i) => [token.content, String.fromCodePoint(ALIAS_START + i)]));
  const rename = (content: string): string => aliases.get(content) ?? content;
  const { vocab } = files.json.model;
  const renamed = Array.isArray(vocab)
    ? vocab.map(([token, score]: [string, number]) => [rename(token), score])
    : Object.fromEntries(Object.entries(vocab as Record<string, number>).map(([token, id]) => [rename(token), id]));
  const { unk_token: unknown } = files.json.model;
  const model = {
    ...files.json.model,
    vocab: renamed,
    unk_token: typeof unknown === "string" ? rename(unknown) : unknown,
  };
  const added = files.json.added_tokens.map((token) => ({
    ...token,
    content: token.special === true ? rename(token.content) : token.content,
  }));
  // An added token that is not special keeps its spelling, and where it is the longer match it wins.
  const spelling = anyOf(files.json.added_tokens.map((token) => token.content).filter((content) => content !== ""));
  return {
    files: { ...files, json: { ...files.json, model, added_tokens: added, post_processor: null } },
    alias: (text) => text.replace(spelling, rename),
  };
}

/** The refusal of a conversation whose literals cannot be kept apart from special tokens. */
export function literalError(token: string): AppError {
  return new AppError(
    "invalid_request",
    `The conversation spells the special token ${JSON.stringify(token)} in a place where it cannot be told apart from the token itself. Remove or change that text.`,
    { param: "messages" },
  );
}
