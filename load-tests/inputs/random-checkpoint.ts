/**
 * A checkpoint of any Qwen2 shape with seeded random weights, for measuring: speed does not depend on what a model
 * knows. Matrices and biases are N(0, 0.02) and norms are 1, so activations and logits have the size of a real model's.
 * The tokenizer works (one token per byte; the rest of the vocabulary are made-up words). Tensors are streamed, so only
 * one is in memory.
 */
// Indices are bounded by their loops, hence `!`.
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { requiredTensors } from "../../src/model/required-tensors.ts";
import { type HostTensor, fromFloat32, hostTensor, numElements } from "../../src/tensor/host-tensor.ts";
import { nextUint32, seedRandom } from "../../src/tensor/random.ts";
import { randomNormals } from "./random-values.ts";

/** What distinguishes one random checkpoint from another. */
export interface CheckpointShape {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly ffn: number;
  readonly vocab: number;
  readonly isTied: boolean;
  readonly dtype: "bfloat16" | "float16" | "float32";
  readonly seed: number;
}

/** Qwen2 with 0.5 B parameters. */
export const HALF_BILLION: CheckpointShape = {
  layers: 24,
  hidden: 896,
  heads: 14,
  kvHeads: 2,
  ffn: 4864,
  vocab: 151_936,
  isTied: true,
  dtype: "bfloat16",
  seed: 1,
};

/** Small enough for a test. */
export const SMOKE: CheckpointShape = {
  ...HALF_BILLION,
  layers: 2,
  hidden: 64,
  heads: 4,
  kvHeads: 2,
  ffn: 160,
  vocab: 512,
};

const STANDARD_DEVIATION = 0.02;
const END_TOKEN = "<|endoftext|>";
/** Raised when the same shape gives other files: what lies in a work folder is then made anew. */
const GENERATOR_VERSION = 1;

/** The checkpoint's directory under `folder`; generated at the first call. */
export async function randomCheckpoint(folder: string, shape: CheckpointShape): Promise<string> {
  const key = createHash("sha256")
    .update(JSON.stringify([GENERATOR_VERSION, shape]))
    .digest("hex")
    .slice(0, 12);
  const dir = join(folder, `checkpoint-${key}`);
  if (existsSync(dir)) return dir;
  const temporary = `${dir}.${randomUUID()}`;
  await mkdir(temporary, { recursive: true });
  try {
    await writeCheckpoint(temporary, shape);
    await rename(temporary, dir);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  return dir;
}

async function writeCheckpoint(dir: string, shape: CheckpointShape): Promise<void> {
  const config = configOf(shape);
  const json = (name: string, value: unknown): Promise<void> => writeFile(join(dir, name), JSON.stringify(value));
  await json("config.json", config);
  await json("generation_config.json", { eos_token_id: 0 });
  await json("tokenizer.json", tokenizerOf(shape.vocab));
  await json("tokenizer_config.json", {
    tokenizer_class: "PreTrainedTokenizerFast",
    eos_token: END_TOKEN,
    clean_up_tokenization_spaces: false,
    chat_template: "{% for message in messages %}{{ message.content }}{% endfor %}",
  });
  const tensors = requiredTensors(parseModelConfig(config), !shape.isTied);
  const shapes = new Map(tensors.map((tensor) => [tensor.name, tensor.shape]));
  const draw = normalBits(shape);
  await writeSafetensors(
    join(dir, "model.safetensors"),
    tensors.map((tensor) => ({ ...tensor, dtype: shape.dtype })),
    async (name) => tensorOf(name, shapes.get(name) ?? [], shape, draw),
    { format: "pt" },
  );
}

function configOf(shape: CheckpointShape) {
  return {
    architectures: ["Qwen2ForCausalLM"],
    model_type: "qwen2",
    hidden_size: shape.hidden,
    intermediate_size: shape.ffn,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    vocab_size: shape.vocab,
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    rope_theta: 1_000_000,
    hidden_act: "silu",
    tie_word_embeddings: shape.isTied,
    torch_dtype: shape.dtype,
    eos_token_id: 0,
  };
}

type DrawInto = (values: HostTensor["data"]) => void;

/**
 * Fills arrays with normally distributed values of the checkpoint's dtype: uniform draws from a table of them, since
 * half a billion draws by formula would take minutes.
 */
function normalBits({ dtype, seed }: CheckpointShape): DrawInto {
  const random = seedRandom(seed);
  const table = fromFloat32(randomNormals(2 ** 16, STANDARD_DEVIATION, random), dtype);
  return (values) => {
    for (let i = 0; i < values.length; i++) values[i] = table[nextUint32(random) >>> 16]!;
  };
}

function tensorOf(name: string, shape: readonly number[], { dtype }: CheckpointShape, draw: DrawInto): HostTensor {
  const size = numElements(shape);
  if (name.includes("norm")) return hostTensor(dtype, shape, fromFloat32(new Float32Array(size).fill(1), dtype));
  const data = dtype === "float32" ? new Float32Array(size) : new Uint16Array(size);
  draw(data);
  return hostTensor(dtype, shape, data);
}

/**
 * `tokenizer.json`: the end token, a token a byte (in GPT-2's letters for bytes), then words up to the vocabulary's
 * size.
 */
function tokenizerOf(vocabSize: number): Record<string, unknown> {
  const isPrintable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let nextLetter = 256;
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : nextLetter++));
  const words = Array.from({ length: vocabSize - bytes.length - 1 }, (_, i) => `Ġword${i}`);
  const vocab = Object.fromEntries([END_TOKEN, ...bytes, ...words].map((token, id) => [token, id]));
  return {
    version: "1.0",
    // Hugging Face's own reader refuses a token without all of these.
    added_tokens: [
      { id: 0, content: END_TOKEN, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    ],
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: "BPE", dropout: null, unk_token: null, vocab, merges: [] },
  };
}
