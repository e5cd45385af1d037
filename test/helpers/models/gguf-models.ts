/** A toy Llama as a GGUF file, with a byte-level tokenizer or with pieces; tests change it where they want to. */
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type GgufSpec,
  type TensorSpec,
  type Value,
  float32,
  float32Tensor,
  float32s,
  ggufBytes,
  int32s,
  text,
  texts,
  uint32,
} from "./gguf.ts";

const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED] = [1, 2, 3, 4, 5];
/** Tokens of a byte-level BPE: enough letters for a word, two specials, a filler. */
export const TOKENS = ["a", "b", "c", "Ġ", "ab", "abc", "<s>", "</s>", "<|im_end|>", "<tool>", "[PAD10]", "1"];
const KINDS = [NORMAL, NORMAL, NORMAL, NORMAL, NORMAL, NORMAL, CONTROL, CONTROL, CONTROL, USER_DEFINED, UNUSED, NORMAL];

export type Metadata = Readonly<Record<string, Value>>;

export const MODEL: Metadata = {
  "general.architecture": text("llama"),
  "llama.context_length": uint32(32),
  "llama.embedding_length": uint32(8),
  "llama.block_count": uint32(1),
  "llama.feed_forward_length": uint32(4),
  "llama.attention.head_count": uint32(2),
  "llama.attention.head_count_kv": uint32(1),
  "llama.attention.layer_norm_rms_epsilon": float32(1e-5),
};
export const BPE: Metadata = {
  "tokenizer.ggml.model": text("gpt2"),
  "tokenizer.ggml.pre": text("llama-bpe"),
  "tokenizer.ggml.tokens": texts(TOKENS),
  "tokenizer.ggml.token_type": int32s(KINDS),
  "tokenizer.ggml.merges": texts(["a b", "ab c"]),
  "tokenizer.ggml.bos_token_id": uint32(6),
  "tokenizer.ggml.eos_token_id": uint32(7),
};
export const PIECES = ["<unk>", "<s>", "</s>", "a", "b", "ab", "▁", "▁a", "    "];
export const SENTENCEPIECE: Metadata = {
  "tokenizer.ggml.model": text("llama"),
  "tokenizer.ggml.tokens": texts(PIECES),
  "tokenizer.ggml.token_type": int32s([UNKNOWN, CONTROL, CONTROL, 1, 1, 1, 1, 1, 1]),
  "tokenizer.ggml.scores": float32s([0, 0, 0, -3, -4, -1, -5, -2, -6]),
};
export const zeros = (name: string, ...shape: number[]): TensorSpec =>
  float32Tensor(
    name,
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 0),
  );
export const tensorsOf = (vocabSize: number): readonly TensorSpec[] => [
  zeros("token_embd.weight", vocabSize, 8),
  zeros("output_norm.weight", 8),
  zeros("blk.0.attn_norm.weight", 8),
  zeros("blk.0.attn_q.weight", 8, 8),
  zeros("blk.0.attn_k.weight", 4, 8),
  zeros("blk.0.attn_v.weight", 4, 8),
  zeros("blk.0.attn_output.weight", 8, 8),
  zeros("blk.0.ffn_norm.weight", 8),
  zeros("blk.0.ffn_gate.weight", 4, 8),
  zeros("blk.0.ffn_up.weight", 4, 8),
  zeros("blk.0.ffn_down.weight", 8, 4),
];
export const TENSORS = tensorsOf(TOKENS.length);

/** Writes a file into `folder`. @returns its path */
export function writeGguf(folder: string, metadata: Metadata, tensors = TENSORS, rest: GgufSpec = {}): string {
  const path = join(folder, `${randomUUID()}.gguf`);
  writeFileSync(path, ggufBytes({ ...rest, metadata, tensors }));
  return path;
}

/** The metadata but for one key. */
export function without(metadata: Metadata, key: string): Metadata {
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => name !== key));
}
