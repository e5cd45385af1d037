/**
 * Reads tokenizer.json and tokenizer_config.json and says what they mean here: types that are known, the decoder's rule,
 * added tokens as transformers completes them. Whatever would give wrong ids in silence is refused by name.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import type { DecoderRule } from "./stream-decoder.ts";
import { applyTokenizerClass } from "./tokenizer-class.ts";

type Json = Record<string, unknown>;

/** One added token, in the file's own spelling. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
  readonly special?: boolean;
}

/** The two files after checking: `json` is tokenizer.json with what was missing filled in. */
export interface TokenizerFiles {
  readonly json: Json & { model: Json; added_tokens: AddedToken[] };
  readonly config: Json;
  readonly rule: DecoderRule;
}

/** Reads both files of a base directory or checkpoint. @throws {AppError} checkpoint_invalid or checkpoint_unsupported. */
export async function readTokenizerFiles(dir: string): Promise<TokenizerFiles> {
  const json = await readJson(dir, "tokenizer.json");
  const config = await readJson(dir, "tokenizer_config.json");
  const model = existsSync(join(dir, "config.json")) ? await readJson(dir, "config.json") : {};
  const completed = applyTokenizerClass(json, config, model.model_type, dir);
  return checkTokenizer(completed.json, completed.config, dir);
}

