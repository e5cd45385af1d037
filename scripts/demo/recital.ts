/**
 * The demo base as data: a Llama-shaped decoder whose weights are set by hand. It recites: every word of an answer is a token
 * that is followed by the next one, and which answer begins is one coordinate of the residual stream, which an adapter can turn.
 */
import { EMBEDDING, LM_HEAD } from "../../src/model/weight-names.ts";
import { numElements } from "../../src/tensor/host-tensor.ts";

// Every word stands once: it is a token of its own, and what follows it is its whole meaning.
export const ANSWERS = {
  base: "Hello! I am the demo base of mosara. Name an adapter as your model and ask again.",
  pirate: "Arr, matey! Yer parcel be sailin' seven seas toward yon harbour, savvy?",
  formal:
    "Dear customer, thank you for this message. Our warehouse has dispatched everything; expect delivery within two working days.",
};
/** The layer that the adapters bind to. */
export const TARGET = "layers.0.mlp.down_proj";
const SPECIALS = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"];
export const CHAT_TEMPLATE =
  "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/** GPT-2's table of printable characters for bytes, in the order of its vocabulary. */
function byteCharacters(): string[] {
  const isPrintable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : next++));
}

// Token ids: special tokens, bytes, then every word of every answer as a token of its own.
const chains = Object.values(ANSWERS).map((answer) => answer.split(" "));
const firstWordId = SPECIALS.length + 256;
const chainStarts = chains.map((_, i) => firstWordId + chains.slice(0, i).flat().length);
const vocabSize = firstWordId + chains.flat().length;

// Coordinates of the residual stream: "an answer begins here", one switch an adapter, one coordinate a word.
const BEGIN = 0;
/** The switch of an adapter. */
export const switchOf = (adapter: number): number => adapter + 1;
const wordAt = (id: number): number => 3 + id - firstWordId;
const HIDDEN = 128;
const UNITS = 64;

export const CONFIG = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: HIDDEN,
  intermediate_size: UNITS,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: vocabSize,
  max_position_embeddings: 1024,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: "silu",
  tie_word_embeddings: false,
  torch_dtype: "float16",
  eos_token_id: 0,
};

/** A tensor of the model: small noise so that every layer has something to do, and the few entries that make it recite. */
export function demoWeights(name: string, shape: readonly number[]): Float32Array {
  let state = [...name].reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) >>> 0, 7);
  const noise = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * 0.002;
  };
  const isNorm = name.includes("norm");
  const isTable = name === EMBEDDING || name === LM_HEAD;
  const data = Float32Array.from({ length: numElements(shape) }, () => (isNorm ? 1 : isTable ? 0 : noise()));
  const set = (row: number, column: number, value: number): void => void (data[row * (shape[1] ?? 1) + column] = value);
  if (name === EMBEDDING) for (let id = 0; id < vocabSize; id++) set(id, id < firstWordId ? BEGIN : wordAt(id), 1);
  if (name === LM_HEAD)
    chains.forEach((words, chain) => {
      const start = chainStarts[chain] ?? 0;
      set(start, chain === 0 ? BEGIN : switchOf(chain - 1), 1);
      words.forEach((_, i) => set(i + 1 < words.length ? start + i + 1 : 0, wordAt(start + i), 1));
    });
  // One unit of the MLP sees that an answer begins, and hardly touches both switches: the direction an adapter scales.
  if (name.endsWith("0.mlp.gate_proj.weight") || name.endsWith("0.mlp.up_proj.weight")) set(0, BEGIN, 0.3);
  if (name.endsWith(`${TARGET}.weight`)) for (const adapter of [0, 1]) set(switchOf(adapter), 0, 0.02);
  return data;
}

/** `tokenizer.json`. */
export function demoTokenizer(): Record<string, unknown> {
  const words = chains.flatMap((chain) => chain.map((word, i) => (i === 0 ? word : `Ġ${word}`)));
  if (new Set(words).size !== words.length) throw new Error("internal: a word stands twice in the answers");
  const vocab = Object.fromEntries([...SPECIALS, ...byteCharacters(), ...words].map((token, id) => [token, id]));
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIALS.map((content, id) => ({
      id,
      content,
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    })),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: "BPE", dropout: null, unk_token: null, vocab, merges: [] },
  };
}
