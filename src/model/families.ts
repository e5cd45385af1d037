/** The decoder families: `model_type` → how its `config.json` is read. A new family is one file and one line here. */
import { AppError } from "../errors.ts";
import type { RawConfig } from "./config-reader.ts";
import { readLlama } from "./families/llama.ts";
import { readMistral } from "./families/mistral.ts";
import { readQwen2 } from "./families/qwen2.ts";
import type { ModelConfig } from "./model-config.ts";

const FAMILIES: Readonly<Record<string, (raw: RawConfig) => ModelConfig>> = {
  llama: readLlama,
  mistral: readMistral,
  qwen2: readQwen2,
};

/**
 * The model that a `config.json` describes.
 * @throws {AppError} checkpoint_unsupported for an unknown family (naming the known ones) or setting, checkpoint_invalid
 */
export function parseModelConfig(raw: RawConfig): ModelConfig {
  const known = Object.keys(FAMILIES).join(", ");
  const type = raw.model_type;
  const read = typeof type === "string" && Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : undefined;
  if (!read)
    throw new AppError(
      "checkpoint_unsupported",
      `config.json: model_type ${JSON.stringify(type)} is not supported; known: ${known}.`,
    );
  if (raw.quantization_config)
    throw new AppError(
      "checkpoint_unsupported",
      "config.json: quantization_config: give the unquantised checkpoint; mosara build quantises it.",
    );
  const config = read(raw);
  if (config.numHeads % config.numKvHeads !== 0)
    throw new AppError(
      "checkpoint_invalid",
      `config.json: ${config.numHeads} attention heads do not share ${config.numKvHeads} key/value heads evenly.`,
    );
  if (config.headSize % 2 !== 0)
    throw new AppError(
      "checkpoint_invalid",
      `config.json: rotary positions need an even head size, it is ${config.headSize}.`,
    );
  return config;
}
