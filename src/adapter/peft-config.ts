/**
 * Reads PEFT's adapter_config.json: the rank and scale of each module.
 * Refuses settings that turn the tensors into more than a low-rank change. Unknown settings are refused unless they are
 * off, because one of them might change the answers.
 * Knows nothing of the tensors. Source: peft 0.21 (`LoraConfig`, `get_pattern_key`), test/golden/models/README.md.
 */
import { AppError, quote } from "../errors.ts";
import { isPlainMap } from "./adapter-check.ts";
import { firstMatches, isReadable, MATCH_TIMEOUT_MS } from "./peft-match.ts";
import { firstUnselected } from "./peft-targets.ts";

/** Rank and scale of a module's low-rank change. */
export interface PeftScale {
  readonly rank: number;
  /** alpha / rank, or alpha / √rank. */
  readonly scale: number;
}

export interface PeftConfig {
  readonly rank: number;
  readonly alpha: number;
  readonly usesRootRank: boolean;
  /**
   * Rank and scale of each module path (without `base_model.model.`) that has tensors.
   * @throws AppError adapter_invalid
   */
  scalesOf(paths: readonly string[]): readonly PeftScale[];
}

/** Refuses a PEFT adapter. The message says what is wrong. @throws AppError adapter_invalid, always. */
export function refusePeft(problem: string): never {
  throw new AppError("adapter_invalid", `The PEFT adapter cannot be used: ${problem}.`);
}

/** Settings that do not change the meaning of the stored tensors. */
const HARMLESS: ReadonlySet<string> = new Set([
  "auto_mapping",
  "bias", // trained bias vectors are tensors, which are refused by name
  "base_model_name_or_path",
  "corda_config",
  "ensure_weight_tying",
  "eva_config",
  "exclude_modules",
  "fan_in_fan_out",
  "inference_mode",
  "layers_pattern",
  "layers_to_transform",
  "loftq_config",
  "lora_dropout",
  "lora_ga_config",
  "megatron_config",
  "megatron_core",
  "peft_version",
  "qalora_group_size",
  "revision",
  "runtime_config",
  "target_modules",
  "task_type",
  // The code below reads these.
  "alpha_pattern",
  "init_lora_weights",
  "lora_alpha",
  "peft_type",
  "r",
  "rank_pattern",
  "use_rslora",
]);

/** Settings that make an adapter more than a low-rank change of the base's weights, each with the reason. */
const REASONS: Readonly<Record<string, string>> = {
  use_dora: "magnitude vectors (DoRA) change the formula",
  modules_to_save: "whole modules replace the base's own",
  layer_replication: "layers of the base are repeated",
  trainable_token_indices: "rows of the embedding replace the base's own",
  target_parameters: "parameters outside of linear layers are adapted",
  use_qalora: "inputs are pooled in groups before the low-rank change",
  lora_bias: "the low-rank change has a bias",
  alora_invocation_tokens: "it is active only after certain tokens",
  arrow_config: "a router chooses between several adapters",
  use_bdlora: "the halves are block-diagonal",
};

/**
 * Initialisations that leave the base's weights unchanged.
 * All others subtract the adapter's initial product from the weights.
 */
const HARMLESS_BEGINNINGS: readonly unknown[] = [undefined, null, true, false, "gaussian", "eva", "orthogonal", "mica"];

