/**
 * The parts that all charts share, as inline SVG: axes, ticks, grid, legend,
 * and the outer element with a title and a description for blind readers.
 * Knows nothing of training. Colours are CSS variables of the page (style.ts).
 * Lengths are units of the view box, about pixels on a wide screen.
 */
import { type Markup, markup } from "./markup.ts";
import { fixed, significant } from "./numbers.ts";
import type { Scale } from "./scale.ts";

/** Width of the view box. */
export const WIDTH = 480;
const PLOT_HEIGHT = 190;
/** Margin. */
export const RIGHT = 14;
const LINE = 20;
/** Mean width of a character at the charts' font size, in a wide font. */
export const CHARACTER = 7.7;
/** Number of colours in style.ts. */
export const NUM_COLOURS = 7;

/** Classes of a series' colour. When the palette repeats, shapes are hollow. */
export function colourClass(colour: number): string {
  return `s${colour % NUM_COLOURS}${colour < NUM_COLOURS ? "" : " again"}`;
}

/** Properties of every chart. */
export interface ChartText {
  /** Unique in the page; letters, digits and hyphens. */
  readonly id: string;
  readonly title: string;
  /** A sentence that describes the chart for blind readers. */
  readonly description: string;
  readonly xLabel: string;
  readonly yLabel: string;
}

/** The area of lines and bars, surrounded by the axes. */
export interface Frame {
  readonly left: number;
  readonly top: number;
  readonly height: number;
  readonly x: (share: number) => number;
  readonly y: (share: number) => number;
}

/** A row of a legend. */
export interface Entry {
  readonly label: string;
  /** The symbol, drawn from 0 to 22 to the right, −9 to 1 down. */
  readonly sample: Markup;
}

/** The legend, in rows above the chart. */
export function placeLegend(entries: readonly Entry[]): { readonly items: readonly Markup[]; readonly height: number } {
  let [x, row] = [2, 0];
  const items = entries.map(({ label, sample }) => {
    const width = 28 + label.length * CHARACTER + 16;
    if (x > 2 && x + width > WIDTH) [x, row] = [2, row + 1];
    const item = markup`<g transform="translate(${at(x)} ${LINE * row + 14})">${sample}<text x="28">${label}</text></g>`;
    x += width;
    return item;
  });
  return { items, height: entries.length === 0 ? 0 : LINE * (row + 1) + 6 };
}

/** Space for the ticks at the left and the legend above. */
export function frameOf(yScale: Scale, legendHeight: number): Frame {
  const left = Math.max(30, most(yScale.ticks.map((tick) => tickLabel(tick, yScale).length)) * CHARACTER + 12);
  const top = legendHeight + LINE + 10; // the y axis' name is above it
  return {
    left,
    top,
    height: top + PLOT_HEIGHT + 44,
    x: (share) => left + share * (WIDTH - RIGHT - left),
    y: (share) => top + (1 - share) * PLOT_HEIGHT,
  };
}

/** Grid lines with their values, and the axis' name above. */
export function yAxis({ yLabel }: ChartText, { left, top, y }: Frame, scale: Scale): readonly Markup[] {
  const ticks = scale.ticks.map((tick) => {
    const place = y(scale.at(tick));
    return markup`<path class="grid" d="M${at(left)} ${at(place)}H${WIDTH - RIGHT}"/><text class="tick" x="${at(left - 7)}" y="${at(place + 4)}" text-anchor="end">${tickLabel(tick, scale)}</text>`;
  });
  return [
    markup`<text class="axis" x="2" y="${top - 13}">${yLabel}${scale.isLog ? ", log scale" : ""}</text>`,
    ...ticks,
  ];
}

/** The bottom line with its ticks, and the axis' name. @param ticks `at` from 0 to 1 */
export function xAxis(
  { xLabel }: ChartText,
  { left, top, x }: Frame,
  ticks: readonly { readonly at: number; readonly label: string }[],
): readonly Markup[] {
  const bottom = top + PLOT_HEIGHT;
  return [
    markup`<path class="frame" d="M${at(left)} ${bottom}H${WIDTH - RIGHT}"/>`,
    ...ticks.map(
      (tick) =>
        markup`<text class="tick" x="${at(x(tick.at))}" y="${bottom + 17}" text-anchor="middle">${tick.label}</text>`,
    ),
    markup`<text class="axis" x="${WIDTH - RIGHT}" y="${bottom + 36}" text-anchor="end">${xLabel}</text>`,
  ];
}

/** The number of decimal places that the steps between ticks need. */
export function tickLabel(tick: number, { isLog, ticks }: Scale): string {
  if (isLog || ticks.length < 2) return significant(tick);
  const step = Math.abs((ticks[1] ?? 0) - (ticks[0] ?? 0));
  if (step < 1e-4 || step >= 1e6) return significant(tick);
  return fixed(tick, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

/** The outer element of a chart. @param height of the view box */
export function svg(
  { id, title, description }: Pick<ChartText, "id" | "title" | "description">,
  { height }: { readonly height: number },
  parts: readonly Markup[],
): Markup {
  return markup`<svg class="chart" role="img" aria-labelledby="${id}-title ${id}-text" viewBox="0 0 ${WIDTH} ${at(height)}">
<title id="${id}-title">${title}</title><desc id="${id}-text">${description}</desc>
${parts}
</svg>`;
}

/** A chart without drawable data. */
export function emptyChart(chart: ChartText): Markup {
  return svg(chart, { height: 60 }, [markup`<text class="axis" x="2" y="34">nothing to show</text>`]);
}

/** A coordinate with one decimal place, which is finer than any screen. */
export function at(value: number): string {
  return String(Math.round(value * 10) / 10);
}

// Lists are too long for spreading into Math.min.
/** The least value; Infinity for an empty list. */
export const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity);
/** The greatest value; −Infinity for an empty list. */
export const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), -Infinity);
