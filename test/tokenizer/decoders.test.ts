/** Decoders against those of the original, over unusual token sequences (test/golden/tokenizer-steps). */
import { describe, expect, it } from "vitest";
import { decoderRule } from "../../src/tokenizer/files/decoder-rule.ts";
import { createTokenDecoder } from "../../src/tokenizer/stream-decoder.ts";
import { readJson } from "../helpers/fixtures.ts";

interface Decoders {
  readonly decoders: readonly {
    /** null: tokenizer.json has none. */
    readonly config: Readonly<Record<string, unknown>> | null;
    readonly tokens: readonly (readonly string[])[];
    readonly texts: readonly string[];
  }[];
}

const { decoders } = readJson<Decoders>(import.meta.dirname, "..", "golden", "tokenizer-steps", "decoders.json");
const refuse = (what: string): never => {
  throw new Error(what);
};

describe("a decoder", () => {
  it.each(decoders.map((one) => [JSON.stringify(one.config).slice(0, 160), one] as const))("%s", (_, one) => {
    const rule = decoderRule(one.config, refuse);
    const wrong = one.tokens.flatMap((tokens, i) => {
      const decoder = createTokenDecoder(rule);
      const text = tokens.map((token) => decoder.push(token)).join("") + decoder.flush();
      return text === one.texts[i] ? [] : [{ tokens, text, wanted: one.texts[i] }];
    });
    expect(wrong).toEqual([]);
  });

  it.each([
    { type: "CTC", pad_token: "<pad>", word_delimiter_token: "|", cleanup: true },
    { type: "Sequence", decoders: [{ type: "ByteLevel" }, { type: "Strip", content: " ", start: 1, stop: 0 }] },
    { type: "Replace", pattern: { Regex: "a+" }, content: " " },
  ])("that is not known is refused by name: %j", (config) => {
    expect(() => decoderRule(config, refuse)).toThrow(/^the decoder \w/);
  });
});
