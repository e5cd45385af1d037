/** Phi-3: Llama with q, k, v in one matrix and gate and up in another, perhaps turning only a part of each head. Defaults of Phi3Config. */
import { type RawConfig, readCount, withDefaults } from "../config-reader.ts";
import type { ModelConfig } from "../model-config.ts";
import { readPartialRope } from "../rope-config.ts";
import { readLlama } from "./llama.ts";

export function readPhi3(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 32064,
    hidden_size: 3072,
    intermediate_size: 8192,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
  };
  const given = withDefaults(raw, defaults);
  const whole = { partial_rotary_factor: 1, rope_parameters: null, rope_scaling: null };
  const config = readLlama({ ...given, ...whole, head_dim: null, attention_bias: false, mlp_bias: false });
  const rope = readPartialRope(given, 10000, config.headSize);
  const window = (raw.sliding_window ?? null) === null ? null : readCount(raw, "sliding_window", 1);
  const modules = {
    qkv: ["self_attn.qkv_proj"],
    output: "self_attn.o_proj",
    mlpIn: ["mlp.gate_up_proj"],
    down: "mlp.down_proj",
  };
  return { ...config, family: "phi3", modules, ropes: [rope], windows: config.windows.map(() => window) };
}
