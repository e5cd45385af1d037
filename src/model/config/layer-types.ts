/** The layers with a sliding window. `layer_types` states this for each layer and overrides the family's rule. */
import { AppError, quote } from "../../errors.ts";
import type { RawConfig } from "./config-reader.ts";

/**
 * @param slides the family's rule where `layer_types` is absent
 * @throws checkpoint_unsupported for an unknown layer type, checkpoint_invalid for a list of another length
 */
export function layerTypes(raw: RawConfig, numLayers: number, slides: (layer: number) => boolean): readonly boolean[] {
  const types = raw.layer_types ?? null;
  if (types === null) return Array.from({ length: numLayers }, (_, layer) => slides(layer));
  if (!Array.isArray(types) || types.length !== numLayers)
    throw new AppError(
      "checkpoint_invalid",
      `config.json: layer_types must have one type for each of the ${numLayers} layers, found ${Array.isArray(types) ? types.length : quote(types)}. Correct the list.`,
    );
  return (types as readonly unknown[]).map((type) => {
    if (type === "sliding_attention") return true;
    if (type === "full_attention") return false;
    throw new AppError(
      "checkpoint_unsupported",
      `config.json: layer_types names ${quote(type)}. Supported types are full_attention and sliding_attention.`,
    );
  });
}
