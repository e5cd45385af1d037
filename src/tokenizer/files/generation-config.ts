/**
 * Reads generation_config.json: the end tokens of a generation and the default sampling settings. Its fields override
 * those of config.json. End tokens are those of both files. As in vLLM, sampling fields count even if `do_sample` is
 * false.
 */
import { AppError, quote } from "../../errors.ts";
import { directoryTexts, readJsonText, type TextSource } from "./text-source.ts";

/** End tokens and sampling defaults of a model. Fields that no file sets are absent. */
export interface GenerationDefaults {
  readonly bosTokenId: number | undefined;
  /** The end tokens of both files; the tokenizer may name another (end-tokens.ts). */
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | undefined;
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  readonly topK: number | undefined;
  readonly minP: number | undefined;
  readonly repetitionPenalty: number | undefined;
}

/**
 * Reads generation_config.json and config.json of a directory; either may be absent. @throws {AppError}
 * checkpoint_invalid.
 */
export async function loadGenerationDefaults(dir: string): Promise<GenerationDefaults> {
  const texts = await directoryTexts(dir);
  return readGenerationDefaults(
    (await readJsonText(texts, dir, "generation_config.json")) ?? {},
    (await readJsonText(texts, dir, "config.json")) ?? {},
  );
}

/**
 * Defaults from parsed files; `generation` overrides `model`, whose text part may be nested. @throws {AppError}
 * checkpoint_invalid.
 */
export function readGenerationDefaults(
  generation: Readonly<Record<string, unknown>>,
  model: Readonly<Record<string, unknown>>,
): GenerationDefaults {
  const text = (typeof model.text_config === "object" && model.text_config !== null ? model.text_config : {}) as Record<
    string,
    unknown
  >;
  const pick = (name: string): unknown => generation[name] ?? model[name] ?? text[name] ?? undefined;
  return {
    bosTokenId: readId("bos_token_id", pick("bos_token_id")),
    eosTokenIds: [...new Set([...readEosTokenIds(generation), ...readEosTokenIds(model)])],
    padTokenId: readId("pad_token_id", pick("pad_token_id")),
    temperature: readNumber("temperature", generation.temperature, 0, Infinity),
    topP: readNumber("top_p", generation.top_p, 0, 1),
    topK: readNumber("top_k", generation.top_k, -1, Infinity),
    minP: readNumber("min_p", generation.min_p, 0, 1),
    repetitionPenalty: readNumber("repetition_penalty", generation.repetition_penalty, 0, Infinity),
  };
}

/** The end tokens that a configuration names, at its top or in its text part. @throws {AppError} checkpoint_invalid. */
export function readEosTokenIds(config: Readonly<Record<string, unknown>>): readonly number[] {
  const text = config.text_config as { eos_token_id?: unknown } | null | undefined;
  const ends: unknown = config.eos_token_id ?? text?.eos_token_id ?? [];
  return (Array.isArray(ends) ? (ends as unknown[]) : [ends]).flatMap((id) => readId("eos_token_id", id) ?? []);
}

function readId(name: string, value: unknown): number | undefined {
  if (value === undefined) return undefined;
  // Some checkpoints write -1 for "none".
  if (value === -1) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw new AppError("checkpoint_invalid", `${name} should be a token id or a list of them, found ${quote(value)}.`);
}

function readNumber(name: string, value: unknown, min: number, max: number): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw new AppError(
    "checkpoint_invalid",
    `${name} in generation_config.json should be a number from ${min} to ${max}, found ${quote(value)}.`,
  );
}

/** Older versions of transformers write this default, which they do not apply. */
const DEFAULT_MAX_LENGTH = 20;

/** Settings of generation_config.json that change answers and are not heeded, with the number that changes nothing. */
const UNHEEDED: Readonly<Record<string, number | boolean | null>> = {
  max_new_tokens: null,
  max_length: DEFAULT_MAX_LENGTH,
  max_time: null,
  min_new_tokens: 0,
  min_length: 0,
  stop_strings: null,
  suppress_tokens: null,
  begin_suppress_tokens: null,
  bad_words_ids: null,
  sequence_bias: null,
  no_repeat_ngram_size: 0,
  encoder_no_repeat_ngram_size: 0,
  encoder_repetition_penalty: 1,
  exponential_decay_length_penalty: null,
  forced_bos_token_id: null,
  forced_eos_token_id: null,
  force_words_ids: null,
  constraints: null,
  num_beams: 1,
  num_return_sequences: 1,
  penalty_alpha: 0,
  typical_p: 1,
  top_h: null,
  epsilon_cutoff: 0,
  eta_cutoff: 0,
  guidance_scale: 1,
  dola_layers: null,
  watermarking_config: null,
  token_healing: false,
};

/**
 * A sentence about the settings that are not heeded; null where the file has none, or does not exist. @param model
 * config.json
 */
export function unheededNotice(
  generation: Readonly<Record<string, unknown>>,
  model: Readonly<Record<string, unknown>> = {},
): string | null {
  const { max_position_embeddings: maxPositions } = { ...(model.text_config as object | null), ...model };
  const found = Object.entries(UNHEEDED).flatMap(([name, neutral]) => {
    const value = generation[name] ?? null;
    const isEmpty = Array.isArray(value) && value.length === 0;
    // An answer ends with the context anyway.
    const isContext = name === "max_length" && typeof maxPositions === "number" && Number(value) >= maxPositions;
    return value === null || value === neutral || isEmpty || isContext ? [] : [name];
  });
  if (found.length === 0) return null;
  return `generation_config.json sets ${found.join(", ")}, which this program does not heed. Requests can set stop, max_tokens, min_tokens, bad_words and penalties.`;
}

/**
 * The same for the files of a model. @param where name of the source in messages. @throws {AppError} checkpoint_invalid
 */
export async function loadUnheededNotice(texts: TextSource, where: string): Promise<string | null> {
  const model = (await readJsonText(texts, where, "config.json")) ?? {};
  return unheededNotice((await readJsonText(texts, where, "generation_config.json")) ?? {}, model);
}
