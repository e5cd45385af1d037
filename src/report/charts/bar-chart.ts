/** Bars from 0, grouped by category. */
import {
  CHARACTER,
  type ChartText,
  type Entry,
  RIGHT,
  WIDTH,
  at,
  colourClass,
  emptyChart,
  frameOf,
  least,
  most,
  placeLegend,
  svg,
  xAxis,
  yAxis,
} from "./chart.ts";
import { type Markup, markup } from "./markup.ts";
import { significant } from "./numbers.ts";
import { linearScale } from "./scale.ts";

export interface BarSeries {
  readonly label: string;
  /** One value for each category; null: none. */
  readonly values: readonly (number | null)[];
  readonly colour: number;
}

export interface BarChart extends ChartText {
  readonly categories: readonly string[];
  readonly series: readonly BarSeries[];
}

/** Bars from 0, grouped by category. */
export function barChart(chart: BarChart): Markup {
  const { categories, series } = chart;
  const values = series.flatMap(
    (one) => one.values.filter((value) => value !== null && Number.isFinite(value)) as number[],
  );
  if (values.length === 0) return emptyChart(chart);
  const scale = linearScale(Math.min(0, least(values)), Math.max(most(values), least(values) === 0 ? 1e-9 : 0));
  const legend = placeLegend(series.length > 1 ? series.map(barEntry) : []);
  const frame = frameOf(scale, legend.height);
  const slot = (WIDTH - RIGHT - frame.left) / categories.length;
  const width = Math.min(26, (slot * 0.84) / series.length);
  const bars = series.flatMap(({ label, values: heights, colour }, s) =>
    heights.flatMap((value, c) => {
      if (value === null || !Number.isFinite(value)) return [];
      const x = frame.left + slot * (c + 0.5) + width * (s - series.length / 2);
      const [zero, top] = [frame.y(scale.at(0)), frame.y(scale.at(value))];
      const box = { y: at(Math.min(zero, top)), height: at(Math.abs(zero - top)) };
      return markup`<rect class="bar ${colourClass(colour)}" x="${at(x + 0.5)}" y="${box.y}" width="${at(Math.max(0.8, width - 1))}" height="${box.height}"><title>${`${label}, ${categories[c] ?? ""}: ${significant(value, 4)}`}</title></rect>`;
    }),
  );
  const every = Math.ceil((most(categories.map(({ length }) => length)) * CHARACTER + 10) / slot);
  const ticks = categories
    .map((label, c) => ({ at: (c + 0.5) / categories.length, label }))
    .filter((_, c) => c % every === 0);
  return svg(chart, frame, [...legend.items, ...yAxis(chart, frame, scale), ...bars, ...xAxis(chart, frame, ticks)]);
}

function barEntry({ label, colour }: BarSeries): Entry {
  return { label, sample: markup`<rect class="bar ${colourClass(colour)}" x="4" y="-10" width="12" height="12"/>` };
}
