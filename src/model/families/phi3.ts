/**
 * Phi-3: Llama with q, k, v in one matrix and gate and up in another.
 * It may rotate only a part of each head. Defaults of Phi3Config.
 */
import { type RawConfig, readCount, unsupported, withDefaults } from "../config/config-reader.ts";
import { layerTypes } from "../config/layer-types.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readPartialRope } from "../config/rope-config.ts";
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
  const config = readLlama({ ...given, ...whole, attention_bias: false, mlp_bias: false });
  const rope = readPartialRope(given, 10000, config.headSize);
  // This family has one kind of scaling, longrope. It reads the name yarn as longrope too.
  if (rope.scaling.type !== "default" && rope.scaling.type !== "longrope")
    throw unsupported("rope_type", rope.scaling.type, "default, longrope in this family");
  const window = (raw.sliding_window ?? null) === null ? null : readCount(raw, "sliding_window", 1);
  if (layerTypes(raw, config.numLayers, () => window !== null).some((slides) => slides !== (window !== null)))
    throw unsupported("layer_types", raw.layer_types, "all layers alike in this family");
  const modules = {
    qkv: ["self_attn.qkv_proj"],
    output: "self_attn.o_proj",
    mlpIn: ["mlp.gate_up_proj"],
    down: "mlp.down_proj",
  };
  return { ...config, family: "phi3", modules, ropes: [rope], windows: config.windows.map(() => window) };
}
