/**
 * Applies the class that tokenizer_config.json declares to tokenizer.json.
 * The general classes of transformers use the file unchanged.
 * Some classes use only vocabulary, merges, added tokens and the post-processor, and add the other steps themselves.
 * `add_bos_token` and `add_eos_token` have no effect beside a tokenizer.json.
 * Source: transformers 5.24, AutoTokenizer and the classes named here.
 */
import { AppError, quote } from "../../errors.ts";
import { hasMerges } from "./merge-ranks.ts";
import { tokenText } from "./tokenizer-config.ts";
import { idsOfTokens } from "./vocabulary.ts";

type Json = Readonly<Record<string, unknown>>;

interface TokenizerClass {
  /** Special tokens where tokenizer_config.json names none. */
  readonly special: Json;
  readonly pipeline: (config: Json) => Json & { readonly model: Json };
  /** Whether the class adds its special tokens without the flags of the files. */
  readonly stripsFlags?: boolean;
}

/** The rule by which a class reads the added tokens of the files. */
export interface ClassTraits {
  /** From the configuration; tokenizer.json only completes it. */
  readonly rebuilds: boolean;
  /** Special tokens without their flags. */
  readonly strips: boolean;
}

/** The file is used unchanged. */
export const GENERAL_TRAITS: ClassTraits = { rebuilds: false, strips: false };

const SPACE = "\u2581";
const SPACES_BACK = [
  { type: "Replace", pattern: { String: SPACE }, content: " " },
  { type: "ByteFallback" },
  { type: "Fuse" },
];
const BYTE_LEVEL = { type: "ByteLevel", trim_offsets: true, use_regex: true };
const QWEN2_WORDS =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

function llama(config: Json): Json & { readonly model: Json } {
  const hasPrefix = (config.add_prefix_space ?? true) !== false;
  const scheme = hasPrefix ? (config.legacy === true ? "always" : "first") : "never";
  const strip = hasPrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [];
  return {
    model: { fuse_unk: true, byte_fallback: true, ignore_merges: false, unk_token: null },
    normalizer: null,
    pre_tokenizer: { type: "Metaspace", replacement: SPACE, prepend_scheme: scheme, split: false },
    decoder: { type: "Sequence", decoders: [...SPACES_BACK, ...strip] },
  };
}

function gemma(config: Json): Json & { readonly model: Json } {
  return {
    model: {
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      unk_token: tokenText(config.unk_token) ?? "<unk>",
    },
    normalizer: { type: "Replace", pattern: { String: " " }, content: SPACE },
    pre_tokenizer: { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false },
    decoder: { type: "Sequence", decoders: SPACES_BACK },
  };
}

const BYTE_MODEL = { fuse_unk: false, byte_fallback: false, ignore_merges: false, unk_token: null };

function qwen2(config: Json): Json & { readonly model: Json } {
  const hasPrefix = config.add_prefix_space === true;
  const split = { type: "Split", pattern: { Regex: QWEN2_WORDS }, behavior: "Isolated", invert: false };
  const bytes = { ...BYTE_LEVEL, add_prefix_space: hasPrefix, use_regex: false };
  return {
    model: BYTE_MODEL,
    normalizer: { type: "NFC" },
    pre_tokenizer: { type: "Sequence", pretokenizers: [split, bytes] },
    decoder: { ...BYTE_LEVEL, add_prefix_space: true },
  };
}

function gpt2(config: Json): Json & { readonly model: Json } {
  return {
    model: BYTE_MODEL,
    normalizer: null,
    pre_tokenizer: { ...BYTE_LEVEL, add_prefix_space: config.add_prefix_space === true },
    decoder: { ...BYTE_LEVEL, add_prefix_space: true },
  };
}

const END = "<|endoftext|>";
const CLASSES: Readonly<Record<string, TokenizerClass>> = {
  LlamaTokenizer: { special: { unk_token: "<unk>", bos_token: "<s>", eos_token: "</s>" }, pipeline: llama },
  GemmaTokenizer: {
    special: { unk_token: "<unk>", bos_token: "<bos>", eos_token: "<eos>", pad_token: "<pad>", mask_token: "<mask>" },
    pipeline: gemma,
  },
  Qwen2Tokenizer: { special: { unk_token: END, eos_token: END, pad_token: END }, pipeline: qwen2, stripsFlags: true },
  GPT2Tokenizer: { special: { unk_token: END, bos_token: END, eos_token: END }, pipeline: gpt2 },
};