/** One JSON object of a model's directory. @throws {AppError} checkpoint_invalid, naming the file. */
export async function readJson(dir: string, name: string): Promise<Json> {
  const path = join(dir, name);
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new AppError(
      "checkpoint_invalid",
      `${name} is needed to read and write text, but ${path} cannot be read. Add the tokenizer files of the model.`,
      { cause },
    );
  });
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch (cause) {
    throw new AppError(
      "checkpoint_invalid",
      `${path} should be JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  throw new AppError("checkpoint_invalid", `${path} should hold a JSON object. Copy it again from the model.`);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws {AppError} checkpoint_unsupported */
function refuse(dir: string, what: string): never {
  throw new AppError(
    "checkpoint_unsupported",
    `The tokenizer in ${dir} uses ${what}, which is not supported: its ids could be wrong. Use a model with another tokenizer.`,
  );
}

/** Checks parsed files. `dir` only names them in messages. @throws {AppError} */
export function checkTokenizer(json: Json, config: Json, dir: string): TokenizerFiles {
  if (config.split_special_tokens === true) refuse(dir, "split_special_tokens");
  if (!isObject(json.model))
    throw new AppError("checkpoint_invalid", `tokenizer.json in ${dir} has no "model". Copy it again from the model.`);
  const model: Json = { ...json.model, type: modelType(json.model, dir) };
  checkModel(model, dir);
  const vocab = vocabulary(model);
  const added = completeAddedTokens(json, config, vocab, dir);
  const complete = {
    ...json,
    model: { ...model, unk_token: model.unk_token === "" ? null : (model.unk_token ?? null) },
    added_tokens: added,
    normalizer: json.normalizer ?? null,
    pre_tokenizer: json.pre_tokenizer ?? null,
    post_processor: json.post_processor ?? null,
    decoder: json.decoder ?? null,
  };
  return { json: complete, config, rule: decoderRule(json.decoder ?? null, dir) };
}

function modelType(model: Json, dir: string): string {
  // Files of tokenizers before 0.9 name no type; their fields tell it.
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
  return refuse(dir, `the model type ${JSON.stringify(type)} (known: BPE, Unigram, WordPiece)`);
}

function checkModel(model: Json, dir: string): void {
  const isList = Array.isArray(model.vocab);
  if (model.type === "Unigram" ? !isList : !isObject(model.vocab)) {
    throw new AppError(
      "checkpoint_invalid",
      `tokenizer.json in ${dir} has no vocabulary of the kind ${String(model.type)} needs.`,
    );
  }
  if (model.type === "BPE" && !Array.isArray(model.merges)) {
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

/** The token that stands for one byte in byte-fallback vocabularies. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

function vocabulary(model: Json): Map<string, number> {
  if (Array.isArray(model.vocab)) return new Map(model.vocab.map((entry: [string, number], id) => [entry[0], id]));
  return new Map(Object.entries(model.vocab as Record<string, number>));
}

const SPECIAL_NAMES = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;

/** The text of a token named in tokenizer_config.json: a string, or an object with `content`. */
export function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return isObject(value) && typeof value.content === "string" ? value.content : undefined;
}

/**
 * Added tokens of the file, then those of `added_tokens_decoder`, then the special tokens that tokenizer_config.json
 * names and nobody has added: transformers adds all three, in this order.
 */
function completeAddedTokens(json: Json, config: Json, vocab: ReadonlyMap<string, number>, dir: string): AddedToken[] {
  const listed = Array.isArray(json.added_tokens) ? (json.added_tokens as AddedToken[]) : [];
  const tokens = [...listed];
  const known = new Set(tokens.map((token) => token.content));
  const add = (token: AddedToken): void => {
    if (known.has(token.content)) return;
    known.add(token.content);
    tokens.push(token);
  };
  const decoder = isObject(config.added_tokens_decoder) ? config.added_tokens_decoder : {};
  for (const [id, entry] of Object.entries(decoder)) {
    const content = tokenText(entry);
    if (content !== undefined) add({ ...(entry as Json), id: Number(id), content });
  }
  const extra = [config.additional_special_tokens, config.extra_special_tokens].flatMap((value) =>
    Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [],
  );
  let next = 0;
  for (const id of vocab.values()) next = Math.max(next, id + 1);
  for (const token of tokens) next = Math.max(next, token.id + 1);
  for (const entry of [...SPECIAL_NAMES.map((name) => config[name]), ...extra]) {
    const content = tokenText(entry);
    if (content === undefined || content === "" || known.has(content)) continue;
    add({ id: vocab.get(content) ?? next++, content, special: true, normalized: false });
  }
  for (const token of tokens) checkAddedToken(token, dir);
  return tokens;
}

function checkAddedToken(token: AddedToken, dir: string): void {
  if (typeof token.content !== "string" || !Number.isInteger(token.id) || token.id < 0) {
    throw new AppError(
      "checkpoint_invalid",
      `An added token in ${dir} has no text or no id: ${JSON.stringify(token).slice(0, 120)}`,
    );
  }
  if (token.single_word === true) refuse(dir, `single_word for the added token ${JSON.stringify(token.content)}`);
}

/** The rule of the stream decoder for a decoder of tokenizer.json. @throws {AppError} for one that is not known. */
function decoderRule(decoder: unknown, dir: string): DecoderRule {
  if (decoder === null) return { kind: "words", prefix: undefined, hasCleanup: false };
  if (!isObject(decoder)) return refuse(dir, `the decoder ${JSON.stringify(decoder)}`);
  const steps =
    decoder.type === "Sequence" && Array.isArray(decoder.decoders) ? (decoder.decoders as Json[]) : [decoder];
  const [only] = steps;
  if (steps.length === 1 && only?.type === "ByteLevel") return { kind: "byte-level" };
  if (steps.length === 1 && only?.type === "WordPiece") {
    return {
      kind: "words",
      prefix: typeof only.prefix === "string" ? only.prefix : "##",
      hasCleanup: only.cleanup !== false,
    };
  }
  return pieceRule(steps, dir);
}

/** Sequences in the manner of SentencePiece: a space mark, byte tokens, fusing, one strip at the start. */
function pieceRule(steps: readonly Json[], dir: string): DecoderRule {
  const rule = {
    kind: "pieces" as const,
    space: undefined as string | undefined,
    hasByteTokens: false,
    stripSpaces: 0,
    isMetaspace: false,
    dropsFirstSpaces: false,
  };
  const names = steps.map((step) => String(step.type));
  const order = ["Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"];
  const isOrdered = names.every(
    (name, i) => order.includes(name) && (i === 0 || order.indexOf(name) > order.indexOf(names[i - 1] ?? "")),
  );
  if (!isOrdered || steps.length === 0) return refuse(dir, `the decoder ${names.join(" + ") || "without steps"}`);
  for (const step of steps) {
    if (step.type === "Replace") {
      const pattern = isObject(step.pattern) ? step.pattern.String : undefined;
      if (typeof pattern !== "string" || pattern === "" || step.content !== " ")
        return refuse(dir, `the decoder Replace ${JSON.stringify(step)}`);
      rule.space = pattern;
    } else if (step.type === "ByteFallback") rule.hasByteTokens = true;
    else if (step.type === "Strip") {
      if (step.content !== " " || (step.stop ?? 0) !== 0 || typeof step.start !== "number" || !names.includes("Fuse"))
        return refuse(dir, `the decoder Strip ${JSON.stringify(step)}`);
      rule.stripSpaces = step.start;
    } else if (step.type === "Metaspace") {
      if (rule.space !== undefined || names.includes("Fuse")) return refuse(dir, `the decoder ${names.join(" + ")}`);
      rule.space = typeof step.replacement === "string" ? step.replacement : "\u2581";
      rule.isMetaspace = true;
      // Files before tokenizers 0.15 say add_prefix_space instead of prepend_scheme.
      rule.dropsFirstSpaces =
        (step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always")) !== "never";
    }
  }
  return rule;
}
