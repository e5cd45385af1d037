/**
 * What generation_config.json says: where a generation ends and how requests sample by default.
 * It outranks config.json, field by field. Like vLLM, sampling fields count whatever `do_sample` says.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";

/** End tokens and sampling defaults of a model; absent where the files are silent. */
export interface GenerationDefaults {
  readonly bosTokenId: number | undefined;
  /** Any of these ends a generation. Empty when the files name none. */
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | undefined;
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  readonly topK: number | undefined;
  readonly minP: number | undefined;
  readonly repetitionPenalty: number | undefined;
}

/** Reads generation_config.json and config.json of a directory; either may be absent. @throws {AppError} checkpoint_invalid. */
export async function loadGenerationDefaults(dir: string): Promise<GenerationDefaults> {
  return readGenerationDefaults(
    await readOptional(dir, "generation_config.json"),
    await readOptional(dir, "config.json"),
  );
}

async function readOptional(dir: string, name: string): Promise<Record<string, unknown>> {
  const path = join(dir, name);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw new AppError("checkpoint_invalid", `${path} cannot be read: ${String(cause)}`, { cause });
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw new AppError("checkpoint_invalid", `${path} should be JSON: ${String(cause)}`, { cause });
  }
  throw new AppError("checkpoint_invalid", `${path} should hold a JSON object.`);
}

/** Defaults from parsed files; `generation` outranks `model`, whose text part may be nested. @throws {AppError} checkpoint_invalid. */
export function readGenerationDefaults(
  generation: Readonly<Record<string, unknown>>,
  model: Readonly<Record<string, unknown>>,
): GenerationDefaults {
  const text = (typeof model.text_config === "object" && model.text_config !== null ? model.text_config : {}) as Record<
    string,
    unknown
  >;
  const pick = (name: string): unknown => generation[name] ?? model[name] ?? text[name] ?? undefined;
  const ends = pick("eos_token_id");
  return {
    bosTokenId: readId("bos_token_id", pick("bos_token_id")),
    eosTokenIds: (Array.isArray(ends) ? ends : ends === undefined ? [] : [ends]).flatMap(
      (id) => readId("eos_token_id", id) ?? [],
    ),
    padTokenId: readId("pad_token_id", pick("pad_token_id")),
    temperature: readNumber("temperature", generation.temperature, 0, Infinity),
    topP: readNumber("top_p", generation.top_p, 0, 1),
    topK: readNumber("top_k", generation.top_k, -1, Infinity),
    minP: readNumber("min_p", generation.min_p, 0, 1),
    repetitionPenalty: readNumber("repetition_penalty", generation.repetition_penalty, 0, Infinity),
  };
}

function readId(name: string, value: unknown): number | undefined {
  if (value === undefined) return undefined;
  // Some checkpoints write -1 for "none".
  if (value === -1) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw new AppError(
    "checkpoint_invalid",
    `${name} should be a token id or a list of them, found ${JSON.stringify(value)}.`,
  );
}

function readNumber(name: string, value: unknown, min: number, max: number): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw new AppError(
    "checkpoint_invalid",
    `${name} in generation_config.json should be a number from ${min} to ${max}, found ${JSON.stringify(value)}.`,
  );
}
