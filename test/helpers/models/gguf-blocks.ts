/** A toy Llama in blocks: a GGUF file that was quantised before. */
import { float32ToFloat16 } from "../../../src/tensor/float16.ts";
import { noise } from "./checkpoints.ts";
import { type TensorSpec, float32Tensor, uint32 } from "./gguf.ts";
import { BPE, MODEL, TOKENS, writeGguf } from "./gguf-models.ts";

/** Types by their numbers in the file: values and bytes of a block, and where its numbers in binary16 lie. */
const TYPES = {
  Q4_0: { id: 2, values: 32, bytes: 18, halves: [0] },
  Q4_1: { id: 3, values: 32, bytes: 20, halves: [0, 2] },
  Q5_0: { id: 6, values: 32, bytes: 22, halves: [0] },
  Q8_0: { id: 8, values: 32, bytes: 34, halves: [0] },
  Q4_K: { id: 12, values: 256, bytes: 144, halves: [0, 2] },
};

/** Random blocks with scales around `scale`, whose levels need not reach the ends of their range. */
function blocks(name: string, type: keyof typeof TYPES, rows: number, columns: number, next: () => number): TensorSpec {
  const { id, values, bytes, halves } = TYPES[type];
  const data = Uint8Array.from({ length: ((rows * columns) / values) * bytes }, () => Math.floor((next() + 1) * 127));
  for (let at = 0; at < data.length; at += bytes)
    for (const half of halves) {
      const [bits = 0] = float32ToFloat16(Float32Array.of(0.02 * next()));
      data.set([bits & 255, bits >> 8], at + half);
    }
  return { name, sizes: [columns, rows], type: id, data };
}

const ones = (name: string): TensorSpec =>
  float32Tensor(
    name,
    [32],
    Array.from({ length: 32 }, () => 1),
  );
/** Writes a toy model with random blocks of several types. @returns its path */
export function quantizedGguf(folder: string): string {
  const next = noise(4);
  return writeGguf(
    folder,
    {
      ...MODEL,
      ...BPE,
      "llama.embedding_length": uint32(32),
      "llama.feed_forward_length": uint32(256),
    },
    [
      blocks("token_embd.weight", "Q8_0", TOKENS.length, 32, next),
      ones("output_norm.weight"),
      ones("blk.0.attn_norm.weight"),
      ones("blk.0.ffn_norm.weight"),
      blocks("blk.0.attn_q.weight", "Q4_1", 32, 32, next),
      blocks("blk.0.attn_k.weight", "Q4_1", 16, 32, next),
      blocks("blk.0.attn_v.weight", "Q4_1", 16, 32, next),
      blocks("blk.0.attn_output.weight", "Q4_0", 32, 32, next),
      blocks("blk.0.ffn_gate.weight", "Q5_0", 256, 32, next),
      blocks("blk.0.ffn_up.weight", "Q8_0", 256, 32, next),
      blocks("blk.0.ffn_down.weight", "Q4_K", 32, 256, next),
    ],
  );
}
