/** Which of the two files counts, and what is refused. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  loadGenerationDefaults,
  readGenerationDefaults,
  unheededNotice,
} from "../../../src/tokenizer/files/generation-config.ts";
import { casesIn, fixturesDir, readJson } from "../../helpers/fixtures.ts";

const MODELS = fixturesDir("models");

describe("generation defaults", () => {
  it.each(casesIn(MODELS, "generation_config.json"))("reads the end tokens of %s", async (name) => {
    const { eos_token_id: ends } = readJson<{ eos_token_id?: number | number[] }>(
      MODELS,
      name,
      "generation_config.json",
    );
    const defaults = await loadGenerationDefaults(join(MODELS, name));
    expect(defaults.eosTokenIds).toEqual([ends ?? []].flat());
  });

  it("lets generation_config.json outrank config.json field by field", () => {
    const model = { eos_token_id: 2, bos_token_id: 1, temperature: 0.1 };
    expect(readGenerationDefaults({ eos_token_id: [5, 6], top_k: 20, temperature: 0.7 }, model)).toMatchObject({
      eosTokenIds: [5, 6, 2],
      bosTokenId: 1,
      topK: 20,
      temperature: 0.7,
    });
    expect(readGenerationDefaults({}, model)).toMatchObject({ eosTokenIds: [2], temperature: undefined });
  });

  it("names the settings that would change answers and are not heeded", () => {
    const neutral = { num_beams: 1, typical_p: 1, suppress_tokens: [], max_new_tokens: null, min_length: 0 };
    expect(unheededNotice({ ...neutral, temperature: 0.5, eos_token_id: 1, max_length: 20 })).toBeNull();
    const notice = unheededNotice({ ...neutral, num_beams: 4, suppress_tokens: [5], max_new_tokens: 9 });
    expect(notice).toContain("sets max_new_tokens, suppress_tokens, num_beams, which");
    const others = { encoder_repetition_penalty: 1.2, top_h: 0.4, force_words_ids: [[5]], token_healing: true };
    expect(unheededNotice(others)).toMatch(/encoder_repetition_penalty.*force_words_ids.*top_h.*token_healing/);
  });

  it("reports a max_length that ends answers before the context does", () => {
    const models = [{ max_position_embeddings: 2048 }, { text_config: { max_position_embeddings: 2048 } }];
    for (const model of models) {
      expect(unheededNotice({ max_length: 2048 }, model)).toBeNull();
      expect(unheededNotice({ max_length: 512 }, model)).toContain("sets max_length, which");
    }
  });

  it("finds the ids of a nested text configuration", () => {
    expect(readGenerationDefaults({}, { text_config: { eos_token_id: [1, 106] } }).eosTokenIds).toEqual([1, 106]);
  });

  it.each([
    { eos_token_id: "2" },
    { eos_token_id: [1, -7] },
    { temperature: -1 },
    { top_p: 2 },
    { repetition_penalty: "x" },
  ])("refuses %j", (generation) => {
    expect(() => readGenerationDefaults(generation, {})).toThrow(
      expect.objectContaining({ code: "checkpoint_invalid" }),
    );
  });
});
