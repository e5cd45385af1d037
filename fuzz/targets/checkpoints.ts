/** Files of models: GGUF, config.json, and the graph of a base. */
import { parseGgufHeader } from "../../src/formats/gguf/header.ts";
import { NeedsMoreBytes } from "../../src/formats/gguf/cursor.ts";
import { decodeModel, encodeModel, type OnnxModel } from "../../src/formats/onnx-proto.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { allLinears } from "../../src/model/linears.ts";
import { damagedBytes, joined } from "../inputs/bytes.ts";
import { damagedJson } from "../inputs/json.ts";
import { MAX_SECONDS, type Target } from "../target.ts";

const uint32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const uint64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const string = (text: string) => joined(uint64(Buffer.byteLength(text)), Buffer.from(text));
const TYPES = { uint32: 4, string: 8, array: 9 } as const;
const entry = (key: string, type: keyof typeof TYPES, value: Uint8Array) =>
  joined(string(key), uint32(TYPES[type]), value);

/** A whole file with two tensors (float32, Q8_0) and every kind of metadata that a model has. */
const GGUF = (() => {
  const metadata = [
    entry("general.architecture", "string", string("llama")),
    entry("general.alignment", "uint32", uint32(32)),
    entry("tokenizer.ggml.tokens", "array", joined(uint32(8), uint64(3), string("a"), string("b"), string("ab"))),
    entry("tokenizer.ggml.token_type", "array", joined(uint32(4), uint64(2), uint32(1), uint32(3))),
  ];
  const tensors = [
    joined(string("token_embd.weight"), uint32(2), uint64(4), uint64(2), uint32(0), uint64(0)),
    joined(string("output.weight"), uint32(2), uint64(32), uint64(2), uint32(8), uint64(32)),
  ];
  const magic = joined(Buffer.from("GGUF"), uint32(3), uint64(tensors.length), uint64(metadata.length));
  const head = joined(magic, ...metadata, ...tensors);
  return joined(head, new Uint8Array((32 - (head.length % 32)) % 32), new Uint8Array(32 + 68));
})();

const gguf: Target = {
  name: "gguf",
  makeInput: (random) => damagedBytes(GGUF, GGUF, random),
  read: (input) => {
    try {
      parseGgufHeader("x.gguf", input, input.length);
    } catch (error) {
      // The file's reader gives more bytes then. At the end of the file it refuses.
      if (!(error instanceof NeedsMoreBytes)) throw error;
    }
  },
  maxSeconds: MAX_SECONDS,
};

const small = { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 2, vocab_size: 50 };
const CONFIGS = [
  {
    model_type: "llama",
    ...small,
    num_key_value_heads: 1,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    max_position_embeddings: 64,
  },
  {
    model_type: "llama",
    ...small,
    rope_scaling: {
      rope_type: "llama3",
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 32,
    },
  },
  { model_type: "qwen3", ...small, head_dim: 8, tie_word_embeddings: true, use_sliding_window: false },
  {
    model_type: "gemma3_text",
    ...small,
    head_dim: 8,
    sliding_window: 16,
    query_pre_attn_scalar: 8,
    layer_types: ["sliding_attention", "full_attention"],
  },
  { model_type: "gpt2", n_embd: 16, n_layer: 2, n_head: 2, n_positions: 64, vocab_size: 50 },
  {
    model_type: "phi3",
    ...small,
    rope_scaling: { type: "longrope", short_factor: [1, 1, 1, 1], long_factor: [2, 2, 2, 2] },
  },
];
const CONFIG_WORDS = [
  ...new Set(CONFIGS.flatMap((config) => Object.keys(config))),
  "yarn",
  "dynamic",
  "linear",
  "mistral",
  "olmo2",
  "cohere2",
  "granite",
];

const config: Target = {
  name: "model-config",
  makeInput: (random) => damagedJson(random.one(CONFIGS), CONFIG_WORDS, random),
  read: (input) => {
    const raw = jsonObject(input);
    if (raw !== null) allLinears(parseModelConfig(raw));
  },
  maxSeconds: MAX_SECONDS,
};

/** The object in an input; null: the caller of the parser has refused it before. */
function jsonObject(input: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(input).toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

const GRAPH: Uint8Array = encodeModel({
  irVersion: 8,
  producerName: "mosara",
  opsetImport: [{ domain: "", version: 17 }],
  graph: {
    name: "g",
    node: [{ name: "n", opType: "MatMul", input: ["x", "w"], output: ["y"], attribute: [] }],
    initializer: [{ name: "w", dims: [2, 2], dataType: 1, rawData: new Uint8Array(16) }],
    input: [],
    output: [],
  },
} as unknown as OnnxModel);

const onnx: Target = {
  name: "onnx",
  makeInput: (random) => damagedBytes(GRAPH, GRAPH, random),
  read: (input) => void decodeModel(input),
  maxSeconds: MAX_SECONDS,
};

export const CHECKPOINT_TARGETS: readonly Target[] = [gguf, config, onnx];
