/** The grid of learning rates: how runs are judged and shown, and the classification made from E2E's attribute. */
import { describe, expect, it } from "vitest";
import { familyExamples, familyQuestions } from "../../scripts/study/family-friendly.ts";
import { hasCollapsed, judged, renderRatePage } from "../../scripts/study/rate-page.ts";
import type { RateResult } from "../../scripts/study/rate-runs.ts";

const run = (of: Partial<RateResult>): RateResult => ({
  model: "demo",
  task: "facts",
  rate: 0.2,
  trust: 0.3,
  steps: 60,
  batchSize: 8,
  seed: 1,
  baseId: "b",
  numParams: 1,
  baseLoss: 5,
  loss: 1,
  firstLoss: 5,
  peakLoss: 4,
  accuracy: null,
  seconds: 1,
  ...of,
});

describe("the grid of rates", () => {
  it("calls a run collapsed that ends above its base or jumped far above its first loss", () => {
    expect(hasCollapsed(run({}))).toBe(false);
    expect(hasCollapsed(run({ loss: 5.1 }))).toBe(true);
    expect(hasCollapsed(run({ loss: Number.NaN }))).toBe(true);
    expect(hasCollapsed(run({ peakLoss: 11 }))).toBe(true);
  });

  it("measures each run by the drop of the best one", () => {
    const shares = judged([run({}), run({ rate: 0.4, loss: 3 })]).map(({ share, isDefault }) => [share, isDefault]);
    expect(shares).toEqual([
      [1, true],
      [0.5, false],
    ]);
  });

  it("says of every model and task whether the default is within 2 % of the best", () => {
    const near = [run({ loss: 1.05 }), run({ rate: 0.1, loss: 1 })];
    const far = [run({ model: "other", loss: 1.5 }), run({ model: "other", rate: 0.1, loss: 1 })];
    const page = renderRatePage([...near, ...far, run({ model: "lone" })], "What follows.");
    expect(page).toContain("| lone: facts, 60 steps of 8 |  | no other rate was run |");
    expect(page).toContain("| demo: facts, 60 steps of 8 | 0.988 | within 2 % |");
    expect(page).toContain("| other: facts, 60 steps of 8 | 0.875 | not within 2 % |");
    expect(page).toContain("| **0.2, trust 0.3** | 1 | 5.000 → 1.050 | 0.988 | 4.00 |  |  |");
  });
});

describe("the classification", () => {
  const meanings = ["name : A | family friendly : yes", "name : B | family friendly : no", "name : C"];

  it("asks of sentences whose attribute is known, and of no others", () => {
    const lines = meanings.map((prompt) => JSON.stringify({ prompt, completion: `${prompt.slice(7, 8)} is nice .` }));
    expect(familyExamples(lines).map((line) => JSON.parse(line) as unknown)).toEqual([
      { prompt: "A is nice .\nIs the place family-friendly: true or false?\n", completion: "true" },
      { prompt: "B is nice .\nIs the place family-friendly: true or false?\n", completion: "false" },
    ]);
  });

  it("spreads held-out questions over the places", () => {
    const references = ["one", "two", "three", "four", "five"];
    const lines = meanings.map((prompt) => JSON.stringify({ prompt, references }));
    const { examples, prompts } = familyQuestions(lines, 2);
    expect(examples.map((line) => (JSON.parse(line) as { completion: string }).completion)).toEqual(["true", "false"]);
    expect(prompts.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { answer: "true", kind: "true-false" },
      { answer: "false", kind: "true-false" },
    ]);
  });
});
