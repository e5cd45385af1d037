/**
 * Detects quantised checkpoints: by config.json, by one of several
 * files beside it, or only by names and element types of tensors.
 * The refusal always names the method and the place that states it.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import type { RawConfig } from "../model/config/config-reader.ts";

/** @param what the method, and where the checkpoint states it */
export function quantised(dir: string, what: string, cause?: unknown): AppError {
  return new AppError(
    "checkpoint_unsupported",
    `${dir} is quantised: ${what}. Use the unquantised checkpoint. mosara build quantises it.`,
    cause === undefined ? {} : { cause },
  );
}

/** Files beside config.json, and the tool that writes each. */
const FILES: readonly { readonly name: string; readonly method: string }[] = [
  { name: "hf_quant_config.json", method: "ModelOpt" },
  { name: "quantize_config.json", method: "GPTQ" },
  { name: "quant_config.json", method: "AWQ" },
];

/** Name endings of the parts of a quantised weight; the first match counts. */
const SUFFIXES: readonly (readonly [suffix: RegExp, method: string])[] = [
  [/\.g_idx$/, "GPTQ"],
  [/\.(qweight|qzeros)$/, "GPTQ or AWQ"],
  [/\.(absmax|quant_map|nested_absmax|quant_state\.bitsandbytes__\w+)$/, "bitsandbytes, 4 bits"],
  [/\.(SCB|weight_format)$/, "bitsandbytes, 8 bits"],
  [/\.(weight_packed|weight_zero_point|weight_shape)$/, "compressed-tensors"],
  [/\.weight_scale_inv$/, "FP8 in blocks"],
  [/\.weight_scale(_2)?$/, "FP8 or another type with scales"],
  [/\.W_q$/, "HQQ"],
  [/\.(q_weight|q_invperm|q_groups)$/, "EXL2"],
  [/\.(trellis|suh|svh)$/, "EXL3"],
  [/\.Qidxs$/, "QuIP#"],
  [/\.(codes|codebooks)$/, "AQLM"],
  [/\.weight\._(data|scale)$/, "quanto"],
];
/** Endings that mean a quantised weight only where the weights themselves have an unexpected form. */
const DOUBTFUL_SUFFIXES: typeof SUFFIXES = [
  [/\.scales$/, "MLX, GPTQ or AWQ"],
  [/_(blocks|scales)$/, "MXFP4"],
  [/_scale$/, "FP8 or another type with scales"],
];

/** Refuses weights that are meaningless without their scales. @throws {AppError} checkpoint_unsupported */
export async function assertNotQuantised(dir: string, config: RawConfig, names: Iterable<string>): Promise<void> {
  const all = [...names];
  if (methodInNames(all, SUFFIXES) === null) return;
  throw quantised(dir, (await quantisationOf(dir, config, all, [])) ?? "by the names of its tensors");
}

/**
 * The method and the place that states it; null where no place does.
 * @param types the files' names of element types that are not known here
 */
export async function quantisationOf(
  dir: string,
  config: RawConfig,
  names: readonly string[],
  types: readonly string[],
): Promise<string | null> {
  return (
    methodInConfig(config) ??
    (await methodInFiles(dir)) ??
    methodInNames(names, [...SUFFIXES, ...DOUBTFUL_SUFFIXES]) ??
    methodInTypes(types)
  );
}

/** The statement of config.json. Its `quantization_config` is refused where the model's sizes are read. */
function methodInConfig(config: RawConfig): string | null {
  for (const key of ["compression_config", "quantization"]) {
    const value = config[key];
    if (typeof value !== "object" || value === null) continue;
    const { quant_method: method, bits, load_in_4bit: is4, load_in_8bit: is8 } = value as RawConfig;
    const name = typeof method === "string" ? method : key === "quantization" ? "MLX" : "a method without a name";
    const width = typeof bits === "number" ? bits : is4 === true ? 4 : is8 === true ? 8 : null;
    return `${name}${width === null ? "" : `, ${width} bits`} (${key} in config.json)`;
  }
  return null;
}

async function methodInFiles(dir: string): Promise<string | null> {
  for (const { name, method } of FILES) {
    const text = await readFile(join(dir, name), "utf8").catch(() => null); // most checkpoints have none
    if (text !== null) return `${methodInFile(text, method)} (${name})`;
  }
  return null;
}

/** @param usual the method of the tool that has the file's name; the content outranks it */
function methodInFile(text: string, usual: string): string {
  const { quantization, quant_method: named, w_bit: awqBits, bits } = objectIn(text);
  const algorithm = ((quantization ?? {}) as RawConfig).quant_algo;
  const method = typeof named === "string" ? named : typeof awqBits === "number" ? "AWQ" : usual;
  const width = [awqBits, bits].find((one) => typeof one === "number");
  return `${method}${typeof algorithm === "string" ? ` ${algorithm}` : ""}${width === undefined ? "" : `, ${String(width)} bits`}`;
}

function objectIn(text: string): RawConfig {
  try {
    return (JSON.parse(text) ?? {}) as RawConfig;
  } catch {
    return {}; // the existence of the file is evidence enough
  }
}

function methodInNames(names: readonly string[], suffixes: typeof SUFFIXES): string | null {
  for (const [suffix, method] of suffixes) {
    const name = names.find((one) => suffix.test(one));
    if (name !== undefined) return `${method} (the tensor ${name})`;
  }
  return null;
}

function methodInTypes(types: readonly string[]): string | null {
  const [type] = types;
  if (type === undefined) return null;
  return type.startsWith("F8") ? `FP8 (tensors of the type ${type})` : `tensors of the type ${type}`;
}
