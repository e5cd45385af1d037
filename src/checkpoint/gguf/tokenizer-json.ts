/**
 * Converts a GGUF file's tokenizer to the `tokenizer.json` that it came from.
 * It is a byte-level BPE with the words of its `tokenizer.ggml.pre`,
 * or SentencePiece pieces, whose merges follow from their scores.
 * Source: the file format of the `tokenizers` package, version 1.0; llama.cpp, src/llama-vocab.cpp.
 */
import { AppError, quote } from "../../errors.ts";
import type { MetadataReader } from "./metadata-reader.ts";
import { mergesOfPieces } from "./piece-merges.ts";
import { DEFAULT_PRE, PRE_TOKENIZER_NAMES, type PreTokenizer, preTokenizerOf } from "./pre-tokenizers.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A description of the tokenizer. `make` builds it, which takes long for large vocabularies. */
export interface TokenizerPlan {
  readonly notices: readonly string[];
  readonly make: () => object;
}

/** @throws {AppError} checkpoint_unsupported, checkpoint_invalid */
export function planTokenizer(
  metadata: MetadataReader,
  vocabulary: Vocabulary,
  usualPreTokenizer: string | null,
): TokenizerPlan {
  const model = metadata.text("tokenizer.ggml.model");
  if (model === "gpt2") return planByteLevel(metadata, vocabulary, usualPreTokenizer);
  if (model === "llama") return planPieces(metadata, vocabulary);
  throw new AppError(
    "checkpoint_unsupported",
    `${metadata.path}: tokenizer.ggml.model ${quote(model)} is not supported; supported: gpt2, llama. Use the model's Hugging Face checkpoint.`,
  );
}

const PRE_KEY = "tokenizer.ggml.pre";
const MERGES_KEY = "tokenizer.ggml.merges";

function planByteLevel(metadata: MetadataReader, vocabulary: Vocabulary, usual: string | null): TokenizerPlan {
  const given = metadata.text(PRE_KEY) ?? "";
  const isSilent = given === "" || given === DEFAULT_PRE;
  const name = isSilent ? (usual ?? DEFAULT_PRE) : given;
  const words = preTokenizerOf(name);
  if (!words)
    throw new AppError(
      "checkpoint_unsupported",
      `${metadata.path}: ${PRE_KEY} ${quote(given)} is not known, so the boundaries of words would be a guess. Known: ${PRE_TOKENIZER_NAMES.join(", ")}. Use the model's Hugging Face checkpoint.`,
    );
  const merges = metadata.strings(MERGES_KEY);
  if (!merges)
    throw new AppError("checkpoint_invalid", `${metadata.path} has no ${MERGES_KEY}. Convert the model again.`);
  const found = given === "" ? `has no ${PRE_KEY}` : `has ${PRE_KEY} ${quote(given)}`;
  const notice = `${metadata.path} ${found}, so its words are split as ${quote(name)} splits them. The ids may be wrong. If so, convert the model with a recent llama.cpp.`;
  return {
    notices: isSilent ? [notice] : [],
    make: () => byteLevelJson(metadata, vocabulary, words, merges),
  };
}

function byteLevelJson(
  metadata: MetadataReader,
  vocabulary: Vocabulary,
  words: PreTokenizer,
  merges: readonly string[],
): object {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  const splits = words.patterns.map((Regex) => ({
    type: "Split",
    pattern: { Regex },
    behavior: "Isolated",
    invert: false,
  }));
  return {
    ...shared(vocabulary, false),
    normalizer: words.isComposed ? { type: "NFC" } : null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [...splits, byteLevel] },
    post_processor: ends(metadata, vocabulary, words.addsBos) ?? byteLevel,
    decoder: { ...byteLevel, add_prefix_space: true, use_regex: true },
    model: {
      ...bpe(vocabulary, [vocabulary.tokens]),
      unk_token: null,
      ignore_merges: words.ignoresMerges,
      // A token may begin with a space, so the separator is the first space after a character.
      merges: merges.map((merge) => {
        const mark = merge.indexOf(" ", 1);
        if (mark < 0)
          throw new AppError(
            "checkpoint_invalid",
            `${metadata.path}: ${MERGES_KEY} contains ${quote(merge)}, which is not two parts with a space between them. Convert the model again.`,
          );
        return [merge.slice(0, mark), merge.slice(mark + 1)];
      }),
    },
  };
}

const MARK = "\u2581";

