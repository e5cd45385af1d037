/** SmolLM3: Llama with some layers without positions. Defaults of transformers' SmolLM3Config. */
import { AppError } from "../../errors.ts";
import { type RawConfig, readCount, readFlag, withDefaults } from "../config/config-reader.ts";
import { layerTypes } from "../config/layer-types.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { readLlama } from "./llama.ts";

export function readSmolLm3(raw: RawConfig): ModelConfig {
  const defaults = {
    vocab_size: 128256,
    hidden_size: 2048,
    num_hidden_layers: 36,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    max_position_embeddings: 32768,
    tie_word_embeddings: true,
  };
  const theta = { rope_theta: raw.rope_theta ?? 2_000_000 };
  const config = readLlama({ ...withDefaults(raw, defaults), ...theta });
  const turns = layersThatTurn(raw, config.numLayers);
  const window = (raw.sliding_window ?? null) === null ? null : readCount(raw, "sliding_window", 1);
  // NOTE: the switch only applies where layer_types are absent. Given layer_types are valid without it.
  const isOn = readFlag(raw, "use_sliding_window", false);
  const slides = layerTypes(raw, config.numLayers, (layer) => isOn && turns[layer] === false);
  return {
    ...config,
    family: "smollm3",
    layerRopes: turns.map((does) => (does ? 0 : null)),
    windows: slides.map((does) => (does ? window : null)),
  };
}

/**
 * NOTE: a 1 in `no_rope_layers` means that the layer does rotate. Without the list, every n-th layer does not rotate.
 */
function layersThatTurn(raw: RawConfig, numLayers: number): readonly boolean[] {
  const list = raw.no_rope_layers ?? null;
  const interval = readCount(raw, "no_rope_layer_interval", 4);
  if (list === null) return Array.from({ length: numLayers }, (_, layer) => (layer + 1) % interval !== 0);
  if (!Array.isArray(list) || list.length < numLayers)
    throw new AppError("checkpoint_invalid", `config.json: no_rope_layers must name each of the ${numLayers} layers.`);
  return (list as readonly unknown[]).slice(0, numLayers).map((value) => value === 1 || value === true);
}
