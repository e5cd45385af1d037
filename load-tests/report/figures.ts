/** The figures of a scenario, and how they are shown: samples → median and range → a markdown table. Pure. */
import type { RowName } from "./goals.ts";

/** Bounds that the project has set itself. */
export type Goal = { readonly atLeast: number; readonly atMost?: number } | { readonly atMost: number };

/** One figure, measured once a round. */
export interface Figure {
  /** What was measured, in words. */
  readonly what: string;
  /** "×" for a ratio of two figures of the same round. */
  readonly unit: string;
  readonly samples: readonly number[];
  readonly goal?: Goal;
  /** Which row of the summary it stands for; it needs a goal then. */
  readonly row?: RowName;
}

/** The last arguments of `ratio`: none where nothing is promised. */
export type Promised = readonly [goal?: Goal, row?: RowName];

export interface ScenarioResult {
  readonly scenario: string;
  readonly figures: readonly Figure[];
}

/** The middle value; of an even number of values the mean of the two in the middle. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(at)] ?? NaN) + (sorted[Math.ceil(at)] ?? NaN)) / 2;
}

/** The smallest value that a proportion of all values does not exceed. NaN for none. */
export function quantile(values: readonly number[], proportion: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(proportion * sorted.length) - 1)] ?? NaN;
}

/** A ÷ B, round by round: noise that lasts longer than a round falls out. */
export function ratio(what: string, a: readonly number[], b: readonly number[], goal?: Goal, row?: RowName): Figure {
  const samples = a.map((value, round) => value / (b[round] ?? NaN));
  return { what, unit: "×", samples, ...(goal ? { goal } : {}), ...(row ? { row } : {}) };
}

/** Whether the median keeps to the goal. */
export function isMet(figure: Figure): boolean | null {
  if (!figure.goal) return null;
  const [least, most] = boundsOf(figure.goal);
  const value = median(figure.samples);
  return value >= least && value <= most;
}

/** The least and the most of a goal, infinite where it has none. */
export function boundsOf(goal: Goal): readonly [number, number] {
  return ["atLeast" in goal ? goal.atLeast : -Infinity, goal.atMost ?? Infinity];
}

const HEAD = ["scenario", "what", "median", "min–max", "unit", "goal", "met"];

/** All results as one markdown table. */
export function markdownTable(results: readonly ScenarioResult[]): string {
  return table([
    HEAD,
    ...results.flatMap(({ scenario, figures }) => figures.map((one) => [scenario, ...cellsOf(one)])),
  ]);
}

/** A markdown table; the first row is its head. */
export function table([head = [], ...rows]: readonly (readonly string[])[]): string {
  return `${[head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

/** A figure as the cells of a table: what, median, range, unit, goal, whether it is met. */
export function cellsOf(figure: Figure): readonly string[] {
  const { what, unit, samples, goal } = figure;
  const met = isMet(figure);
  const range = samples.length > 1 ? `${shown(Math.min(...samples))}–${shown(Math.max(...samples))}` : "";
  return [
    what,
    shown(median(samples)),
    range,
    unit,
    goal ? goalText(goal) : "",
    met === null ? "" : met ? "yes" : "no",
  ];
}

function goalText(goal: Goal): string {
  const [least, most] = boundsOf(goal);
  if (least === -Infinity) return `≤ ${most}`;
  return most === Infinity ? `≥ ${least}` : `${least}–${most}`;
}

/** Three significant digits, without an exponent. */
function shown(value: number): string {
  const size = Math.abs(value);
  const numDecimals = size === 0 || !Number.isFinite(size) ? 0 : 2 - Math.floor(Math.log10(size));
  return value.toFixed(Math.min(6, Math.max(0, numDecimals)));
}
