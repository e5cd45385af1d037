/** Rewards of graded answers over the steps, the length of the answers, and how far sampler and trainer are apart. */
import type { EvaluationLine, StepLine } from "../../train/step-log.ts";
import { lineChart } from "../charts/line-chart.ts";
import { type Markup, markup } from "../charts/markup.ts";
import { fixed, significant } from "../charts/numbers.ts";
import type { ReportData } from "../report-data.ts";
import { type Point, smoothed, thinned } from "./curves.ts";

const MOST_POINTS = 700;

/** null where no answer was graded. */
export function rewardsSection({ log }: ReportData): Markup | null {
  const steps = log.filter((line): line is StepLine => "loss" in line && "reward" in line);
  if (steps.length === 0) return null;
  const evaluations = log.flatMap((line: StepLine | EvaluationLine): Point[] =>
    "evalLoss" in line && line.reward !== undefined ? [[line.step, line.reward]] : [],
  );
  const [first, last] = [evaluations[0]?.[1], evaluations.at(-1)?.[1]];
  const held =
    first === undefined || last === undefined ? "" : ` Held-out reward from ${fixed(first, 3)} to ${fixed(last, 3)}.`;
  const common = { xLabel: "step", isWholeX: true, startsAtZero: true };
  const difference = Math.max(...steps.map((line) => line["sampling/sampling_logp_difference/max"] ?? 0));
  return markup`<p>A grader rates the model's own answers. The log-probabilities of a token in the sampler and in the trainer differ by at most ${significant(difference)}.</p>
<div class="charts">
<figure><figcaption>Reward</figcaption>${lineChart({
    ...common,
    id: "reward",
    title: "Reward by step",
    description: `Mean reward of the answers of a step.${held}`,
    yLabel: "reward",
    series: [
      { label: "sampled answers", points: meanOf(steps, "reward"), colour: 0 },
      { label: "deviation within a group", points: meanOf(steps, "reward_std"), colour: 2 },
      ...(evaluations.length === 0 ? [] : [{ label: "held-out", points: evaluations, colour: 1, hasMarkers: true }]),
    ],
  })}</figure>
<figure><figcaption>Length of answers</figcaption>${lineChart({
    ...common,
    id: "answer-length",
    title: "Length of answers by step",
    description: "Mean number of tokens of the sampled answers.",
    yLabel: "tokens",
    series: [{ label: "sampled answers", points: meanOf(steps, "completions/mean_length"), colour: 0 }],
  })}</figure>
</div>`;
}

/** The running mean over the steps: a step has few prompts. */
function meanOf(
  steps: readonly StepLine[],
  name: "reward" | "reward_std" | "completions/mean_length",
): readonly Point[] {
  const points = steps.map((line): Point => [line.step, line[name] ?? 0]);
  return thinned(smoothed(points, Math.min(50, Math.round(points.length / 40))), MOST_POINTS);
}
