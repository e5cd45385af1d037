/** Reads the `prompt` field as a list of prompts in token ids. Sizes are checked before anything is encoded. */
import { AppError } from "../../errors.ts";
import type { AppContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { type Truncation, truncate } from "./truncation.ts";

/** One prompt. `text` is set where it was given as text. */
export interface Prompt {
  readonly ids: Int32Array;
  readonly text: string | null;
}

export interface PromptOptions {
  /** Sequences of each prompt. */
  readonly n: number;
  readonly addsSpecial: boolean;
  readonly truncation: Truncation | null;
  /** The field that errors name. */
  readonly field?: "prompt" | "input";
  /** Maximum number of sequences of one request: prompts times n. */
  readonly maxSequences?: number;
}

const MAX_REQUEST_SEQUENCES = 512;

/** The name of the part that an error about length mentions. */
export type PromptPart = "prompt" | "messages" | "input";

/**
 * Maximum number of characters of a token in real vocabularies. Texts that are longer than that many for each token
 * cannot fit. They are refused without encoding.
 */
const MAX_CHARS_PER_TOKEN = 128;

/**
 * @param addsSpecial whether texts get the tokenizer's special tokens @param truncation null: prompts are not truncated
 * @throws {AppError} invalid_request, context_length_exceeded.
 */
export async function readPrompts(
  context: AppContext,
  prompt: unknown,
  { n, addsSpecial, truncation, field = "prompt", maxSequences = MAX_REQUEST_SEQUENCES }: PromptOptions,
): Promise<Prompt[]> {
  const { maxModelLen, vocabSize } = engineLimits(context);
  const given = listPrompts(prompt, field);
  if (given.length * n > maxSequences)
    throw invalid(
      `${given.length} ${field}s with n ${n} are more than ${maxSequences} sequences. Send them in several requests.`,
      field,
    );
  const prompts: Prompt[] = [];
  for (const one of given) {
    if (typeof one === "string") {
      if (truncation === null) assertCouldFit(one.length, maxModelLen, field);
      prompts.push(await encodeText(context, one, addsSpecial, truncation));
      continue;
    }
    const bad = one.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (bad !== undefined)
      throw invalid(
        `"${field}" contains the token id ${bad}, but ids of this model go from 0 to ${vocabSize - 1}.`,
        field,
      );
    const ids = Int32Array.from(one);
    prompts.push({ ids: truncation === null ? ids : truncate(ids, truncation), text: null });
  }
  if (prompts.some(({ ids }) => ids.length === 0)) throw invalid(`"${field}" has no tokens. Give at least one.`, field);
  return prompts;
}

async function encodeText(
  { text }: AppContext,
  prompt: string,
  addsSpecial: boolean,
  truncation: Truncation | null,
): Promise<Prompt> {
  const ids = await text.encode(prompt, addsSpecial);
  if (truncation === null || ids.length <= truncation.numKept) return { ids, text: prompt };
  const bare = addsSpecial ? await text.encode(prompt, false) : ids;
  return { ids: truncate(ids, truncation, bare), text: null };
}

/** Limits of the engine. @throws {AppError} engine_unavailable while it starts. */
export function engineLimits({ engine }: AppContext) {
  const limits = engine.limits();
  if (limits) return limits;
  throw new AppError("engine_unavailable", "The engine is starting. Try again in a moment.", { retryAfterSeconds: 2 });
}

/** @throws {AppError} context_length_exceeded for a text that is too long with any tokens. */
export function assertCouldFit(chars: number, maxModelLen: number, part: PromptPart | "input"): void {
  if (chars <= maxModelLen * MAX_CHARS_PER_TOKEN) return;
  throw new AppError(
    "context_length_exceeded",
    `This model's maximum context length is ${maxModelLen} tokens. However, you sent ${chars} characters in the ${part}, which is more than they can hold. Please reduce the length of the ${part}.`,
    { param: part },
  );
}

/** @throws {AppError} context_length_exceeded, in OpenAI's words. */
export function assertFitsContext(
  promptTokens: number,
  maxTokens: number,
  maxModelLen: number,
  part: PromptPart | "input",
): void {
  if (promptTokens + maxTokens <= maxModelLen) return;
  throw new AppError(
    "context_length_exceeded",
    `This model's maximum context length is ${maxModelLen} tokens. However, you requested ${promptTokens + maxTokens} tokens (${promptTokens} in the ${part}, ${maxTokens} in the completion). Please reduce the length of the ${part} or completion.`,
    { param: part },
  );
}

function listPrompts(prompt: unknown, field: string): (string | readonly number[])[] {
  if (typeof prompt === "string") return [prompt];
  if (!Array.isArray(prompt) || prompt.length === 0)
    throw invalid(`"${field}" must be a string, strings, token ids, or lists of token ids.`, field);
  const items = prompt as readonly unknown[];
  if (items.every((item) => typeof item === "string")) return [...items];
  if (items.every((item) => typeof item === "number")) return [items];
  if (items.every((item) => Array.isArray(item) && item.every((id) => typeof id === "number")))
    return items as number[][];
  throw invalid(`"${field}" mixes kinds. Give a string, strings, token ids, or lists of token ids.`, field);
}
