/** Sizes of the demo: the shipped one, and a toy that runs the same chain in a minute or two. Data alone. */

/** One run of `mosara train --method full`; it starts from the one before. */
export interface Leg {
  readonly name: string;
  readonly steps: number;
  readonly rate: number;
  readonly warmup: number;
  /** Which lines of the corpus; legs do not share any. */
  readonly seed: number;
  readonly lines: number;
  /** More of what the leg before was weak at. */
  readonly practice: boolean;
}

export interface DemoPlan {
  readonly config: Readonly<Record<string, unknown>>;
  /** Lines that pretraining watches. */
  readonly heldOut: number;
  /** Held-out lines of each part that the card is measured on. */
  readonly cardLines: number;
  readonly legs: readonly Leg[];
  readonly adapterSteps: number;
  readonly adapterExamples: number;
  readonly adapterHeldOut: number;
  /** null: all. */
  readonly adapters: readonly string[] | null;
}

export const CHAT_TEMPLATE =
  "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
export const SPECIAL_TOKENS = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"];
export const DEVIATION = 0.02;
export const VOCAB_SIZE = 2048;
export const BATCH_SIZE = 16;

const SHARED = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: VOCAB_SIZE,
  max_position_embeddings: 1024,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: "silu",
  tie_word_embeddings: true,
  attention_bias: true,
  initializer_range: DEVIATION,
  bos_token_id: null,
  eos_token_id: 0,
};

/** 3.3 M parameters. */
export const SHIPPED: DemoPlan = {
  config: {
    ...SHARED,
    hidden_size: 256,
    intermediate_size: 512,
    num_hidden_layers: 5,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    head_dim: 32,
  },
  heldOut: 200,
  cardLines: 300,
  legs: [
    { name: "base-1", steps: 3000, rate: 0.002, warmup: 100, seed: 1, lines: 48_000, practice: false },
    { name: "base-2", steps: 3600, rate: 0.0015, warmup: 100, seed: 2, lines: 60_000, practice: true },
  ],
  adapterSteps: 200,
  adapterExamples: 2000,
  adapterHeldOut: 240,
  adapters: null,
};

export const TOY: DemoPlan = {
  config: {
    ...SHARED,
    hidden_size: 192,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 32,
  },
  heldOut: 8,
  cardLines: 2,
  legs: [
    { name: "base-1", steps: 3, rate: 0.002, warmup: 1, seed: 1, lines: 400, practice: false },
    { name: "base-2", steps: 2, rate: 0.001, warmup: 1, seed: 2, lines: 100, practice: true },
  ],
  adapterSteps: 2,
  adapterExamples: 24,
  adapterHeldOut: 8,
  adapters: ["pirate", "library"],
};
