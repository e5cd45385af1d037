/** Tokenizers and chat templates of models. */
import { AppError } from "../../src/errors.ts";
import { JinjaError, parseJinja, renderParsed } from "../../src/jinja/jinja.ts";
import { readTexts } from "../../src/tokenizer/files/text-files.ts";
import { makeTokenizer } from "../../src/tokenizer/tokenizer.ts";
import { damagedJson } from "../inputs/json.ts";
import { damagedText } from "../inputs/text.ts";
import { MAX_SECONDS, type Target } from "../target.ts";

const added = (id: number, content: string, special = true) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special,
});
const vocab = Object.fromEntries(
  [...Array.from("abcdehlow\u0120"), "he", "ll", "hell", "\u0120w"].map((token, i) => [token, i]),
);
const TOKENIZERS = [
  {
    version: "1.0",
    added_tokens: [added(20, "<s>"), added(21, "</s>"), added(22, "<tool>", false)],
    normalizer: {
      type: "Sequence",
      normalizers: [{ type: "NFC" }, { type: "Replace", pattern: { String: "x" }, content: "y" }],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Digits", individual_digits: true },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<s>": { id: "<s>", ids: [20], tokens: ["<s>"] } },
    },
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: ["h e", "l l", "he ll", "\u0120 w"],
    },
  },
  {
    added_tokens: [added(0, "<unk>")],
    normalizer: { type: "Prepend", prepend: "\u2581" },
    pre_tokenizer: { type: "Metaspace", replacement: "\u2581", prepend_scheme: "always", split: true },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "\u2581" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "Unigram",
      unk_id: 0,
      byte_fallback: false,
      vocab: [
        ["<unk>", 0],
        ["\u2581", -1],
        ["h", -2],
        ["hello", -3.5],
      ],
    },
  },
  {
    added_tokens: [added(0, "[UNK]")],
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: { "[UNK]": 0, hello: 1, "##s": 2, w: 3 },
    },
  },
];
const WORDS =
  "type BPE Unigram WordPiece vocab merges unk_token Sequence Split Regex String pattern behavior Isolated Removed invert ByteLevel Metaspace Whitespace Punctuation Digits Lowercase NFKC NFD Strip StripAccents Precompiled Prepend Replace TemplateProcessing BertProcessing RobertaProcessing ByteFallback Fuse CTC decoders normalizers pretokenizers processors added_tokens content id special single_word".split(
    " ",
  );

const tokenizer: Target = {
  name: "tokenizer",
  makeInput: (random) => damagedJson(random.one(TOKENIZERS), WORDS, random),
  read: async (input) => {
    const texts = new Map([["tokenizer.json", () => Promise.resolve(input)]]);
    const tokens = makeTokenizer((await readTexts(texts, "x")).tokenizer, "x");
    const ids = tokens.encode("<s>hello w\u00e9 12");
    tokens.decode(ids, { skipSpecialTokens: false });
  },
  maxSeconds: MAX_SECONDS,
};

const TEMPLATES = [
  "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{{ m.content | trim }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
  "{%- macro show(x, depth=1) -%}{{ x | tojson(indent=2) }}{%- endmacro -%}{% set ns = namespace(n=0) %}{% for m in messages if m.role != 'system' %}{% set ns.n = ns.n + 1 %}{{ show(m) }}{{ loop.index0 ~ loop.last }}{% else %}none{% endfor %}{{ ns.n // 2 ** 2 }}",
  "{%- if tools is defined and tools -%}{% for t in tools | selectattr('type', 'equalto', 'function') | list %}{{ t.function.name.split('.')[-1] | upper | replace('A', 'b') }}{% endfor %}{%- endif -%}{{ raise_exception('no') if messages | length > 9 else messages[::-1][0]['content'][:3] }}",
  "{% set a = [1, 2.5, 'x', {'k': none}] %}{{ a | map('string') | join(', ') | title }}{{ 'ab' * 3 }}{{ strftime_now('%Y') | length }}{% generation %}{{ a[3].k is none }}{% endgeneration %}{{ range(5) | sum }}{{ dict(a=1).items() | list | first }}",
];
const JINJA_WORDS =
  "{% %} {{ }} {%- -%} {# #} for in if elif else endif endfor set endset macro endmacro call endcall filter endfilter loop.index loop.previtem namespace range messages content | tojson trim join length map list sort reverse dictsort groupby batch items is defined none not and or == != ~ ** // % [ ] ( ) : , . 'x' 9999999999 -1 1e308 [::2] * 1000 caller() recursive loop( break continue ".split(
    " ",
  );
const VARIABLES = {
  messages: [
    { role: "system", content: "be brief" },
    { role: "user", content: "hello" },
  ],
  tools: [{ type: "function", function: { name: "a.b", parameters: { type: "object" } } }],
  add_generation_prompt: true,
  bos_token: "<s>",
};

const jinja: Target = {
  name: "jinja",
  makeInput: (random) => Buffer.from(damagedText(random.one(TEMPLATES), random.one(TEMPLATES), JINJA_WORDS, random)),
  read: (input) => {
    try {
      renderParsed(parseJinja(Buffer.from(input).toString("utf8")), VARIABLES, () => new Date(0));
    } catch (error) {
      if (!(error instanceof JinjaError)) throw error;
      throw new AppError("invalid_request", error.message); // as the caller does
    }
  },
  // A template's own budget is about a second on a quiet machine.
  maxSeconds: 15,
};

export const TEXT_TARGETS: readonly Target[] = [tokenizer, jinja];
