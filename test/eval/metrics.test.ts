import { describe, expect, it } from "vitest";
import { parseExample } from "../../src/data/examples.ts";
import { addUp } from "../../src/eval/bootstrap.ts";
import { scoreOf, TEXT_METRICS, type TextMetricName } from "../../src/eval/metrics.ts";

const judgeFor = (metric: TextMetricName, line: object) =>
  TEXT_METRICS[metric].judgeFor(parseExample(JSON.stringify(line), "d.jsonl", 2));
const score = (metric: TextMetricName, line: object, texts: readonly string[]) =>
  scoreOf(metric, addUp(texts.map((text) => judgeFor(metric, line).judge(text).statistics)));

describe("a metric of text", () => {
  it.each([
    ["exact", { prompt: "p", completion: " yes \n" }, ["yes", " yes", "yes.", "Yes"], 0.5],
    ["exact", { prompt: "p", references: ["a", "b"] }, ["a", "b", "c", "a b"], 0.5],
    ["contains", { prompt: "p", answer: "4" }, ["it is 4", "44", "five", ""], 0.5],
    ["number", { prompt: "p", answer: "1,000.0", kind: "number" }, ["= 1000", "1,000", "1 000", "none"], 0.5],
    ["number", { prompt: "p", completion: "2+2 = 4. The answer is 4." }, ["4", "so 4.", "5", "4 5"], 0.5],
    ["choice", { prompt: "p", answer: "true", kind: "true-false" }, ["true", "untrue", "false", "True"], 0.5],
    ["choice", { prompt: "p", answer: "answer2" }, ["answer2", "the answer2", "answer1 answer2", "2"], 0.5],
    [
      "exact",
      {
        messages: [
          { role: "assistant", content: "x" },
          { role: "user", content: "q" },
          { role: "assistant", content: "y" },
        ],
      },
      ["y", "x"],
      0.5,
    ],
  ] as const)("%s is the share of right answers to %j", (metric, line, texts, share) => {
    expect(score(metric, line, texts)).toBe(share);
  });

  it("bleu is that of the corpus, not a mean of lines", () => {
    const line = { prompt: "p", references: ["the cat sat on the mat today"] };
    expect(score("bleu", line, ["the cat sat on the mat today"])).toBeCloseTo(100, 9);
    const half = score("bleu", line, ["the cat sat on the mat today", "x"]);
    expect(half).toBeGreaterThan(0);
    expect(half).not.toBeCloseTo(50, 0);
  });

  it("notes what it found and whether that is right", () => {
    expect(judgeFor("number", { prompt: "p", answer: "4" }).judge("3 or 4").notes).toEqual({
      extracted: 4,
      right: true,
    });
    expect(judgeFor("choice", { prompt: "p", answer: "B" }).judge("b").notes).toEqual({ extracted: "", right: false });
  });

  it.each([
    ["number", { prompt: "p", answer: "four" }, /a number was expected as the answer, found "four"/],
    ["number", { prompt: "p", completion: "none" }, /a number was expected/],
    ["number", { prompt: "p", answer: "A", kind: "letter" }, /use --metric choice/],
    ["choice", { prompt: "p", completion: "A" }, /"answer" is missing/],
    ["choice", { prompt: "p", answer: "4", kind: "number" }, /use --metric number/],
    ["choice", { prompt: "p", answer: "maybe" }, /"maybe" is not a word of any kind/],
    ["choice", { prompt: "p", answer: "F", kind: "letter" }, /"F" is not a word of the kind "letter"/],
  ] as const)("%s refuses %j with file and line", (metric, line, reason) => {
    expect(() => judgeFor(metric, line)).toThrow(
      expect.objectContaining({ code: "data_invalid", message: expect.stringMatching(/^d\.jsonl, line 2: /) }),
    );
    expect(() => judgeFor(metric, line)).toThrow(reason);
  });
});
