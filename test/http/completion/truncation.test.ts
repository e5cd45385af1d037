/**
 * Cut prompts, compared with transformers' `truncation=True, max_length=5` on both `truncation_side`s (transformers
 * 5.24.0).
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { truncate } from "../../../src/http/completion/truncation.ts";
import { loadTokenizer } from "../../../src/tokenizer/tokenizer.ts";

const TOKENIZERS = join(import.meta.dirname, "..", "..", "golden", "text", "tokenizers");
const TEXT = "The quick brown fox jumps";

describe("a prompt that is cut", () => {
  it.each([
    ["sentencepiece-llama2", [1, 383, 327, 865, 1141], [1, 558, 662, 901, 328]],
    ["byte-level-llama3", [1000, 73, 656, 79, 82], [1000, 278, 389, 721, 74]],
    ["wordpiece-bert", [2, 218, 658, 884, 3], [2, 409, 474, 685, 3]],
  ])("keeps the special tokens around it: %s", async (name, left, right) => {
    const tokenizer = await loadTokenizer(join(TOKENIZERS, name));
    const ids = Int32Array.from(tokenizer.encode(TEXT));
    const bare = Int32Array.from(tokenizer.encode(TEXT, { addSpecialTokens: false }));
    expect([...truncate(ids, { numKept: 5, side: "left" }, bare)]).toEqual(left);
    expect([...truncate(ids, { numKept: 5, side: "right" }, bare)]).toEqual(right);
    expect(truncate(ids, { numKept: ids.length, side: "left" }, bare)).toEqual(ids);
  });

  it("of ids is cut as it stands", () => {
    expect([...truncate(Int32Array.of(1, 2, 3, 4), { numKept: 3, side: "left" })]).toEqual([2, 3, 4]);
    expect([...truncate(Int32Array.of(1, 2, 3, 4), { numKept: 3, side: "right" })]).toEqual([1, 2, 3]);
  });
});
