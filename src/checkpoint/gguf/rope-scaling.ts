/**
 * Reads the position scaling of a GGUF file: settings in its metadata, or computed factors in small tensors.
 * Llama 3's factors are converted back to their settings, so that the model is identical to its checkpoint.
 */
import { AppError, quote } from "../../errors.ts";
import type { RawConfig } from "../../model/config/config-reader.ts";
import type { ConfigSource } from "./architecture-settings.ts";
import { type MetadataReader, shortestDecimal } from "./metadata-reader.ts";

/** The settings of `rope.scaling.*`, as `rope_scaling` of a config.json. @throws {AppError} checkpoint_unsupported */
export function metadataScaling(metadata: MetadataReader): RawConfig | null {
  const number = (key: string): number | undefined => metadata.number(metadata.own(`rope.scaling.${key}`));
  const given = metadata.text(metadata.own("rope.scaling.type"));
  // Files from 2023 only have a divisor of positions.
  const factor = number("factor") ?? metadata.number(metadata.own("rope.scale_linear"));
  const type = given ?? (factor === undefined ? "none" : "linear");
  const magnitude = number("attn_factor") ?? 1;
  if (magnitude !== 1 && metadata.architecture !== "phi3")
    throw new AppError(
      "checkpoint_unsupported",
      `${metadata.path}: ${metadata.own("rope.scaling.attn_factor")} ${magnitude} is not supported in this architecture; supported: 1. Use another model.`,
    );
  if (type === "none" || factor === undefined || factor === 0) return null;
  if (type === "linear") return factor === 1 ? null : { rope_type: "linear", factor };
  if (type === "yarn") return yarnScaling(metadata, factor);
  throw new AppError(
    "checkpoint_unsupported",
    `${metadata.path}: ${metadata.own("rope.scaling.type")} ${quote(type)} is not supported; supported: none, linear, yarn. Use another model.`,
  );
}

function yarnScaling(metadata: MetadataReader, factor: number): RawConfig {
  const number = (key: string): number | undefined => metadata.number(metadata.own(`rope.scaling.${key}`));
  const extrapolation = number("yarn_ext_factor") ?? 1;
  if (extrapolation !== 1)
    throw new AppError(
      "checkpoint_unsupported",
      `${metadata.path}: ${metadata.own("rope.scaling.yarn_ext_factor")} ${extrapolation} is not supported; supported: 1. Use another model.`,
    );
  const original = metadata.count(metadata.own("rope.scaling.original_context_length"));
  const optional = {
    original_max_position_embeddings: original,
    attention_factor: number("yarn_attn_factor"),
    beta_fast: number("yarn_beta_fast"),
    beta_slow: number("yarn_beta_slow"),
  };
  const isGiven = ([, value]: [string, unknown]): boolean => value !== undefined;
  return { rope_type: "yarn", factor, ...Object.fromEntries(Object.entries(optional).filter(isGiven)) };
}

const FREQUENCIES = "rope_freqs.weight";
/** Possible training context lengths, that of Llama 3 first. */
const ORIGINAL_LENGTHS = [8192, ...Array.from({ length: 16 }, (_, i) => 2 ** (i + 5))];
const LOW_FACTOR = 1;
const HIGH_FACTOR = 4;
// Allowed difference: the factors were computed by a few float32 operations.
const FACTOR_TOLERANCE = 1e-5;

/**
 * Frequency divisors from a tensor of the file. If they were computed from Llama 3's settings, this returns those
 * settings.
 */
export async function frequencyScaling(source: ConfigSource): Promise<RawConfig | null> {
  if (!source.hasTensor(FREQUENCIES)) return null;
  const { metadata } = source;
  const factors = await source.readFactors(FREQUENCIES);
  const theta = metadata.number(metadata.own("rope.freq_base")) ?? 10000;
  const factor = shortestDecimal(factors.reduce((most, one) => Math.max(most, one), 0));
  const original = ORIGINAL_LENGTHS.find((length) => {
    const wanted = llama3Factors(factors.length, theta, factor, length);
    return wanted.every((one, i) => Math.abs(one / (factors[i] ?? 0) - 1) < FACTOR_TOLERANCE);
  });
  if (original !== undefined)
    return {
      rope_type: "llama3",
      factor,
      low_freq_factor: LOW_FACTOR,
      high_freq_factor: HIGH_FACTOR,
      original_max_position_embeddings: original,
    };
  const list = Array.from(factors);
  const length = metadata.requiredCount(metadata.own("context_length"));
  return {
    rope_type: "longrope",
    short_factor: list,
    long_factor: list,
    attention_factor: 1,
    original_max_position_embeddings: length,
  };
}

/**
 * Source: transformers, `_compute_llama3_parameters`. Short waves stay, long waves are divided by the factor, and a
 * band between them is interpolated.
 */
function llama3Factors(numPairs: number, theta: number, factor: number, originalLength: number): readonly number[] {
  return Array.from({ length: numPairs }, (_, pair) => {
    const wavelength = 2 * Math.PI * theta ** (pair / numPairs);
    if (wavelength < originalLength / HIGH_FACTOR) return 1;
    if (wavelength > originalLength / LOW_FACTOR) return factor;
    const smooth = (originalLength / wavelength - LOW_FACTOR) / (HIGH_FACTOR - LOW_FACTOR);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** Phi-3's two lists of divisors; null where the file has none. */
export async function longropeScaling(source: ConfigSource, maxPositions: number): Promise<RawConfig | null> {
  const { metadata } = source;
  const [short, long] = ["rope_factors_short.weight", "rope_factors_long.weight"];
  if (!source.hasTensor(short) || !source.hasTensor(long)) return null;
  const original = metadata.requiredCount(metadata.own("rope.scaling.original_context_length"));
  const given = metadata.number(metadata.own("rope.scaling.attn_factor"));
  const scale = maxPositions / original;
  const computed = scale <= 1 ? 1 : Math.sqrt(1 + Math.log(scale) / Math.log(original));
  const isComputed = given === undefined || Math.fround(given) === Math.fround(computed);
  return {
    type: "longrope",
    short_factor: Array.from(await source.readFactors(short)),
    long_factor: Array.from(await source.readFactors(long)),
    ...(isComputed ? {} : { attention_factor: given }),
  };
}
