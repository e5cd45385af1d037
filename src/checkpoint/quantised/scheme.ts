/**
 * Reads `quantization_config`: which way of storing weights a checkpoint uses. Ways that are exact to unpack are
 * decoded, all others are refused by name. Source: transformers, utils/quantization_config.py; compressed-tensors,
 * quantization/quant_config.py.
 */
import { AppError, quote } from "../../errors.ts";
import type { RawConfig } from "../../model/config/config-reader.ts";
import { awqCodec } from "./awq.ts";
import type { WeightCodec } from "./coded-weight.ts";
import { gptqCodec } from "./gptq.ts";
import { packedCodec } from "./packed.ts";
import { type BlockShape, scaledCodec } from "./scaled.ts";

/** The key of config.json that names the method. */
export const SETTINGS_KEY = "quantization_config";

const READABLE =
  "GPTQ (4 or 8 bits), AWQ (4 bits, gemm), FP8 with scales (fp8, fbgemm_fp8, ModelOpt), compressed-tensors (4 or 8 bits, FP8)";

const METHODS: Readonly<Record<string, (settings: RawConfig) => readonly WeightCodec[]>> = {
  gptq: readGptq,
  awq: readAwq,
  fp8: (settings) => [scaledCodec(".weight_scale_inv", blockOf(settings, "weight_block_size"))],
  fbgemm_fp8: () => [scaledCodec(".weight_scale", null)],
  modelopt: readModelOpt,
  "compressed-tensors": readCompressed,
};

/**
 * The codecs of a checkpoint's quantised weights; null where its configuration states none.
 * @throws {AppError} checkpoint_unsupported, naming the method and what it has that is not read
 */
export function codecsOf(raw: RawConfig): readonly WeightCodec[] | null {
  const settings = raw[SETTINGS_KEY];
  if (!settings) return null;
  const given = settings as RawConfig;
  const method = typeof given.quant_method === "string" ? given.quant_method : "";
  const read = Object.hasOwn(METHODS, method) ? METHODS[method] : undefined;
  if (!read) throw refused(given, "");
  return read(given);
}

/** A sentence for the user if the checkpoint is made for kernels that also round activations; otherwise null. */
export function activationNotice(raw: RawConfig): string | null {
  const settings = (raw[SETTINGS_KEY] ?? {}) as RawConfig;
  const { quant_method: method, config_groups: groups } = settings;
  const roundsInGroup = Object.values((groups ?? {}) as Record<string, RawConfig>).some(
    ({ input_activations: activations }) => (activations ?? null) !== null,
  );
  if (!["fp8", "fbgemm_fp8", "modelopt"].includes(String(method)) && !roundsInGroup) return null;
  return `The checkpoint is made for kernels that round activations, too (${SETTINGS_KEY} of config.json). Here activations are not rounded, so logits differ slightly from those of such kernels.`;
}

function refused(settings: RawConfig, why: string): AppError {
  const { quant_method: method, bits } = settings;
  const name = typeof method === "string" ? ` says ${method}${typeof bits === "number" ? `, ${bits} bits` : ""}` : "";
  return new AppError(
    "checkpoint_unsupported",
    `config.json: the checkpoint is quantised (${SETTINGS_KEY}${name}${why}). Use the unquantised checkpoint. mosara build quantises it. Readable: ${READABLE}.`,
  );
}

function word(settings: RawConfig, ...keys: readonly string[]): string | null {
  const value = keys.map((key) => settings[key]).find((one) => typeof one === "string");
  return typeof value === "string" ? value.toLowerCase() : null;
}

function readGptq(settings: RawConfig): readonly WeightCodec[] {
  const format = word(settings, "checkpoint_format", "format") ?? "gptq";
  if (format !== "gptq" && format !== "gptq_v2") throw refused(settings, `, format ${format}`);
  const packedIn = word(settings, "pack_dtype") ?? "int32";
  if (packedIn !== "int32") throw refused(settings, `, packed in ${packedIn}`);
  const { bits } = settings;
  if (bits !== 4 && bits !== 8) throw refused(settings, "");
  return [gptqCodec(format === "gptq", bits)];
}

function readAwq(settings: RawConfig): readonly WeightCodec[] {
  const format = word(settings, "version", "format") ?? "gemm";
  if (format !== "gemm") throw refused(settings, `, packed for ${format}`);
  if (word(settings, "backend") === "llm-awq") throw refused(settings, ", packed for llm-awq");
  if ((settings.bits ?? 4) !== 4) throw refused(settings, "");
  return [awqCodec];
}

function readModelOpt(settings: RawConfig): readonly WeightCodec[] {
  const algorithm = word(settings, "quant_algo") ?? "no algorithm";
  if (algorithm !== "fp8") throw refused(settings, ` ${algorithm.toUpperCase()}`);
  return [scaledCodec(".weight_scale", null)];
}

const COMPRESSED_FORMATS = ["pack-quantized", "int-quantized", "float-quantized", "naive-quantized", "mixed-precision"];

function readCompressed(settings: RawConfig): readonly WeightCodec[] {
  const groups = Object.values((settings.config_groups ?? {}) as Record<string, RawConfig>);
  for (const format of [settings, ...groups].map((one) => word(one, "format")))
    if (format !== null && !COMPRESSED_FORMATS.includes(format)) throw refused(settings, ` in the format ${format}`);
  // "frozen" weights are stored in float and rounded when the model runs.
  const status = word(settings, "quantization_status") ?? "compressed";
  if (status !== "compressed") throw refused(settings, ` with the status ${status}`);
  const sparsity = word((settings.sparsity_config ?? {}) as RawConfig, "format") ?? "dense";
  if (sparsity !== "dense") throw refused(settings, ` and ${sparsity}`);
  if (Object.keys((settings.transform_config ?? {}) as RawConfig).length > 0)
    throw refused(settings, " with transformed weights (transform_config)");
  const blocks = groups.map(({ weights }) => blockOf((weights ?? {}) as RawConfig, "block_structure"));
  return [packedCodec, scaledCodec(".weight_scale", blocks.find((block) => block !== null) ?? null)];
}

function blockOf(settings: RawConfig, key: string): BlockShape | null {
  const value = settings[key] ?? null;
  if (value === null) return null;
  const [rows, columns, ...more] = Array.isArray(value) ? (value as readonly unknown[]) : [];
  if (typeof rows === "number" && rows > 0 && typeof columns === "number" && columns > 0 && more.length === 0)
    return [rows, columns];
  throw new AppError(
    "checkpoint_invalid",
    `config.json: ${key} must be two positive numbers, found ${quote(value)}. Download the checkpoint again.`,
  );
}
