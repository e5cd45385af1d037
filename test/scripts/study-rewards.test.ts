/** The study of rewards: how its runs become a page and a picture. */
import { expect, it } from "vitest";
import { renderRewardPage, rewardFigure, stepsToLearn } from "../../scripts/study/reward-page.ts";
import type { RewardResult } from "../../scripts/study/reward-runs.ts";

const run = (curve: RewardResult["curve"]): RewardResult => ({
  targets: "v of the first layer",
  rate: 0.05,
  steps: 4,
  seed: 1,
  numParams: 1234,
  curve,
  largestDifference: 9.1e-6,
  seconds: 80.4,
});
const learning = run([
  [0, 0.1],
  [2, 0.85],
  [4, 0.75],
]);

it("counts a form as learnt from the first evaluation with enough reward", () => {
  expect(stepsToLearn(learning)).toBe(2);
  expect(stepsToLearn(run([[0, 0.1]]))).toBeNull();
});

it("shows the reward before and after, and a curve for each run", () => {
  const page = renderRewardPage([learning, run([[0, 0.1]])], "study/rewards.svg");
  expect(page).toContain(
    "| v of the first layer, rate 0.05 | 1,234 | 0.10 → 0.75 | after 2 steps | 9.1×10⁻⁶ | 80 |\n| v of the first layer, rate 0.05 | 1,234 | 0.10 → 0.10 | not |",
  );
  expect(page).toContain("](study/rewards.svg)");
  const picture = rewardFigure([learning, learning]);
  expect(picture).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  expect(picture.match(/1,234 numbers, rate 0\.05/g)?.length).toBeGreaterThanOrEqual(2);
});
