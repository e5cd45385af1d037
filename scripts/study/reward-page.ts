/** What rewards teach, as a page: one curve and one row for each size of the adapter. Pure. */
import { lineChart } from "../../src/report/charts/line-chart.ts";
import { significant } from "../../src/report/charts/numbers.ts";
import { standalone } from "./figures.ts";
import { table, wrapped } from "./markdown.ts";
import type { RewardResult } from "./reward-runs.ts";

/** The held-out reward that counts as learnt. */
const LEARNT = 0.8;

/** The first evaluation from which on the reward counts as learnt; null: none. */
export function stepsToLearn({ curve }: RewardResult): number | null {
  return curve.find(([, reward]) => reward >= LEARNT)?.[0] ?? null;
}

const TEXT = `The demo answers a word problem with a number. Only an answer in round tens gets the reward of 1, and no example shows such an answer. A step has 8 of 300 problems, with 8 sampled answers each. The held-out reward is the share of 60 other problems, with other names and numbers, whose likeliest answer is in round tens. Whether the number is right does not count. Learnt: the first evaluation with a reward of at least ${LEARNT}. Difference: the largest one between a token's log-probabilities in the sampler and in the trainer, in float32. Regenerate with \`npm run study:rewards\`. Runs in \`docs/study/rewards.jsonl\` are not run again.`;

/** @param figure path of the picture, as the page refers to it */
export function renderRewardPage(results: readonly RewardResult[], figure: string): string {
  const rows = results.map((result) => {
    const { targets, rate, numParams, curve, largestDifference, seconds } = result;
    const [before, after] = [curve[0]?.[1] ?? Number.NaN, curve.at(-1)?.[1] ?? Number.NaN];
    const learnt = stepsToLearn(result);
    return [
      `${targets}, rate ${rate}`,
      numParams.toLocaleString("en"),
      `${before.toFixed(2)} → ${after.toFixed(2)}`,
      learnt === null ? "not" : `after ${learnt} steps`,
      significant(largestDifference, 2),
      seconds.toFixed(0),
    ];
  });
  const head = ["Mo-SARA on", "numbers", "held-out reward", "learnt", "difference", "seconds"];
  const parts = ["# What rewards teach", wrapped(TEXT), `![Held-out reward by step](${figure})`, table(head, rows)];
  return `${parts.join("\n\n")}\n`;
}

/** The curves as an SVG file. */
export function rewardFigure(results: readonly RewardResult[]): string {
  const title = "Held-out reward by step";
  const series = results.map(({ rate, numParams, curve }, colour) => ({
    label: `${numParams.toLocaleString("en")} numbers, rate ${rate}`,
    points: curve,
    colour,
    hasMarkers: true,
  }));
  const labels = { xLabel: "step", yLabel: "reward" };
  const chart = lineChart({ id: "rewards", title, description: title, ...labels, isWholeX: true, series });
  return standalone(chart.text);
}
