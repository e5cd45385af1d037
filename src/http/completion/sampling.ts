/** Converts request fields to the engine's sampling parameters. OpenAI's and vLLM's spellings and defaults end here. */
import { randomInt } from "node:crypto";
import type { SequenceRequest } from "../../engine/engine.ts";
import type { RequestContext, ServedBase } from "../context.ts";
import { invalid } from "../error-response.ts";
import type { AnswerShape } from "./completion-kind.ts";
import type { SharedFields } from "./request-schema.ts";

const LARGEST_TIMEOUT_MS = 86_400_000;

/** Parameters that all sequences of a request share. */
export type SequenceOptions = Pick<
  SequenceRequest,
  "maxTokens" | "minTokens" | "stopIds" | "cacheSalt" | "numLogprobs" | "numPromptLogprobs" | "grammar"
> & {
  /** Seed of the first sequence; the i-th has `seed + i`. */
  readonly sampling: SequenceRequest["sampling"];
};

/**
 * @param badWords token ids of the words that must not be generated
 * @param base its end ids end an answer unless `ignore_eos`.
 * @throws {AppError} invalid_request for ids outside the vocabulary and fields that contradict each other.
 */
export function sequenceOptions(
  fields: SharedFields,
  shape: AnswerShape,
  badWords: readonly (readonly number[])[],
  { endIds, samplingDefaults: defaults }: Pick<ServedBase, "endIds" | "samplingDefaults">,
  vocabSize: number,
): SequenceOptions {
  const assertId = (id: number, param: string) => {
    if (id >= vocabSize)
      throw invalid(
        `"${param}" contains the token id ${id}, but ids of this model go from 0 to ${vocabSize - 1}.`,
        param,
      );
    return id;
  };
  const minTokens = fields.min_tokens ?? 0;
  if (minTokens > shape.maxTokens)
    throw invalid(
      `"min_tokens" is ${minTokens}, but at most ${shape.maxTokens} tokens may be generated.`,
      "min_tokens",
    );
  const stopIds = (fields.stop_token_ids ?? []).map((id) => assertId(id, "stop_token_ids"));
  return {
    ...shape,
    // A receipt states the bits of the log-probabilities, so they are computed for it.
    numLogprobs: shape.numLogprobs ?? (fields.mosara_receipt === true ? 0 : null),
    minTokens,
    stopIds: [...new Set(fields.ignore_eos ? stopIds : [...endIds, ...stopIds])],
    cacheSalt: fields.cache_salt ?? null,
    sampling: {
      temperature: fields.temperature ?? defaults.temperature ?? 1,
      // 0 keeps only the likeliest token. The engine requires a number above 0.
      topP: Math.max(fields.top_p ?? defaults.topP ?? 1, Number.EPSILON),
      topK: Math.max(fields.top_k ?? defaults.topK ?? 0, 0),
      minP: fields.min_p ?? defaults.minP ?? 0,
      repetitionPenalty: fields.repetition_penalty ?? defaults.repetitionPenalty ?? 1,
      presencePenalty: fields.presence_penalty ?? 0,
      frequencyPenalty: fields.frequency_penalty ?? 0,
      logitBias: Object.entries(fields.logit_bias ?? {}).map(
        ([id, bias]) => [assertId(Number(id), "logit_bias"), bias] as const,
      ),
      allowedIds: fields.allowed_token_ids
        ? Int32Array.from(new Set(fields.allowed_token_ids), (id) => assertId(id, "allowed_token_ids"))
        : null,
      badWords,
      seed: fields.seed === undefined || fields.seed === null ? randomInt(2 ** 32) : toUint32(fields.seed),
    },
  };
}

/** The seed of the i-th sequence. */
export function seedOf(seed: number, index: number): number {
  return (seed + index) >>> 0;
}

/** The stop strings as a list. */
export function stopStrings(stop: SharedFields["stop"]): readonly string[] {
  return typeof stop === "string" ? [stop] : (stop ?? []);
}

/** Unix time in ms of the deadline in `x-request-timeout-ms`; null: none. @throws {AppError} invalid_request. */
export function deadlineOf(c: RequestContext): number | null {
  const header = c.req.header("x-request-timeout-ms");
  if (header === undefined) return null;
  const ms = /^\d{1,9}$/.test(header.trim()) ? Number(header) : 0;
  if (ms >= 1 && ms <= LARGEST_TIMEOUT_MS) return Date.now() + ms;
  throw invalid(
    `x-request-timeout-ms must be a whole number of milliseconds from 1 to ${LARGEST_TIMEOUT_MS}, found "${header.slice(0, 40)}".`,
    "x-request-timeout-ms",
  );
}

/** The low 32 bits, also of negative and of very large seeds. */
function toUint32(seed: number): number {
  return Number(BigInt.asUintN(32, BigInt(seed)));
}
