/**
 * Text ↔ token ids of one model. Encoding uses @huggingface/tokenizers, corrected where it differs from the Python
 * original. The text fixtures' README lists the differences. Decoding is our own stream decoder. Knows no chat and no
 * HTTP.
 */
import type { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import { AppError, quote } from "../errors.ts";
import { aliasSpecials, type AliasedTokenizer, type LiteralMarks, makeLiteralMarks } from "./literal-encoder.ts";
import { createTokenDecoder } from "./stream-decoder.ts";
import { readTextFiles } from "./files/text-files.ts";
import { installSteps, libraryTokenizer } from "./steps/text-pipeline.ts";
import { tokenText } from "./files/tokenizer-config.ts";
import { byteToken, type TokenizerFiles } from "./files/tokenizer-files.ts";

/** Decodes the ids of one sequence, one delta an id. */
export interface StreamDecoder {
  /** The text that this id completes; never half a character. An id outside the vocabulary gives no text. */
  push(id: number): string;
  /** The remaining text when the sequence ends. */
  flush(): string;
}

/** Options of decoding. */
export interface DecodeOptions {
  /** Leaves special tokens out (default true). Added tokens that are not special stay. */
  readonly skipSpecialTokens?: boolean;
  /** Special tokens that always stay. */
  readonly keptIds?: ReadonlySet<number> | undefined;
}

/** One model's tokenizer. Immutable; safe to share. */
export interface Tokenizer {
  /** Largest id + 1. The model's own vocabulary may be larger (padding), never smaller. */
  readonly vocabSize: number;
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  /** Special tokens, text and id, in the order of their ids. */
  readonly specialTokens: readonly { readonly id: number; readonly content: string }[];
  /** Ids of a text; `addSpecialTokens` (default true) adds the tokens of the post-processor (bos, eos). */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
  idToToken(id: number): string | undefined;
  tokenToId(token: string): number | undefined;
  isSpecial(id: number): boolean;
  /** Text of ids: the deltas of a stream decoder, joined. */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  createStreamDecoder(options?: DecodeOptions): StreamDecoder;
  /** Finds and hides spellings of special tokens in text. */
  readonly literals: LiteralMarks;
  /**
   * Ids of a text in which `literals.hide` has hidden the spellings that are meant as text. Other spellings are special
   * tokens. Adds no special tokens. Builds a second encoder on first use. @throws {AppError} invalid_request.
   */
  encodeHidden(text: string): number[];
}

/** The tokenizer of a base directory or checkpoint. @throws {AppError} checkpoint_invalid, checkpoint_unsupported. */
export async function loadTokenizer(dir: string): Promise<Tokenizer> {
  return makeTokenizer((await readTextFiles(dir)).tokenizer, dir);
}

/** A tokenizer from files already read and checked. `dir` only names them in messages. @throws {AppError} */
export function makeTokenizer(files: TokenizerFiles, dir: string): Tokenizer {
  const hub = buildHub(files, dir);
  const tokens = tokenList(files);
  const addedIds = new Map(files.json.added_tokens.map(({ content, id }) => [content, id]));
  const special = files.json.added_tokens.filter((token) => token.special === true).sort((a, b) => a.id - b.id);
  const specialIds = new Set(special.map((token) => token.id));

  const literals = makeLiteralMarks(files);
  let aliased: { readonly tokens: AliasedTokenizer; readonly hub: HubTokenizer } | undefined;

  const createStreamDecoder = ({ skipSpecialTokens = true, keptIds }: DecodeOptions = {}): StreamDecoder => {
    const decoder = createTokenDecoder(files.rule);
    return {
      push(id) {
        const token = tokens[id];
        const isSkipped = skipSpecialTokens && specialIds.has(id) && keptIds?.has(id) !== true;
        return token === undefined || isSkipped ? "" : decoder.push(token);
      },
      flush: () => decoder.flush(),
    };
  };
  return {
    vocabSize: tokens.length,
    bosToken: tokenText(files.config.bos_token),
    eosToken: tokenText(files.config.eos_token),
    specialTokens: special.map(({ id, content }) => ({ id, content })),
    encode: (text, { addSpecialTokens = true } = {}) => encode(hub, text, addSpecialTokens),
    idToToken: (id) => tokens[id],
    tokenToId: (token) => addedIds.get(token) ?? files.ids.get(token),
    isSpecial: (id) => specialIds.has(id),
    decode(sequence, options) {
      const decoder = createStreamDecoder(options);
      let text = "";
      for (const id of sequence) text += decoder.push(id);
      return text + decoder.flush();
    },
    createStreamDecoder,
    literals,
    encodeHidden(text) {
      if (aliased === undefined) {
        const second = aliasSpecials(files);
        aliased = { tokens: second, hub: buildHub(second.files, dir) };
      }
      return encode(aliased.hub, literals.restore(aliased.tokens.alias(text)), false);
    },
  };
}

/** The texts of all tokens at their ids. A list is filled in a third of the time of a map. */
function tokenList(files: TokenizerFiles): readonly (string | undefined)[] {
  const tokens: string[] = [];
  for (const [token, id] of files.ids) tokens[id] = token;
  for (const { id, content } of files.json.added_tokens) tokens[id] = content;
  return tokens;
}

/** The result of the library's encoder. An id is absent if it found no token and the model has no unknown token. */
interface HubEncoding {
  readonly ids: readonly (number | undefined)[];
  readonly tokens: readonly string[];
}

function encode(hub: HubTokenizer, text: string, addSpecialTokens: boolean): number[] {
  // A lone surrogate is not a character. Python's encoders see U+FFFD in its place.
  const wellFormed = text.replace(/\p{Surrogate}/gu, "\ufffd");
  const { ids: encoded, tokens } = hub.encode(wellFormed, { add_special_tokens: addSpecialTokens }) as HubEncoding;
  return encoded.map((id, i) => {
    if (id !== undefined) return id;
    throw new AppError(
      "invalid_request",
      `The tokenizer has no token for ${quote(tokens[i] ?? "")} and no unknown token. Leave that text out.`,
    );
  });
}

/**
 * A text that is encoded when a tokenizer is opened. The library and our steps read some settings only when they
 * encode. A wrong setting must not fail a request.
 */
const TRIAL_TEXT = "a b";

function buildHub(files: TokenizerFiles, dir: string): HubTokenizer {
  let hub: HubTokenizer;
  try {
    // Decoding is ours, so only the parts of the config that the library's encoder reads are passed.
    hub = libraryTokenizer(files, {
      clean_up_tokenization_spaces: false,
      eos_token: tokenText(files.config.eos_token),
    });
    installSteps(hub, files);
    hub.encode(TRIAL_TEXT, { add_special_tokens: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AppError("checkpoint_unsupported", `The tokenizer in ${dir} cannot be used: ${reason}`, { cause });
  }
  mendUnknowns(hub, files);
  return hub;
}

/** The library's Unigram model, which its type declarations do not export. */
interface HubUnigram {
  encode: (words: string[]) => string[];
  readonly tokenize: (word: string) => string[];
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  readonly unk_token: string | undefined;
  fuse_unk: boolean;
}

/**
 * Unigram: the library never falls back to bytes and joins unknown characters across words.
 * The original does both word by word, and does not overflow the stack on a long word.
 * The library's `encode` is replaced by one that equals the original.
 */
function mendUnknowns(hub: HubTokenizer, files: TokenizerFiles): void {
  if (files.json.model.type !== "Unigram") return;
  const model = hub.model as unknown as HubUnigram;
  const hasBytes = files.json.model.byte_fallback === true;
  const unknown = model.unk_token;
  const settle = (word: string): string[] => {
    const out: string[] = [];
    let isInRun = false;
    for (const piece of model.tokenize(word)) {
      const isKnown = model.tokens_to_ids.has(piece) && piece !== unknown;
      if (isKnown) out.push(piece);
      else if (hasBytes) out.push(...Array.from(new TextEncoder().encode(piece), byteToken));
      else if (!isInRun) out.push(unknown ?? piece);
      isInRun = !isKnown;
    }
    return out;
  };
  model.fuse_unk = false;
  model.encode = (words: string[]) => words.flatMap(settle);
}
