/** The tokens of a GGUF file: their texts and kinds, the special tokens by role, and the tokens that end an answer. */
import { AppError } from "../../errors.ts";
import type { MetadataReader } from "./metadata-reader.ts";

const KINDS = ["normal", "unknown", "control", "user-defined", "unused", "byte"] as const;
export type TokenKind = (typeof KINDS)[number];

export interface Vocabulary {
  /** By id. */
  readonly tokens: readonly string[];
  readonly kinds: readonly TokenKind[];
  /** null where the model has none. */
  readonly bos: number | null;
  readonly eos: number | null;
  readonly unknown: number | null;
  readonly padding: number | null;
  /** Ids that end an answer, eos first. */
  readonly ends: readonly number[];
}

const TOKEN_KEY = "tokenizer.ggml.tokens";
const KIND_KEY = "tokenizer.ggml.token_type";

/** Ids that llama.cpp's SentencePiece vocabularies have where the file names none. */
const SENTENCEPIECE_IDS = { bos: 1, eos: 2, unknown: 0 };

/** @throws {AppError} checkpoint_invalid */
export function readVocabulary(metadata: MetadataReader): Vocabulary {
  const tokens = metadata.strings(TOKEN_KEY);
  if (tokens === undefined || tokens.length === 0)
    throw new AppError("checkpoint_invalid", `${metadata.path} has no ${TOKEN_KEY}. Convert the model again.`);
  const numbers = metadata.numbers(KIND_KEY);
  if (numbers !== undefined && numbers.length !== tokens.length)
    throw new AppError(
      "checkpoint_invalid",
      `${metadata.path}: ${KIND_KEY} has ${numbers.length} entries for ${tokens.length} tokens. Convert the model again.`,
    );
  const kinds = tokens.map((_, id) => KINDS[(numbers?.[id] ?? 1) - 1] ?? "normal");
  const isSentencePiece = metadata.text("tokenizer.ggml.model") === "llama";
  const id = (role: string, fallback?: number): number | null => {
    const given = metadata.count(`tokenizer.ggml.${role}_token_id`) ?? (isSentencePiece ? fallback : undefined);
    // Some files write 2^32 - 1 for "none". Ids beyond the vocabulary belong to another vocabulary.
    return given !== undefined && given < tokens.length ? given : null;
  };
  const eos = id("eos", SENTENCEPIECE_IDS.eos);
  const named = [eos, id("eot"), id("eom")].filter((one) => one !== null);
  return {
    tokens,
    kinds,
    bos: id("bos", SENTENCEPIECE_IDS.bos),
    eos,
    unknown: id("unknown", SENTENCEPIECE_IDS.unknown),
    padding: id("padding"),
    ends: [...new Set([...named, ...spelledEnds(tokens, kinds)])],
  };
}

/** A file names few of a model's end tokens. Tokens with a known end spelling are added, as llama.cpp does. */
const END_SPELLINGS: ReadonlySet<string> = new Set([
  "<|eot_id|>",
  "<|im_end|>",
  "<|end|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "<|eom_id|>",
  "<|end_of_text|>",
  "<EOT>",
  "<eos>",
  "</s>",
  "<｜end▁of▁sentence｜>",
]);

function spelledEnds(tokens: readonly string[], kinds: readonly TokenKind[]): readonly number[] {
  return tokens.flatMap((token, id) =>
    END_SPELLINGS.has(token) && (kinds[id] === "control" || kinds[id] === "user-defined") ? [id] : [],
  );
}
