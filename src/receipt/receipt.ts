/**
 * The receipt of an answer: a statement of everything that decides its bits, signed by the server, and the evidence
 * that the statement's hashes cover. The statement has a bounded size. Source: docs/how-to/ask/receipts.md.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { canonicalJson } from "../formats/canonical-json.ts";

export const RECEIPT_FORMAT = "mosara-receipt-1";

/** Stands in the place of a signature in the short form, before the server's seal. */
export const UNSIGNED = "unsigned";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in hex");
const count = z.int().min(0);
const text = z.string().max(256);
const tokenIds = z.array(
  z
    .int()
    .min(0)
    .max(2 ** 31 - 1),
);

export const statementSchema = z.strictObject({
  version: z.literal(1),
  /** The `x-request-id` of the answer. */
  request: text,
  /** Unix time in seconds. */
  issued: count,
  program: z.strictObject({ mosara: text, build: text, onnxruntime: text, node: text }),
  machine: z.strictObject({
    arch: text,
    /** CPU features by which kernels are chosen, as far as the system names them. */
    features: z.array(text).max(64),
    device: z.enum(["cpu", "webgpu", "cuda"]),
    threads: z.int().min(1),
    /** Absent: keys and values had the precision of attention. */
    kv_cache_dtype: z.literal("int8").optional(),
    /** Whether the engine's self-test found equal bits in every batch. */
    batch_invariant: z.boolean(),
  }),
  /** `form` covers how the weights are stored, `bases` the bases of all targets. */
  base: z.strictObject({ id: sha256, weights: text, form: sha256, bases: sha256 }),
  /** null: the base itself. */
  adapter: z
    .strictObject({
      generation: sha256,
      placement: z.enum(["live", "merged"]),
      blend: z
        .array(z.strictObject({ generation: sha256, weight: z.number() }))
        .max(64)
        .optional(),
    })
    .nullable(),
  sampling: z.strictObject({
    temperature: z.number(),
    top_p: z.number(),
    top_k: z.number(),
    min_p: z.number(),
    repetition_penalty: z.number(),
    presence_penalty: z.number(),
    frequency_penalty: z.number(),
    /** The seed of the first sequence of a prompt. The seeds of its next sequences are the next numbers. */
    seed: count,
    max_tokens: count,
    min_tokens: count,
    /** Maximum number of guessed tokens that one step may compute together. */
    speculative_tokens: count,
    /** Absent: no model guesses tokens. */
    draft_model: z.strictObject({ id: sha256, weights: text, form: sha256 }).optional(),
  }),
  /** SHA-256 of the evidence's `rules`, as canonical JSON. */
  rules: sha256,
  /** SHA-256 of the grammar among them; null: the answer is free. */
  grammar: sha256.nullable(),
  prompts: z.strictObject({ count, tokens: count, ids: sha256 }),
  /** Hashes of log-probabilities are null where none were computed. */
  answers: z.strictObject({
    count,
    tokens: count,
    ids: sha256,
    logprobs: sha256.nullable(),
    prompt_logprobs: sha256.nullable(),
  }),
});

const rulesSchema = z.strictObject({
  stop_token_ids: tokenIds,
  logit_bias: z.array(z.tuple([z.int(), z.number()])),
  allowed_token_ids: tokenIds.nullable(),
  bad_words: z.array(tokenIds),
  grammar: z
    .strictObject({
      kind: z.enum(["json-object", "json-schema", "regex", "choice", "gbnf", "structural-tag"]),
      text: z.string(),
      whitespace: z.string().optional(),
    })
    .nullable(),
});

/** The same number of answers belongs to each prompt, in the order of the prompts. */
const evidenceSchema = z
  .strictObject({ prompts: z.array(tokenIds).min(1), answers: z.array(tokenIds).min(1), rules: rulesSchema })
  .refine(
    ({ prompts, answers }) => answers.length % prompts.length === 0,
    "must have the same number of answers for each prompt",
  );

export const receiptSchema = z.strictObject({
  format: z.literal(RECEIPT_FORMAT),
  statement: statementSchema,
  /** Ed25519, in base64url. */
  signature: z.strictObject({ public_key: z.string().max(64), value: z.string().max(128) }),
  evidence: evidenceSchema,
});

export type Statement = z.output<typeof statementSchema>;
export type Rules = z.output<typeof rulesSchema>;
export type Evidence = z.output<typeof evidenceSchema>;
export type Receipt = z.output<typeof receiptSchema>;

/** SHA-256, hex, of a value's canonical JSON. */
export function jsonHash(value: unknown): string {
  return textHash(canonicalJson(value));
}

/** SHA-256, hex, of a text. */
export function textHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** SHA-256, hex, of lists of token ids. Each list is its length and its ids, as 32-bit little-endian numbers. */
export function idsHash(lists: readonly ArrayLike<number>[]): string {
  const hash = createHash("sha256");
  for (const list of lists) hash.update(Int32Array.of(list.length)).update(Int32Array.from(list));
  return hash.digest("hex");
}

/** SHA-256, hex, of lists of log-probabilities. Each list is its 32-bit length and its float64 bits, little-endian. */
export function bitsHash(lists: readonly (readonly number[])[]): string {
  const hash = createHash("sha256");
  for (const list of lists) hash.update(Int32Array.of(list.length)).update(Float64Array.from(list));
  return hash.digest("hex");
}

/** The bytes that a signature covers. @param text the statement as canonical JSON */
export function signedBytes(text: string): Buffer {
  return Buffer.from(`${RECEIPT_FORMAT}\n${text}`, "utf8");
}
