/**
 * Encodes a text in which some spellings of special tokens are meant as text. A second tokenizer has a private-use
 * character for every special token, so the spelling of one is ordinary text for it. Knows no chat. The caller marks
 * literal occurrences by placeholders.
 */
import { idsOfTokens } from "./files/vocabulary.ts";
import { AppError, quote } from "../errors.ts";
import type { AddedToken } from "./files/added-tokens.ts";
import type { TokenizerFiles } from "./files/tokenizer-files.ts";

/** First of the characters that replace special tokens (Supplementary Private Use Area-B). */
const ALIAS_START = 0x100000;
/** First of the characters that replace the characters of literal occurrences. */
const PLACEHOLDER_START = 0x108000;
const MAX_TOKENS = PLACEHOLDER_START - ALIAS_START;
const RESERVED = /[\u{100000}-\u{10ffff}]/u;

/** Finds and hides spellings of special tokens in text. */
export interface LiteralMarks {
  /** The first special token spelt in `text`, or undefined. */
  find(text: string): string | undefined;
  /** All special tokens spelt in `text`, in order. */
  findAll(text: string): readonly string[];
  /**
   * A special token of which `text` begins or ends with a piece, so that adjacent text may complete it; otherwise
   * undefined.
   */
  findPiece(text: string): string | undefined;
  /** `text` with a placeholder for each character of each spelling, and of pieces at its ends. */
  hide(text: string): string;
  /** The inverse of `hide`. */
  restore(text: string): string;
  /** Whether `text` already contains a character that is used as a mark. */
  hasReserved(text: string): boolean;
}

/** The special tokens of a tokenizer whose spelling can occur in text. */
function specialsOf(files: TokenizerFiles): AddedToken[] {
  return files.json.added_tokens.filter((token) => token.special === true && token.content !== "").slice(0, MAX_TOKENS);
}

/** Marks for the special tokens of a tokenizer. */
export function makeLiteralMarks(files: TokenizerFiles): LiteralMarks {
  const contents = specialsOf(files).map((token) => token.content);
  const spelling = anyOf(contents);
  const chars = [...new Set(contents.join(""))];
  const placeholders = new Map(chars.map((char, i) => [char, String.fromCodePoint(PLACEHOLDER_START + i)]));
  const originals = new Map(chars.map((char, i) => [String.fromCodePoint(PLACEHOLDER_START + i), char]));
  const conceal = (text: string): string => Array.from(text, (char) => placeholders.get(char) ?? char).join("");
  const pieces = makePieces(contents);
  const hideEnds = (text: string): string => {
    const head = pieces.headOf(text)?.length ?? 0;
    const tail = Math.min(pieces.tailOf(text)?.length ?? 0, text.length - head);
    const end = text.length - tail;
    return conceal(text.slice(0, head)) + text.slice(head, end) + conceal(text.slice(end));
  };
  /** Many templates trim their inputs, so both ends are checked: the text's own, and those after white space. */
  const hideAllEnds = (text: string): string => {
    const core = text.trim();
    const at = text.indexOf(core);
    return hideEnds(text.slice(0, at) + hideEnds(core) + text.slice(at + core.length));
  };
  return {
    find: (text) => text.match(spelling)?.[0],
    findAll: (text) => text.match(spelling) ?? [],
    findPiece: (text) =>
      [text, text.trim()].map((one) => pieces.headOf(one)?.token ?? pieces.tailOf(one)?.token).find((token) => token),
    hide: (text) => hideAllEnds(text.replace(spelling, conceal)),
    restore: (text) => text.replace(/[\u{108000}-\u{10ffff}]/gu, (char) => originals.get(char) ?? char),
    hasReserved: (text) => RESERVED.test(text),
  };
}

interface Piece {
  readonly token: string;
  readonly length: number;
}

/**
 * The longest part of a token that a text may begin or end with: a token's end at the start, a token's start at the
 * end.
 */
function makePieces(contents: readonly string[]): Record<"headOf" | "tailOf", (text: string) => Piece | undefined> {
  const longest = (fits: (token: string, length: number) => boolean): Piece | undefined => {
    let best: Piece | undefined;
    for (const token of contents)
      for (let length = token.length - 1; length > (best?.length ?? 0); length--)
        if (fits(token, length)) best = { token, length };
    return best;
  };
  return {
    headOf: (text) => longest((token, length) => text.startsWith(token.slice(token.length - length))),
    tailOf: (text) => longest((token, length) => text.endsWith(token.slice(0, length))),
  };
}

/** Leftmost, longest first: how the tokenizer itself finds added tokens. */
function anyOf(texts: readonly string[]): RegExp {
  const sorted = [...texts].sort((a, b) => b.length - a.length);
  if (sorted.length === 0) return /(?!)/g;
  return new RegExp(sorted.map((text) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")).join("|"), "g");
}

/** Special tokens under aliases: the files of the second tokenizer, and the text for it. */
export interface AliasedTokenizer {
  readonly files: TokenizerFiles;
  /** Replaces the spelling of each special token by its alias. */
  alias(text: string): string;
}

/**
 * @throws {AppError} invalid_request where the tokenizer matches special tokens in normalised text, where aliases would
 * not work.
 */
export function aliasSpecials(files: TokenizerFiles): AliasedTokenizer {
  const specials = specialsOf(files);
  const normalized = specials.find((token) => token.normalized === true && files.json.normalizer !== null);
  if (normalized !== undefined) throw literalError(normalized.content);
  const aliases = new Map(specials.map((token, i) => [token.content, String.fromCodePoint(ALIAS_START + i)]));
  const rename = (content: string): string => aliases.get(content) ?? content;
  const { vocab } = files.json.model;
  const renamed = Array.isArray(vocab)
    ? vocab.map(([token, score]: [string, number]) => [rename(token), score])
    : new Map([...files.ids].map(([token, id]) => [rename(token), id]));
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
  // An added token that is not special keeps its spelling. It has precedence if it is the longer match.
  const spelling = anyOf(files.json.added_tokens.map((token) => token.content).filter((content) => content !== ""));
  return {
    files: {
      ...files,
      ids: idsOfTokens(renamed),
      json: { ...files.json, model, added_tokens: added, post_processor: null },
    },
    alias: (text) => text.replace(spelling, rename),
  };
}

/** The refusal of a conversation whose literals cannot be separated from special tokens. */
export function literalError(token: string): AppError {
  return new AppError(
    "invalid_request",
    `The conversation contains the text of the special token ${quote(token)} where it cannot be distinguished from the token itself. Remove or change that text.`,
    { param: "messages" },
  );
}
