/**
 * `truncate_prompt_tokens`: cuts prompts to a number of tokens. The special tokens around a text are kept, as in vLLM's
 * tokenizers.
 */
import { AppError } from "../../errors.ts";
import type { SharedFields } from "./request-schema.ts";

type Fields = Pick<SharedFields, "truncate_prompt_tokens" | "truncation_side">;

export interface Truncation {
  /** Maximum number of tokens of a prompt. */
  readonly numKept: number;
  readonly side: "left" | "right";
}

/**
 * The truncation a request asks for; null: none.
 * @param maxTokens the tokens that may be generated @throws {AppError} context_length_exceeded.
 */
export function truncationOf(fields: Fields, maxTokens: number, maxModelLen: number): Truncation | null {
  const asked = fields.truncate_prompt_tokens ?? null;
  if (asked === null) return null;
  const most = maxModelLen - maxTokens;
  const numKept = asked === -1 ? most : asked;
  if (numKept > most || most < 1)
    throw new AppError(
      "context_length_exceeded",
      `"truncate_prompt_tokens" asks for ${numKept} tokens, but this model's context of ${maxModelLen} has room for ${Math.max(0, most)} beside the ${maxTokens} to generate. Ask for fewer.`,
      { param: "truncate_prompt_tokens" },
    );
  return { numKept, side: fields.truncation_side ?? "left" };
}

/** The remaining ids. @param bare the ids of the same text without special tokens around it */
export function truncate(ids: Int32Array, { numKept, side }: Truncation, bare: Int32Array = ids): Int32Array {
  if (ids.length <= numKept) return ids;
  const numSpecial = ids.length - bare.length;
  const start = startOf(bare, ids);
  const kept = numKept - numSpecial;
  if (start < 0 || kept <= 0) return cut(ids, numKept, side);
  const rest = cut(bare, kept, side);
  return Int32Array.from([...ids.subarray(0, start), ...rest, ...ids.subarray(start + bare.length)]);
}

function cut(ids: Int32Array, count: number, side: Truncation["side"]): Int32Array {
  return side === "left" ? ids.slice(ids.length - count) : ids.slice(0, count);
}

/** Index of the bare ids within the others; -1: they do not occur. */
function startOf(bare: Int32Array, ids: Int32Array): number {
  for (let start = 0; start <= ids.length - bare.length; start++)
    if (bare.every((id, i) => ids[start + i] === id)) return start;
  return -1;
}
