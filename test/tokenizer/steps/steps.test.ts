/** Normalizers and pre-tokenizers against those of the original, over unusual texts (test/golden/tokenizer-steps). */
import { describe, expect, it } from "vitest";
import { makeNormalizer } from "../../../src/tokenizer/steps/normalizers.ts";
import { makePreTokenizer } from "../../../src/tokenizer/steps/pre-tokenizers.ts";
import { readJson } from "../../helpers/fixtures.ts";

type Config = Readonly<Record<string, unknown>>;

interface Steps {
  readonly texts: readonly string[];
  readonly preTokenizers: readonly { readonly config: Config; readonly words: readonly (readonly string[])[] }[];
  readonly normalizers: readonly { readonly config: Config; readonly texts: readonly string[] }[];
}

const { texts, preTokenizers, normalizers } = readJson<Steps>(
  import.meta.dirname,
  "..",
  "..",
  "golden",
  "tokenizer-steps",
  "steps.json",
);
const nameOf = (config: Config): string => JSON.stringify(config).slice(0, 120);

describe("a pre-tokenizer", () => {
  it.each(preTokenizers.map((one) => [nameOf(one.config), one] as const))("%s", (_, { config, words }) => {
    const step = makePreTokenizer(config);
    texts.forEach((text, i) => expect(step(text, true), JSON.stringify(text)).toEqual(words[i]));
  });
});

describe("a normalizer", () => {
  it.each(normalizers.map((one) => [nameOf(one.config), one] as const))("%s", (_, { config, texts: wanted }) => {
    const step = makeNormalizer(config);
    texts.forEach((text, i) => expect(step?.(text), JSON.stringify(text)).toBe(wanted[i]));
  });
});