/** The class of a family's tokenizer, if it is not a general class. */
const FAMILY_CLASS: Readonly<Record<string, string>> = {
  qwen2: "Qwen2Tokenizer",
  qwen3: "Qwen2Tokenizer",
  gemma2: "GemmaTokenizer",
  gemma3_text: "GemmaTokenizer",
  gpt2: "GPT2Tokenizer",
};
const GENERAL_CLASSES: ReadonlySet<string> = new Set(["PreTrainedTokenizer", "TokenizersBackend", "PythonBackend"]);
/** Families whose checkpoints often declare a wrong class. The declaration is ignored. */
const GENERAL_FAMILIES: ReadonlySet<string> = new Set(["mistral", "phi3", "olmo2"]);

/**
 * Completes tokenizer.json and its configuration as the declared class does.
 * @param modelType `model_type` of config.json
 * @throws {AppError} checkpoint_unsupported for a class whose file lacks a part that the class needs.
 */
export function applyTokenizerClass(
  json: Json,
  config: Json,
  modelType: unknown,
  dir: string,
): { readonly json: Json; readonly config: Json; readonly traits: ClassTraits } {
  const name = className(json, config, String(modelType));
  if (name === "CodeLlamaTokenizer")
    throw unsupported(`tokenizer_config.json in ${dir} declares ${name}, whose infilling is not supported`);
  const found = Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
  if (!found) return { json, config, traits: GENERAL_TRAITS };
  const given = (json.model ?? {}) as Json;
  if (Array.isArray(given.vocab) || !hasMerges(given))
    throw unsupported(
      `tokenizer_config.json in ${dir} declares ${name}, which needs merges, but tokenizer.json has none`,
    );
  const { model, ...pipeline } = found.pipeline(config);
  assertKnown(name, model.unk_token, idsOfTokens(given.vocab), dir);
  const completed = { ...json, ...pipeline, model: { ...given, ...model } };
  const traits = { rebuilds: true, strips: found.stripsFlags === true };
  return { json: completed, config: { ...found.special, ...config }, traits };
}

/** An unknown token that does not exist would get an id without a token. */
function assertKnown(name: string, token: unknown, ids: ReadonlyMap<string, number>, dir: string): void {
  if (typeof token !== "string" || ids.has(token)) return;
  throw new AppError(
    "checkpoint_invalid",
    `The tokenizer in ${dir} is a ${name}, which needs the token ${quote(token)}, but the vocabulary in tokenizer.json does not have it. If tokenizer.json is right, declare "tokenizer_class": "PreTrainedTokenizerFast" in tokenizer_config.json.`,
  );
}

function unsupported(what: string): AppError {
  return new AppError(
    "checkpoint_unsupported",
    `${what}. If tokenizer.json is right, declare "tokenizer_class": "PreTrainedTokenizerFast".`,
  );
}

function className(json: Json, config: Json, modelType: string): string {
  const own = FAMILY_CLASS[modelType] ?? "";
  // Checkpoints of Qwen2 often declare a wrong class. transformers uses its own class for all of them.
  if (typeof config.tokenizer_class !== "string" || modelType === "qwen2") return own;
  const declared = config.tokenizer_class.replace(/Fast$/, "");
  if (GENERAL_FAMILIES.has(modelType) || GENERAL_CLASSES.has(declared)) return "";
  // Llama 3 and others declare this class over a byte-level file, which it could not read.
  return declared === "LlamaTokenizer" && hasByteLevel(json.pre_tokenizer) ? "" : declared;
}

function hasByteLevel(preTokenizer: unknown): boolean {
  const step = (preTokenizer ?? {}) as { type?: unknown; pretokenizers?: unknown };
  return step.type === "ByteLevel" || (Array.isArray(step.pretokenizers) && step.pretokenizers.some(hasByteLevel));
}
