/**
 * Trains a byte-level BPE tokenizer on texts: words are split as in GPT-2, and its characters represent bytes.
 * The result is a `tokenizer.json` that the `tokenizers` package and transformers read unchanged. Knows no files.
 * Source: Radford et al. (2019); the file format of the `tokenizers` package, version 1.0.
 */
import { byteLevelCharacters } from "../stream-decoder.ts";
import { type TrainedBpe, trainBpe } from "./train-bpe.ts";

/** GPT-2's words, which `use_regex` means in the file. */
const WORD = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

export interface ByteLevelOptions {
  /** Maximum number of tokens, special tokens included; at least 256 more than the special tokens. */
  readonly vocabSize: number;
  /** Special tokens in the order of their ids, from 0 on. */
  readonly special: readonly string[];
  /** The special token before every text, or null. */
  readonly bos: string | null;
  /** Pairs seen less often are not merged. */
  readonly minCount: number;
  readonly onProgress?: (done: number) => void;
}

/** Counts words, one text at a time. */
export class WordCounter {
  readonly #characters = byteLevelCharacters();
  readonly #counts = new Map<string, number>();
  readonly #special: RegExp | null;
  /** Number of UTF-16 units counted. */
  numUnits = 0;

  /** @param special texts that are not words and separate the words around them. */
  constructor(special: readonly string[]) {
    const escaped = special.map((token) => token.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"));
    this.#special = special.length === 0 ? null : new RegExp(escaped.sort((a, b) => b.length - a.length).join("|"));
  }

  add(text: string): void {
    this.numUnits += text.length;
    for (const part of this.#special === null ? [text] : text.split(this.#special))
      for (const [word] of part.matchAll(WORD)) this.#counts.set(word, (this.#counts.get(word) ?? 0) + 1);
  }

  /** Words in the characters of byte-level tokens, with their counts. */
  counts(): ReadonlyMap<string, number> {
    const encoder = new TextEncoder();
    const counts = new Map<string, number>();
    for (const [word, count] of this.#counts) {
      const key = Array.from(encoder.encode(word), (byte) => this.#characters[byte]).join("");
      counts.set(key, (counts.get(key) ?? 0) + count); // all lone surrogates have one key
    }
    return counts;
  }
}

/** The contents of `tokenizer.json`. The same words and options give the same value. */
export function trainByteLevelBpe(words: ReadonlyMap<string, number>, options: ByteLevelOptions): object {
  const { vocabSize, special, bos, minCount } = options;
  const alphabet = [...byteLevelCharacters()].sort((a, b) => (a < b ? -1 : 1));
  const trained = trainBpe(words, alphabet, {
    vocabSize,
    minCount,
    numReserved: special.length,
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  });
  return tokenizerJson(trained, special, bos);
}

function tokenizerJson({ tokens, merges }: TrainedBpe, special: readonly string[], bos: string | null): object {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({ id, content, ...flags })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: bos === null ? byteLevel : beginWith(bos, special.indexOf(bos)),
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries([...special, ...tokens].map((token, id) => [token, id])),
      merges,
    },
  };
}

function beginWith(bos: string, id: number): object {
  const token = { SpecialToken: { id: bos, type_id: 0 } };
  const [first, second] = ["A", "B"].map((sequence) => ({ Sequence: { id: sequence, type_id: 0 } }));
  return {
    type: "TemplateProcessing",
    single: [token, first],
    pair: [token, first, token, second],
    special_tokens: { [bos]: { id: bos, ids: [id], tokens: [bos] } },
  };
}
