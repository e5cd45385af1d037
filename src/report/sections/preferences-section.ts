/**
 * Preferences over the steps: the rewards of chosen and rejected answers, and the share of pairs in the right order.
 */
import type { EvaluationLine, RewardName, StepLine } from "../../train/step-log.ts";
import { type LineSeries, lineChart } from "../charts/line-chart.ts";
import { type Markup, markup } from "../charts/markup.ts";
import { fixed } from "../charts/numbers.ts";
import type { ReportData } from "../report-data.ts";
import { type Point, smoothed, thinned } from "./curves.ts";

const MOST_POINTS = 700;

/** null where the run has no preferences. */
export function preferencesSection({ log }: ReportData): Markup | null {
  const steps = log.filter((line): line is StepLine => "loss" in line && "rewards/margins" in line);
  if (steps.length === 0) return null;
  const evaluations = log.filter((line): line is EvaluationLine => "evalLoss" in line && "rewards/margins" in line);
  const [margin, accuracy] = [evaluations.at(-1)?.["rewards/margins"], evaluations.at(-1)?.["rewards/accuracies"]];
  const common = { xLabel: "step", isWholeX: true };
  const held = (name: RewardName, label: string, colour: number): readonly LineSeries[] =>
    evaluations.length === 0 ? [] : [{ label, points: pointsOf(evaluations, name), colour, hasMarkers: true }];
  return markup`<p>The reward of an answer is β times the gain of its log-probability over the model at the start.</p>
<div class="charts">
<figure><figcaption>Rewards</figcaption>${lineChart({
    ...common,
    id: "rewards",
    title: "Rewards by step",
    description: `Mean rewards of chosen and rejected answers.${margin === undefined ? "" : ` Held-out margin at the end: ${fixed(margin, 3)}.`}`,
    yLabel: "reward",
    series: [
      { label: "chosen", points: meanOf(steps, "rewards/chosen"), colour: 0 },
      { label: "rejected", points: meanOf(steps, "rewards/rejected"), colour: 1 },
      ...held("rewards/chosen", "chosen, held-out", 2),
      ...held("rewards/rejected", "rejected, held-out", 3),
    ],
  })}</figure>
<figure><figcaption>Accuracy</figcaption>${lineChart({
    ...common,
    id: "accuracies",
    title: "Pairs in the right order by step",
    description: `Share of pairs whose chosen answer has the greater reward.${accuracy === undefined ? "" : ` Held-out at the end: ${fixed(accuracy, 3)}.`}`,
    yLabel: "share of pairs",
    startsAtZero: true,
    series: [
      { label: "training", points: meanOf(steps, "rewards/accuracies"), colour: 0 },
      ...held("rewards/accuracies", "held-out", 1),
    ],
  })}</figure>
</div>`;
}

/** The running mean over the steps: single batches have few pairs. */
function meanOf(steps: readonly StepLine[], name: RewardName): readonly Point[] {
  const points = pointsOf(steps, name);
  return thinned(smoothed(points, Math.min(50, Math.round(points.length / 40))), MOST_POINTS);
}

function pointsOf(lines: readonly (StepLine | EvaluationLine)[], name: RewardName): readonly Point[] {
  return lines.map((line) => [line.step, line[name] ?? 0]);
}
