/**
 * Rotary settings of models whose sliding layers and full layers rotate differently. transformers 5 has one entry
 * a type in `rope_parameters`. Before, one set of keys belonged to the full layers.
 */
import { type RawConfig, readNumber, readObject, unsupported } from "./config-reader.ts";
import type { ModelConfig } from "./model-config.ts";
import { readRope } from "./rope-config.ts";

/** The class's defaults, and the older key of the sliding layers' theta. */
export interface TypedThetas {
  readonly full: number;
  readonly sliding: number;
  readonly slidingKey: string;
}

/** The configuration as readers of a single rope accept it. */
export function withoutTypedRopes(raw: RawConfig): RawConfig {
  return nested(raw) === null ? raw : { ...raw, rope_parameters: null };
}

/** The ropes of full and of sliding layers. @throws checkpoint_unsupported for `rope_parameters` without types */
export function readTypedRopes(raw: RawConfig, thetas: TypedThetas, headSize: number): ModelConfig["ropes"] {
  const byType = nested(raw);
  return byType ? nestedRopes(raw, byType, thetas, headSize) : separateRopes(raw, thetas, headSize);
}

function nested(raw: RawConfig): RawConfig | null {
  const byType = readObject(raw, "rope_parameters");
  if (byType === null || Object.keys(byType).length === 0) return null;
  if ("full_attention" in byType || "sliding_attention" in byType) return byType;
  throw unsupported("rope_parameters", byType, "one entry for full_attention and one for sliding_attention");
}

function nestedRopes(raw: RawConfig, byType: RawConfig, thetas: TypedThetas, headSize: number): ModelConfig["ropes"] {
  const rope = (settings: RawConfig, givenTheta: unknown, theta: number): ModelConfig["ropes"][number] =>
    readRope(
      // Of the other keys, only the thetas have a meaning here.
      {
        ...raw,
        rope_scaling: null,
        original_max_position_embeddings: null,
        rope_theta: givenTheta,
        rope_parameters: settings,
      },
      theta,
      headSize,
    );
  const full = { ...readObject(byType, "full_attention"), ...readObject(raw, "rope_scaling") };
  const sliding = { ...readObject(byType, "sliding_attention") };
  return [rope(full, raw.rope_theta, thetas.full), rope(sliding, raw[thetas.slidingKey], thetas.sliding)];
}

/** transformers 4: the sliding layers keep their own base frequency, unscaled. */
function separateRopes(raw: RawConfig, thetas: TypedThetas, headSize: number): ModelConfig["ropes"] {
  const sliding = {
    theta: readNumber(raw, thetas.slidingKey, thetas.sliding),
    rotaryDim: headSize,
    scaling: { type: "default" } as const,
  };
  return [readRope(raw, thetas.full, headSize), sliding];
}
