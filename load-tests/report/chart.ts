/**
 * An SVG of every figure that has a goal. Median and range are divided by the goal, so that all figures share one axis.
 * Pure.
 */
import { type Figure, type ScenarioResult, boundsOf, cellsOf, isMet, median } from "./figures.ts";

const ROW_HEIGHT = 22;
const LABEL_WIDTH = 520;
const PLOT_WIDTH = 360;
const VALUE_WIDTH = 150;
const TOP = 46;
/** Parts of a goal at both ends of the axis, which is logarithmic. */
const ENDS = [0.25, 4] as const;
const TICKS = [0.25, 0.5, 1, 2, 4];

/** @returns an SVG document with one line for each figure that has a goal */
export function chart(results: readonly ScenarioResult[], caption: string): string {
  const lines = results.flatMap(({ scenario, figures }) =>
    figures.filter(({ goal }) => goal !== undefined).map((figure) => ({ scenario, figure })),
  );
  const width = LABEL_WIDTH + PLOT_WIDTH + VALUE_WIDTH;
  const height = TOP + ROW_HEIGHT * (lines.length + 1);
  const bottom = TOP + ROW_HEIGHT * lines.length;
  const ticks = TICKS.map((part) => {
    const x = xOf(part);
    const style = part === 1 ? `stroke="#334155" stroke-width="1.5"` : `stroke="#cbd5e1"`;
    return (
      `<line x1="${x}" x2="${x}" y1="${TOP - 6}" y2="${bottom}" ${style}/>` +
      `<text x="${x}" y="${bottom + 14}" text-anchor="middle" fill="#475569">${part === 1 ? "goal" : `${part} ×`}</text>`
    );
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="12" y="20" font-size="13" fill="#0f172a">${escaped(caption)}</text>`,
    ...ticks,
    ...lines.map(({ scenario, figure }, index) => line(scenario, figure, TOP + ROW_HEIGHT * (index + 0.5))),
    "</svg>",
    "",
  ].join("\n");
}

function line(scenario: string, figure: Figure, y: number): string {
  const part = partOfGoal(figure);
  const [low, high] = [Math.min(...figure.samples), Math.max(...figure.samples)].map((value) => xOf(part(value)));
  const x = xOf(part(median(figure.samples)));
  const colour = isMet(figure) === true ? "#15803d" : "#b91c1c";
  const [what, value, , unit, goal] = cellsOf(figure);
  return (
    `<text x="12" y="${y + 4}" fill="#0f172a">${escaped(`${scenario}: ${what}`)}</text>` +
    `<line x1="${low}" x2="${high}" y1="${y}" y2="${y}" stroke="${colour}" stroke-width="3" stroke-opacity="0.4"/>` +
    `<circle cx="${x}" cy="${y}" r="4.5" fill="${colour}"/>` +
    `<text x="${LABEL_WIDTH + PLOT_WIDTH + 10}" y="${y + 4}" fill="${colour}">${escaped(`${value} ${unit} (${goal})`)}</text>`
  );
}

/** A value as a part of its bound, beyond 1 where it is better, so that right of the line is always good. */
function partOfGoal({ goal }: Figure): (value: number) => number {
  const [least, most] = goal ? boundsOf(goal) : [1, Infinity];
  return least > -Infinity ? (value) => value / least : (value) => most / value;
}

/** Where a part of a goal stands; what is beyond the axis stands at its end. */
function xOf(part: number): number {
  const [low, high] = ENDS;
  const inside = Number.isNaN(part) ? low : part > 0 ? Math.min(high, Math.max(low, part)) : high;
  return Math.round(LABEL_WIDTH + (PLOT_WIDTH * Math.log(inside / low)) / Math.log(high / low));
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