function planPieces(metadata: MetadataReader, vocabulary: Vocabulary): TokenizerPlan {
  const scores = metadata.numbers("tokenizer.ggml.scores");
  if (!scores || scores.length !== vocabulary.tokens.length)
    throw new AppError(
      "checkpoint_invalid",
      `${metadata.path}: tokenizer.ggml.scores has ${scores?.length ?? 0} entries for ${vocabulary.tokens.length} tokens. Convert the model again.`,
    );
  return { notices: [], make: () => piecesJson(metadata, vocabulary, scores) };
}

function piecesJson(metadata: MetadataReader, vocabulary: Vocabulary, scores: ArrayLike<number>): object {
  const hasPrefix = metadata.flag("tokenizer.ggml.add_space_prefix") ?? true;
  const marks = { type: "Replace", pattern: { String: " " }, content: MARK };
  const prefix = { type: "Sequence", normalizers: [{ type: "Prepend", prepend: MARK }, marks] };
  const words = { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false };
  // The converter writes runs of spaces, which are separate tokens, as spaces.
  const pieces = vocabulary.tokens.map((token) => (/^ +$/.test(token) ? MARK.repeat(token.length) : token));
  const isByOrder = metadata.architecture.startsWith("gemma");
  return {
    ...shared(vocabulary, metadata.architecture === "phi3"),
    normalizer: hasPrefix ? prefix : marks,
    pre_tokenizer: hasPrefix ? null : words,
    post_processor: ends(metadata, vocabulary, true),
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: MARK }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(hasPrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      // Merges make runs of spaces from marks. Added tokens are found in the text as it is, and so have spaces.
      ...bpe(vocabulary, [pieces, vocabulary.tokens]),
      unk_token: vocabulary.unknown === null ? null : (pieces[vocabulary.unknown] ?? null),
      fuse_unk: true,
      byte_fallback: true,
      merges: mergesOfPieces(pieces, vocabulary.kinds, isByOrder ? null : scores),
    },
  };
}

/** The parts of tokenizer.json that both kinds share. `strips`: whether special tokens absorb the spaces after them. */
function shared({ tokens, kinds }: Vocabulary, strips: boolean): object {
  const isModel = new Set(["<unk>", "<s>", "<|endoftext|>"]);
  const added = tokens.flatMap((content, id) => {
    const kind = kinds[id];
    const isAdded = kind === "control" || kind === "user-defined" || kind === "unknown";
    if (!isAdded || content === "") return [];
    const special = kind !== "user-defined";
    const rstrip = strips && !isModel.has(content);
    return [{ id, content, single_word: false, lstrip: false, rstrip, normalized: false, special }];
  });
  return { version: "1.0", truncation: null, padding: null, added_tokens: added };
}

/** Filler tokens that the converter wrote for embedding rows without a token. */
const FILLER = /^\[PAD\d+\]$/;

/** @param spellings lists of the texts of all tokens; a token may have another text in each */
function bpe({ kinds }: Vocabulary, spellings: readonly (readonly string[])[]): object {
  const vocab: Record<string, number> = Object.create(null) as Record<string, number>;
  for (const texts of spellings)
    for (const [id, text] of texts.entries()) if (kinds[id] !== "unused" || !FILLER.test(text)) vocab[text] ??= id;
  return {
    type: "BPE",
    dropout: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab,
  };
}

/** The special tokens around every text; null where there are none. */
function ends(metadata: MetadataReader, { tokens, bos, eos }: Vocabulary, addsBos: boolean): object | null {
  const token = (id: number | null): readonly { id: number; text: string }[] =>
    id === null ? [] : [{ id, text: tokens[id] ?? "" }];
  const before = (metadata.flag("tokenizer.ggml.add_bos_token") ?? addsBos) ? token(bos) : [];
  const after = (metadata.flag("tokenizer.ggml.add_eos_token") ?? false) ? token(eos) : [];
  if (before.length + after.length === 0) return null;
  const around = (sequence: string, typeId: number): object[] => [
    ...before.map(({ text }) => ({ SpecialToken: { id: text, type_id: typeId } })),
    { Sequence: { id: sequence, type_id: typeId } },
    ...after.map(({ text }) => ({ SpecialToken: { id: text, type_id: typeId } })),
  ];
  const special = [...before, ...after].map(({ id, text }) => [text, { id: text, ids: [id], tokens: [text] }]);
  return {
    type: "TemplateProcessing",
    single: around("A", 0),
    pair: [...around("A", 0), ...around("B", 1)],
    special_tokens: Object.fromEntries(special) as object,
  };
}
