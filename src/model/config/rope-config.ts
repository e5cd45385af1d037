/**
 * Reads rotary settings from `config.json`, in both spellings:
 * `rope_parameters` (transformers 5), `rope_theta` + `rope_scaling` (4).
 */
import { AppError } from "../../errors.ts";
import { type RawConfig, readCount, readNumber, readObject, unsupported } from "./config-reader.ts";
import type { RopeConfig, RopeScaling } from "./model-config.ts";

/**
 * Settings that rotate whole heads. @throws checkpoint_unsupported for
 * an unknown kind of scaling, or for rotation of a part of each head
 */
export function readRope(raw: RawConfig, defaultTheta: number, headSize: number): RopeConfig {
  const rope = readPartialRope(raw, defaultTheta, headSize);
  if (rope.rotaryDim !== headSize)
    throw unsupported("partial_rotary_factor", rope.rotaryDim / headSize, "1 in this family");
  return rope;
}

/** Settings of a family that may rotate only the leading part of each head. */
export function readPartialRope(raw: RawConfig, defaultTheta: number, headSize: number): RopeConfig {
  // Where both spellings exist, transformers uses the older one and ignores the newer.
  const settings = given(readObject(raw, "rope_scaling")) ?? given(readObject(raw, "rope_parameters")) ?? {};
  const byType = ["full_attention", "sliding_attention"].find((type) => type in settings);
  if (byType !== undefined) throw unsupported("rope_parameters", settings, "one entry for all layers in this family");
  const from = (key: string): RawConfig => (settings[key] === undefined ? raw : settings);
  const theta = readNumber(from("rope_theta"), "rope_theta", defaultTheta);
  const rotaryDim = Math.trunc(headSize * readNumber(from("partial_rotary_factor"), "partial_rotary_factor", 1));
  return { theta, rotaryDim, scaling: readScaling(settings, raw, rotaryDim / 2) };
}

function given(settings: RawConfig | null): RawConfig | null {
  return settings && Object.keys(settings).length > 0 ? settings : null;
}

function readScaling(scaling: RawConfig, raw: RawConfig, numPairs: number): RopeScaling {
  const type = scaling.rope_type ?? scaling.type ?? "default";
  // `dynamic` scaling begins beyond the model's positions, which are never served.
  if (type === "default" || type === "dynamic") return { type: "default" };
  const factor = (): number => readNumber(scaling, "factor", Number.NaN);
  if (type === "linear") return { type, factor: factor() };
  // NOTE: the key beside the settings overrides the key among them, as in transformers.
  const original = "original_max_position_embeddings";
  const maxPositions = readCount(raw, "max_position_embeddings", 2048);
  const originalMaxPositions = readCount(raw, original, readCount(scaling, original, maxPositions));
  if (type === "llama3")
    return {
      type,
      factor: factor(),
      lowFrequencyFactor: readNumber(scaling, "low_freq_factor", Number.NaN),
      highFrequencyFactor: readNumber(scaling, "high_freq_factor", Number.NaN),
      originalMaxPositions,
    };
  if (type === "yarn")
    return {
      type,
      factor: factor(),
      betaFast: readNumber(scaling, "beta_fast", 32),
      betaSlow: readNumber(scaling, "beta_slow", 1),
      originalMaxPositions,
      attentionFactor: yarnAttentionFactor(scaling, factor()),
      isTruncated: scaling.truncate !== false,
    };
  if (type === "longrope" || type === "su")
    return {
      type: "longrope",
      shortFactors: readFactors(scaling, "short_factor", numPairs),
      originalMaxPositions,
      attentionFactor: longropeAttentionFactor(scaling, maxPositions, originalMaxPositions),
    };
  throw unsupported("rope_type", type, "default, linear, dynamic, llama3, yarn, longrope");
}

function readFactors(scaling: RawConfig, key: string, count: number): readonly number[] {
  const list: readonly unknown[] = Array.isArray(scaling[key]) ? scaling[key] : [];
  if (list.length !== count)
    throw new AppError(
      "checkpoint_invalid",
      `config.json: ${key} must be a list of ${count} numbers, but has ${list.length}.`,
    );
  return list.map((_, i) => readNumber({ [key]: list[i] ?? "nothing" }, key, 1));
}

function longropeAttentionFactor(scaling: RawConfig, maxPositions: number, originalMaxPositions: number): number {
  if ((scaling.attention_factor ?? null) !== null) return readNumber(scaling, "attention_factor", 1);
  const factor = readNumber(scaling, "factor", maxPositions / originalMaxPositions);
  return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions));
}

/** Computed as in transformers: the given value, or from the two `mscale` settings, or only from the factor. */
function yarnAttentionFactor(scaling: RawConfig, factor: number): number {
  if (typeof scaling.attention_factor === "number") return readNumber(scaling, "attention_factor", 1);
  const magnitude = (mscale: number): number => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1);
  if (scaling.mscale && scaling.mscale_all_dim)
    return magnitude(readNumber(scaling, "mscale", 1)) / magnitude(readNumber(scaling, "mscale_all_dim", 1));
  return magnitude(1);
}
