/** What a scenario found, and how it is shown: samples → median and range → a markdown table. Pure. */

/** A bound that the project has set itself. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number };

/** One figure, measured once a round. */
export interface Figure {
  /** What was measured, in words. */
  readonly what: string;
  /** "×" for a ratio of two figures of the same round. */
  readonly unit: string;
  readonly samples: readonly number[];
  readonly goal?: Goal;
}

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
export function ratio(what: string, a: readonly number[], b: readonly number[], goal?: Goal): Figure {
  const samples = a.map((value, round) => value / (b[round] ?? NaN));
  return { what, unit: "×", samples, ...(goal ? { goal } : {}) };
}

/** Whether the median keeps to the goal. */
export function isMet(figure: Figure): boolean | null {
  const { goal } = figure;
  if (!goal) return null;
  const value = median(figure.samples);
  return "atLeast" in goal ? value >= goal.atLeast : value <= goal.atMost;
}

const HEAD = ["scenario", "what", "median", "min–max", "unit", "goal", "met"];

/** All results as one markdown table. */
export function markdownTable(results: readonly ScenarioResult[]): string {
  const rows = results.flatMap(({ scenario, figures }) => figures.map((figure) => rowOf(scenario, figure)));
  const lines = [HEAD, HEAD.map(() => "---"), ...rows];
  return `${lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

function rowOf(scenario: string, figure: Figure): string[] {
  const { what, unit, samples, goal } = figure;
  const met = isMet(figure);
  const range = samples.length > 1 ? `${shown(Math.min(...samples))}–${shown(Math.max(...samples))}` : "";
  const bound = goal ? ("atLeast" in goal ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`) : "";
  return [scenario, what, shown(median(samples)), range, unit, bound, met === null ? "" : met ? "yes" : "no"];
}

/** Three significant digits, without an exponent. */
function shown(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}
