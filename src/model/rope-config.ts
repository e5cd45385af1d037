/** Rotary settings out of `config.json`, in both spellings: `rope_parameters` (transformers 5), `rope_theta` + `rope_scaling` (4). */
import { type RawConfig, readCount, readNumber, readObject, unsupported } from "./config-reader.ts";
import type { RopeConfig, RopeScaling } from "./model-config.ts";

/** @throws checkpoint_unsupported for a kind of scaling that is not known here */
export function readRope(raw: RawConfig, defaultTheta: number): RopeConfig {
  const parameters = readObject(raw, "rope_parameters");
  const scaling = parameters ?? readObject(raw, "rope_scaling") ?? {};
  const theta = readNumber(parameters?.rope_theta === undefined ? raw : parameters, "rope_theta", defaultTheta);
  const partial = readNumber(
    parameters?.partial_rotary_factor === undefined ? raw : parameters,
    "partial_rotary_factor",
    1,
  );
  if (partial !== 1) throw unsupported("partial_rotary_factor", partial, "1");
  return { theta, scaling: readScaling(scaling, raw) };
}

function readScaling(scaling: RawConfig, raw: RawConfig): RopeScaling {
  const type = scaling.rope_type ?? scaling.type ?? "default";
  if (type === "default") return { type };
  if (type === "linear") return { type, factor: readNumber(scaling, "factor", Number.NaN) };
  if (type === "llama3")
    return {
      type,
      factor: readNumber(scaling, "factor", Number.NaN),
      lowFrequencyFactor: readNumber(scaling, "low_freq_factor", Number.NaN),
      highFrequencyFactor: readNumber(scaling, "high_freq_factor", Number.NaN),
      originalMaxPositions: readCount(
        scaling,
        "original_max_position_embeddings",
        readCount(raw, "original_max_position_embeddings", readCount(raw, "max_position_embeddings", 2048)),
      ),
    };
  throw unsupported("rope_type", type, "default, linear, llama3");
}
