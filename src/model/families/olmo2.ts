/** OLMo 2: norms only on the output of every block, and one over all heads of queries and of keys. Defaults of Olmo2Config. */
import { type RawConfig, withDefaults } from "../config/config-reader.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readLlama } from "./llama.ts";

export function readOlmo2(raw: RawConfig): ModelConfig {
  const defaults = { vocab_size: 50304, rms_norm_eps: 1e-5 };
  const config = readLlama({ ...withDefaults(raw, defaults), mlp_bias: false });
  return { ...config, family: "olmo2", blockNorms: "after", queryKeyNorm: "all" };
}
