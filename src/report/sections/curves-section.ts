/** Curves over the steps: loss and evaluations, learning rate, gradient norm, speed. */
import type { StepLine } from "../../train/step-log.ts";
import { least, most } from "../charts/chart.ts";
import { type Point, smoothed, thinned } from "./curves.ts";
import { type LineSeries, lineChart } from "../charts/line-chart.ts";
import { type Markup, markup } from "../charts/markup.ts";
import { count, fixed, significant } from "../charts/numbers.ts";
import type { ReportData } from "../report-data.ts";

/** Maximum number of points of a line, more than a chart can resolve. */
const MOST_POINTS = 700;
/** Ratio of greatest to least loss above which a log axis is used. */
const LOG_RATIO = 10;

/** The section; without any step, a sentence. */
export function curvesSection({ log, clip, headline }: ReportData): Markup {
  const steps = log.filter((line): line is StepLine => "loss" in line);
  if (steps.length === 0) return markup`<p>There was no step to draw.</p>`;
  // The surrogate loss of a run with rewards does not fall. The section of rewards shows the held-out results.
  const isGraded = steps.some((line) => "reward" in line);
  const evaluations = isGraded
    ? []
    : log.flatMap((line): Point[] => ("evalLoss" in line ? [[line.step, line.evalLoss]] : []));
  const common = { xLabel: "step", isWholeX: true };
  return markup`<div class="charts">
<figure><figcaption>Loss</figcaption>${lossChart(steps, evaluations, isGraded ? null : headline.evalLossBase)}</figure>
<figure><figcaption>Learning rate</figcaption>${lineChart({
    ...common,
    id: "learning-rate",
    title: "Learning rate by step",
    description: `The learning rate rises to ${significant(greatest(steps, "lr"))} and ends at ${significant(steps.at(-1)?.lr ?? 0)}.`,
    yLabel: "learning rate",
    startsAtZero: true,
    series: [{ label: "learning rate", points: thinned(pointsOf(steps, "lr"), MOST_POINTS), colour: 0 }],
  })}</figure>
<figure><figcaption>Gradient norm</figcaption>${normChart(steps, clip)}</figure>
<figure><figcaption>Speed</figcaption>${lineChart({
    ...common,
    id: "speed",
    title: "Tokens per second by step",
    description: `Tokens per second over ${count(steps.length)} steps, up to ${significant(greatest(steps, "tokensPerSecond"))}.`,
    yLabel: "tokens per second",
    startsAtZero: true,
    series: rawAndSmooth("speed", pointsOf(steps, "tokensPerSecond"), 0),
  })}</figure>
</div>`;
}

function lossChart(steps: readonly StepLine[], evaluations: readonly Point[], base: number | null): Markup {
  const losses = pointsOf(steps, "loss");
  const all = [...losses, ...evaluations].map(([, loss]) => loss).filter((loss) => loss > 0);
  const spread = most(all) / least(all);
  const last = evaluations.at(-1);
  const held = last ? ` Held-out loss from ${fixed(evaluations[0]?.[1] ?? 0, 3)} to ${fixed(last[1], 3)}.` : "";
  return lineChart({
    id: "loss",
    title: "Training and held-out loss by step",
    description: `Training loss from ${fixed(losses[0]?.[1] ?? 0, 3)} to ${fixed(losses.at(-1)?.[1] ?? 0, 3)} over ${count(steps.length)} steps.${held}`,
    xLabel: "step",
    isWholeX: true,
    yLabel: lossUnit(steps),
    isLogY: spread > LOG_RATIO && losses.every(([, loss]) => loss > 0),
    series: [
      ...rawAndSmooth("training", losses, 0),
      ...(last ? [{ label: "held-out", points: evaluations, colour: 1, hasMarkers: evaluations.length <= 60 }] : []),
    ],
    levels: base === null ? [] : [{ y: base, label: "held-out, base" }],
  });
}

function lossUnit(steps: readonly StepLine[]): string {
  if (steps.some((line) => "reward" in line)) return "surrogate, near 0";
  return steps.some((line) => "rewards/margins" in line) ? "loss, nats per pair" : "loss, nats per token";
}

function normChart(steps: readonly StepLine[], clip: number | null): Markup {
  const clipped = clip === null ? 0 : steps.filter(({ gradNorm }) => gradNorm > clip).length;
  const said =
    clip === null
      ? "It is not clipped."
      : `It is clipped at ${significant(clip)}, in ${count(clipped)} of ${count(steps.length)} steps.`;
  return lineChart({
    id: "gradient-norm",
    title: "Gradient norm by step",
    description: `The norm of all gradients before clipping. ${said}`,
    xLabel: "step",
    isWholeX: true,
    yLabel: "norm before clipping",
    isLogY: true,
    series: rawAndSmooth("norm", pointsOf(steps, "gradNorm"), 0),
    levels: clip === null ? [] : [{ y: clip, label: "clipped above" }],
  });
}

/** Every step in pale, with the running mean over it. A short run is drawn directly. */
function rawAndSmooth(label: string, points: readonly Point[], colour: number): readonly LineSeries[] {
  const raw = thinned(points, MOST_POINTS);
  if (points.length < 40) return [{ label, points: raw, colour }];
  const radius = Math.min(50, Math.round(points.length / 40));
  return [
    { label: `${label}, each step`, points: raw, colour, isFaint: true },
    { label: `${label}, running mean`, points: thinned(smoothed(points, radius), MOST_POINTS), colour },
  ];
}

function pointsOf(steps: readonly StepLine[], key: "loss" | "lr" | "gradNorm" | "tokensPerSecond"): readonly Point[] {
  return steps.map((line) => [line.step, line[key]]);
}

function greatest(steps: readonly StepLine[], key: "lr" | "tokensPerSecond"): number {
  return steps.reduce((most, line) => Math.max(most, line[key]), 0);
}
