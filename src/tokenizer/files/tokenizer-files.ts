/**
 * Checks tokenizer.json with its configuration and interprets them: known types, the decoder's rule, added tokens as
 * transformers completes them. A part that would silently give wrong ids is refused, and the error names it. Reads no
 * files.
 */
import { AppError, quote } from "../../errors.ts";
import { type AddedToken, completeAddedTokens } from "./added-tokens.ts";
import { decoderRule } from "./decoder-rule.ts";
import type { DecoderRule } from "../stream-decoder.ts";
import { type ClassTraits, GENERAL_TRAITS } from "./tokenizer-class.ts";
import { MergeRanks, hasMerges, mergeRanks } from "./merge-ranks.ts";
import { GREATEST_ID } from "./token-index.ts";
import { isObject } from "./tokenizer-config.ts";
import { idsOfTokens } from "./vocabulary.ts";

type Json = Record<string, unknown>;

/** A tokenizer's files after checking. `json` is the completed tokenizer.json, `config` the merged configuration. */
export interface TokenizerFiles {
  readonly json: Json & { model: Json; added_tokens: AddedToken[] };
  readonly config: Json;
  /** Token → id of the vocabulary, without the added tokens. */
  readonly ids: ReadonlyMap<string, number>;
  /** null where the model has no merges. */
  readonly merges: MergeRanks | null;
  readonly rule: DecoderRule;
}

/** @throws {AppError} checkpoint_unsupported */
function refuse(dir: string, what: string): never {
  throw new AppError(
    "checkpoint_unsupported",
    `The tokenizer in ${dir} uses ${what}, which is not supported: its ids could be wrong. Use a model with another tokenizer.`,
  );
}

/**
 * Checks parsed files.
 * @param config a merged configuration. @param dir used only in messages. @param traits of its class
 * @throws {AppError} checkpoint_invalid, checkpoint_unsupported
 */
export function checkTokenizer(
  json: Json,
  config: Json,
  dir: string,
  traits: ClassTraits = GENERAL_TRAITS,
): TokenizerFiles {
  if (config.split_special_tokens === true) refuse(dir, "split_special_tokens");
  if (!isObject(json.model))
    throw new AppError("checkpoint_invalid", `tokenizer.json in ${dir} has no "model". Copy it again from the model.`);
  const model: Json = { ...json.model, type: modelType(json.model, dir) };
  checkModel(model, dir);
  const ids = idsOfTokens(model.vocab);
  checkIds(ids, dir);
  const added = completeAddedTokens(json, config, { vocab: ids, dir, ...traits });
  const single = added.find((token) => token.single_word === true);
  if (single !== undefined) refuse(dir, `single_word for the added token ${quote(single.content)}`);
  const complete = {
    ...json,
    model: { ...model, unk_token: model.unk_token === "" ? null : (model.unk_token ?? null) },
    added_tokens: added,
    normalizer: json.normalizer ?? null,
    pre_tokenizer: json.pre_tokenizer ?? null,
    post_processor: json.post_processor ?? null,
    decoder: json.decoder ?? null,
  };
  const { merges } = model;
  return {
    json: complete,
    config,
    ids,
    merges: merges instanceof MergeRanks ? merges : Array.isArray(merges) ? mergeRanks(merges, ids) : null,
    rule: decoderRule(json.decoder ?? null, (what) => refuse(dir, what)),
  };
}

function modelType(model: Json, dir: string): string {
  // Files of tokenizers before 0.9 name no type. Their fields show the type.
  const type =
    model.type ??
    (Array.isArray(model.vocab)
      ? "Unigram"
      : "merges" in model
        ? "BPE"
        : "max_input_chars_per_word" in model
          ? "WordPiece"
          : undefined);
  if (type === "BPE" || type === "Unigram" || type === "WordPiece") return type;
  return refuse(dir, `the model type ${quote(type)} (known: BPE, Unigram, WordPiece)`);
}

function checkModel(model: Json, dir: string): void {
  const isList = Array.isArray(model.vocab);
  if (model.type === "Unigram" ? !isList : !isObject(model.vocab)) {
    throw new AppError(
      "checkpoint_invalid",
      `tokenizer.json in ${dir} has no vocabulary of the kind ${String(model.type)} needs.`,
    );
  }
  const isPiece = (entry: unknown) =>
    Array.isArray(entry) && typeof entry[0] === "string" && typeof entry[1] === "number";
  if (isList) assertEntries(model.vocab as unknown[], isPiece, "vocabulary", dir);
  const isMerge = (entry: unknown) =>
    typeof entry === "string" ||
    (Array.isArray(entry) && entry.length === 2 && entry.every((part) => typeof part === "string"));
  if (Array.isArray(model.merges)) assertEntries(model.merges, isMerge, "merges", dir);
  if (model.type === "BPE" && !hasMerges(model)) {
    throw new AppError("checkpoint_invalid", `tokenizer.json in ${dir} has no "merges", which BPE needs.`);
  }
  if (model.type === "BPE") {
    if (typeof model.dropout === "number" && model.dropout > 0) refuse(dir, "BPE dropout");
    if (typeof model.continuing_subword_prefix === "string" && model.continuing_subword_prefix !== "")
      refuse(dir, "a BPE continuing_subword_prefix");
    if (typeof model.end_of_word_suffix === "string" && model.end_of_word_suffix !== "")
      refuse(dir, "a BPE end_of_word_suffix");
  }
  if (model.type === "Unigram" && model.byte_fallback === true) {
    const tokens = new Set((model.vocab as readonly (readonly unknown[])[]).map(([token]) => token));
    const missing = Array.from({ length: 256 }, (_, byte) => byteToken(byte)).find((token) => !tokens.has(token));
    if (missing !== undefined) refuse(dir, `Unigram byte_fallback without the byte token ${missing}`);
  }
}

/** @throws {AppError} checkpoint_invalid, naming the first entry that is not of the form that `isGood` wants */
function assertEntries(
  entries: readonly unknown[],
  isGood: (entry: unknown) => boolean,
  what: string,
  dir: string,
): void {
  const at = entries.findIndex((entry) => !isGood(entry));
  if (at < 0) return;
  throw new AppError(
    "checkpoint_invalid",
    `tokenizer.json in ${dir}: entry ${at} of its ${what} cannot be read: ${shown(entries[at])}. Copy the file again from the model.`,
  );
}

/** @throws {AppError} checkpoint_invalid */
function checkIds(ids: ReadonlyMap<string, unknown>, dir: string): void {
  for (const [token, id] of ids) {
    if (Number.isInteger(id) && (id as number) >= 0 && (id as number) <= GREATEST_ID) continue;
    throw new AppError(
      "checkpoint_invalid",
      `tokenizer.json in ${dir}: the token ${shown(token)} should have an id of 0 to ${GREATEST_ID}, found ${shown(id)}. Copy the file again from the model.`,
    );
  }
}

const shown = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 80);

/** The token that stands for one byte in byte-fallback vocabularies. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

/** The texts of all tokens by their ids. */
export function tokenTable(files: TokenizerFiles): Map<number, string> {
  const table = new Map<number, string>();
  for (const [token, id] of files.ids) table.set(id, token);
  for (const token of files.json.added_tokens) table.set(token.id, token.content);
  return table;
}
