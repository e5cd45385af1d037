import { describe, expect, it } from "vitest";
import { planTokenizer } from "../../src/checkpoint/gguf/tokenizer-json.ts";
import { MetadataReader } from "../../src/checkpoint/gguf/metadata-reader.ts";
import { PRE_TOKENIZER_NAMES, preTokenizerOf } from "../../src/checkpoint/gguf/pre-tokenizers.ts";
import { readVocabulary } from "../../src/checkpoint/gguf/vocabulary.ts";
import type { GgufValue } from "../../src/formats/gguf/metadata.ts";
import { makeTokenizer } from "../../src/tokenizer/tokenizer.ts";
import { checkTokenizer } from "../../src/tokenizer/files/tokenizer-files.ts";
import { GGUF_GOLDEN, readJson } from "../helpers/fixtures.ts";

interface Golden {
  readonly tokens: readonly string[];
  readonly merges: readonly string[];
  readonly texts: readonly string[];
  /** Ids of every text by llama.cpp, for the names whose words are alike. */
  readonly groups: readonly { readonly names: readonly string[]; readonly ids: readonly (readonly number[])[] }[];
}

const golden = readJson<Golden>(GGUF_GOLDEN, "pre-tokenizers.json");
const cases = golden.groups.flatMap(({ names, ids }) => names.map((name) => [name, ids] as const));

const CASED = ["tekken", "gpt-4o", "llama4", "kanana2"];

/** Where llama.cpp differs from the models' own tokenizer.json, which is what a checkpoint has. */
function isOwn(name: string, text: string): boolean {
  // It composes no text (NFC), and its letters have no combining marks.
  if (preTokenizerOf(name)?.isComposed === true && text !== text.normalize("NFC")) return false;
  if (CASED.includes(name) && /\p{M}/u.test(text)) return false;
  // It takes every space for an ASCII one before it looks for the characters from U+0800 to U+4E00.
  return name !== "deepseek-coder" || !/[\u2028\u3000]/.test(text);
}

function tokenizerOf(name: string): ReturnType<typeof makeTokenizer> {
  const metadata = new MetadataReader(
    "vocabulary.gguf",
    new Map<string, GgufValue>([
      ["general.architecture", "llama"],
      ["tokenizer.ggml.model", "gpt2"],
      ["tokenizer.ggml.pre", name],
      ["tokenizer.ggml.tokens", golden.tokens],
      ["tokenizer.ggml.merges", golden.merges],
    ]),
  );
  const json = planTokenizer(metadata, readVocabulary(metadata), null).make();
  const config = { tokenizer_class: "PreTrainedTokenizerFast" };
  return makeTokenizer(checkTokenizer(json as Record<string, unknown>, config, name), name);
}

describe("the words of a byte-level tokenizer", () => {
  it("are recorded for every name that is known", () => {
    expect(cases.map(([name]) => name).sort()).toEqual([...PRE_TOKENIZER_NAMES].sort());
  });

  it.each(cases)("are llama.cpp's for %s", (name, ids) => {
    const tokenizer = tokenizerOf(name);
    for (const [i, text] of golden.texts.entries())
      if (isOwn(name, text))
        expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids[i]);
  });
});