/** Reads the file's bytes. @throws AppError adapter_invalid for every setting that cannot be represented. */
export function readPeftConfig(bytes: Uint8Array): PeftConfig {
  const config = parse(bytes);
  if (config.peft_type !== "LORA") refusePeft(`peft_type is ${quote(config.peft_type)}, only "LORA" is supported`);
  for (const [key, value] of Object.entries(config)) {
    if (HARMLESS.has(key) || isOff(value)) continue;
    const reason = REASONS[key] ?? "this setting is not known and might change the answers";
    refusePeft(`${quote(key)} is ${quote(value)}: ${reason}; only low-rank changes are supported`);
  }
  if (!HARMLESS_BEGINNINGS.includes(config.init_lora_weights))
    refusePeft(
      `init_lora_weights is ${quote(config.init_lora_weights)}, which changed the base's own weights before training. Convert it to a plain LoRA: save it again with peft's path_initial_model_for_weight_conversion`,
    );
  const rank = rankOf(config.r ?? 8, "r");
  const alpha = alphaOf(config.lora_alpha ?? 8, "lora_alpha");
  const usesRootRank = flagOf(config.use_rslora, "use_rslora");
  const ranks = patternsOf(config.rank_pattern, "rank_pattern", rankOf);
  const alphas = patternsOf(config.alpha_pattern, "alpha_pattern", alphaOf);
  return {
    rank,
    alpha,
    usesRootRank,
    scalesOf: (paths) => {
      const unselected = firstUnselected(config, paths);
      if (unselected !== null)
        refusePeft(
          `it holds tensors of ${quote(unselected[0])}, which ${unselected[1]} in adapter_config.json leaves out. peft would ignore them. Correct ${unselected[1]}, or remove the tensors`,
        );
      const rankAt = firstValues(ranks, "rank_pattern", paths);
      const alphaAt = firstValues(alphas, "alpha_pattern", paths);
      return paths.map((_, i) => {
        const own = rankAt[i] ?? rank;
        return { rank: own, scale: (alphaAt[i] ?? alpha) / (usesRootRank ? Math.sqrt(own) : own) };
      });
    },
  };
}

function parse(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new AppError(
      "adapter_invalid",
      `The PEFT adapter cannot be used: adapter_config.json is not valid JSON (${(cause as Error).message}).`,
      { cause },
    );
  }
  return isPlainMap(value) ? value : refusePeft("adapter_config.json is not a JSON object");
}

/** Values that Python treats as false. */
function isOff(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return !value;
}

function flagOf(value: unknown, key: string): boolean {
  if (value === undefined || value === null) return false;
  return typeof value === "boolean" ? value : refusePeft(`${key} is ${quote(value)}, but must be true or false`);
}

function rankOf(value: unknown, key: string): number {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= 65_536
    ? (value as number)
    : refusePeft(`${key} is ${quote(value)}, but must be a positive whole number`);
}

function alphaOf(value: unknown, key: string): number {
  return typeof value === "number" && Number.isFinite(value)
    ? value
    : refusePeft(`${key} is ${quote(value)}, but must be a number`);
}

interface Pattern {
  readonly key: string;
  readonly value: number;
}

const MAX_PATTERNS = 65_536;
const MAX_PATTERN_LENGTH = 1024;

function patternsOf(value: unknown, name: string, check: (value: unknown, key: string) => number): readonly Pattern[] {
  if (value === undefined || value === null) return [];
  if (!isPlainMap(value)) return refusePeft(`${name} is ${quote(value)}, but must be a map`);
  const entries = Object.entries(value);
  if (entries.length > MAX_PATTERNS)
    refusePeft(`${name} has ${entries.length} entries, but at most ${MAX_PATTERNS} are allowed`);
  return entries.map(([key, item]) => {
    if (key.length > MAX_PATTERN_LENGTH)
      refusePeft(`${name} has a pattern of ${key.length} characters, but at most ${MAX_PATTERN_LENGTH} are allowed`);
    if (!isReadable(anchored(key)))
      refusePeft(`${name} has the pattern ${quote(key)}, which is not a regular expression that this program can read`);
    return { key, value: check(item, `${name} of ${quote(key)}`) };
  });
}

/** peft matches a pattern against the end of a module's path, beginning at a dot. */
function anchored(key: string): string {
  return `^(.*\\.)?(${key})$`;
}

/** The value of the first pattern that matches each path. */
function firstValues(
  patterns: readonly Pattern[],
  name: string,
  paths: readonly string[],
): readonly (number | undefined)[] {
  if (patterns.length === 0) return [];
  const found = firstMatches(
    patterns.map(({ key }) => anchored(key)),
    paths,
  );
  if (found === null) return refusePeft(`the patterns of ${name} take longer than ${MATCH_TIMEOUT_MS} ms to match`);
  return found.map((index) => patterns[index]?.value);
}
