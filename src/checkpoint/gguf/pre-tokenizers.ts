/**
 * Splitting of text into words before byte-level BPE, by the GGUF name (`tokenizer.ggml.pre`).
 * Each pattern splits the pieces that the previous one left.
 * Source: the tokenizer.json of each named model (llama.cpp, convert_hf_to_gguf_update.py)
 * and llama.cpp's own patterns (src/llama-vocab.cpp, November 2026).
 * `test/golden/gguf/pre-tokenizers.json` holds llama.cpp's ids.
 */

export interface PreTokenizer {
  readonly patterns: readonly string[];
  /** Whether texts are composed first (NFC). */
  readonly isComposed: boolean;
  /** Whether a word that is a token always becomes that token, even against its merges. */
  readonly ignoresMerges: boolean;
  /** Whether texts begin with bos where the file does not say. */
  readonly addsBos: boolean;
}

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const SPACES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const words = (numbers: string): string =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`;
const LLAMA3 = words("\\p{N}{1,3}");
const QWEN2 = words("\\p{N}");

/**
 * A pattern for words that begin with capitals and end with small letters. `end` matches the text that may follow a
 * word.
 */
const cased = (end: string, numbers: string): string => {
  const [upper, lower] = ["[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"];
  const before = "[^\\r\\n\\p{L}\\p{N}]?";
  return `${before}${upper}*${lower}+${end}|${before}${upper}+${lower}*${end}|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`;
};

// Chinese, Japanese and Korean characters that DeepSeek's tokenizers separate from the text around them.
const CODER_CJK = "[\\u4e00-\\u9fa5\\u0800-\\u4e00\\uac00-\\ud7ff]+";
const V3_CJK = "[\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff]+";
const V3_WORDS = `[!"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_\`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`;
const BLOOM = " ?[^(\\s|.,!?…。，、।۔،)]+";

function plain(...patterns: string[]): PreTokenizer {
  return { patterns, isComposed: false, ignoresMerges: false, addsBos: false };
}

const GPT2_WORDS = plain(GPT2);
const COMPOSED_GPT2 = { ...GPT2_WORDS, isComposed: true };
const SINGLE_DIGITS = plain("\\p{N}", GPT2);
const LLAMA3_WORDS = { ...plain(LLAMA3), ignoresMerges: true, addsBos: true };
const GPT4O_WORDS = plain(cased(`${CONTRACTIONS}?`, "\\p{N}{1,3}"));

/** llama.cpp's own choice for files that name none. */
export const DEFAULT_PRE = "default";

const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  [DEFAULT_PRE]: plain("[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"),
  "gpt-2": GPT2_WORDS,
  "phi-2": GPT2_WORDS,
  gigachat: GPT2_WORDS,
  "a.x-4.0": GPT2_WORDS,
  mellum: GPT2_WORDS,
  exaone4: GPT2_WORDS,
  jais: GPT2_WORDS,
  trillion: GPT2_WORDS,
  "granite-docling": GPT2_WORDS,
  mpt: COMPOSED_GPT2,
  olmo: COMPOSED_GPT2,
  smollm: SINGLE_DIGITS,
  starcoder: SINGLE_DIGITS,
  refact: SINGLE_DIGITS,
  "command-r": SINGLE_DIGITS,
  codeshell: SINGLE_DIGITS,
  exaone: SINGLE_DIGITS,
  "minerva-7b": SINGLE_DIGITS,
  mellum2: SINGLE_DIGITS,
  "llama-bpe": LLAMA3_WORDS,
  llama3: LLAMA3_WORDS,
  "llama-v3": LLAMA3_WORDS,
  falcon3: LLAMA3_WORDS,
  "falcon-h1": LLAMA3_WORDS,
  pixtral: LLAMA3_WORDS,
  "midm-2.0": LLAMA3_WORDS,
  lfm2: LLAMA3_WORDS,
  dbrx: plain(LLAMA3),
  "smaug-bpe": plain(LLAMA3),
  "chatglm-bpe": plain(LLAMA3),
  glm4: { ...plain(LLAMA3), ignoresMerges: true },
  qwen2: { ...plain(QWEN2), isComposed: true },
  "deepseek-r1-qwen": plain(QWEN2),
  megrez: plain(QWEN2),
  hunyuan: plain(QWEN2),
  stablelm2: plain(QWEN2),
  "grok-2": plain(QWEN2),
  "solar-open": plain(QWEN2),
  tekken: { ...plain(cased("", "\\p{N}")), ignoresMerges: true, addsBos: true },
  "gpt-4o": GPT4O_WORDS,
  llama4: GPT4O_WORDS,
  kanana2: GPT4O_WORDS,
  "deepseek-coder": plain("[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CODER_CJK, "\\p{N}"),
  "deepseek-v3": plain("\\p{N}{1,3}", V3_CJK, V3_WORDS),
  "hunyuan-dense": plain("\\p{N}{1,3}", V3_CJK, V3_WORDS),
  "seed-coder": plain(`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${SPACES}`),
  falcon: plain("[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"),
  bloom: plain(BLOOM),
  "poro-chat": plain(BLOOM),
  "gpt3-finnish": plain(BLOOM),
  viking: plain(BLOOM, "\\p{N}"),
};

export function preTokenizerOf(name: string): PreTokenizer | undefined {
  return Object.hasOwn(PRE_TOKENIZERS, name) ? PRE_TOKENIZERS[name] : undefined;
}

export const PRE_TOKENIZER_NAMES: readonly string[] = Object.keys(PRE_TOKENIZERS);
