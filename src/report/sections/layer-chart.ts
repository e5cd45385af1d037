/** One number a layer, by block and module: bars, or lines where bars would be too thin. */
import { barChart } from "../charts/bar-chart.ts";
import type { ChartText } from "../charts/chart.ts";
import type { ModuleGroup } from "./layer-names.ts";
import { lineChart } from "../charts/line-chart.ts";
import type { Markup } from "../charts/markup.ts";

/** Maximum number of bars that can still be distinguished. */
const MOST_BARS = 72;

export interface LayerChart<T> extends Omit<ChartText, "xLabel"> {
  readonly groups: readonly ModuleGroup<T>[];
  /** null: this layer has no value. */
  readonly valueOf: (item: T) => number | null;
}

export function layerChart<T>({ groups, valueOf, ...text }: LayerChart<T>): Markup {
  const blocks = [...new Set(groups.flatMap(({ places }) => places.map(({ index }) => index)))].sort((a, b) => a - b);
  const chart = { ...text, xLabel: "block" };
  if (blocks.length > 1 && blocks.length * groups.length > MOST_BARS)
    return lineChart({
      ...chart,
      startsAtZero: true,
      isWholeX: true,
      series: groups.map(({ module, places }, colour) => ({
        label: module,
        points: places.map(({ index, item }): [number, number] => [index, valueOf(item) ?? Number.NaN]),
        colour,
        isDashed: true,
        hasMarkers: true,
      })),
    });
  return barChart({
    ...chart,
    categories: blocks.map(String),
    series: groups.map(({ module, places }, colour) => ({
      label: module,
      values: blocks.map((block) => {
        const place = places.find(({ index }) => index === block);
        return place ? valueOf(place.item) : null;
      }),
      colour,
    })),
  });
}
