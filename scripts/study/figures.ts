/**
 * The pictures of the study as SVG files of their own, in the manner of the paper's: k by layer; gain by size,
 * threshold, heads and layer.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ManifestTarget } from "../../src/base/manifest.ts";
import { type LineSeries, lineChart } from "../../src/report/charts/line-chart.ts";
import { STYLE } from "../../src/report/charts/style.ts";
import type { RunResult } from "./results.ts";
import { HEADS, REFERENCE, SETTINGS, TARGETS, THRESHOLDS, isOtherRate, layerSetting, moSaraName } from "./settings.ts";
import { cellOf, meanGain } from "./summary.ts";

/** What the figures are drawn from. */
export interface FigureData {
  readonly runs: readonly RunResult[];
  readonly tasks: readonly string[];
  readonly numLayers: number;
  /** Targets of the base that is drawn in the picture of ranks. */
  readonly ranks: { readonly threshold: number; readonly targets: readonly ManifestTarget[] };
}

type Points = readonly (readonly [number, number])[];

/** Writes all of them into `dir`. @returns their file names with a sentence each, in the order of the page */
export function writeFigures(dir: string, data: FigureData): readonly (readonly [file: string, caption: string])[] {
  mkdirSync(dir, { recursive: true });
  const figures = [gainBySize(data), rankByLayer(data), gainByThreshold(data), gainByHeads(data), gainByLayer(data)];
  return figures.map(({ id, title, yLabel, xLabel, series, ...more }) => {
    const chart = lineChart({ id, title, description: title, yLabel, xLabel, series, ...more });
    const file = `${id}.svg`;
    writeFileSync(join(dir, file), standalone(chart.text));
    return [file, title] as const;
  });
}

interface Figure {
  readonly id: string;
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly LineSeries[];
  readonly isLogX?: boolean;
  readonly isWholeX?: boolean;
}

const series = (label: string, colour: number, points: Points): LineSeries => ({
  label,
  colour,
  points,
  hasMarkers: true,
  isDashed: true,
});

function gainBySize({ runs, tasks }: FigureData): Figure {
  const pointOf = (setting: string): readonly [number, number] => [
    cellOf(runs, tasks[0] ?? "", setting)?.numParams ?? Number.NaN,
    meanGain(runs, tasks, setting),
  ];
  const of = (method: string, targets?: string): Points =>
    SETTINGS.filter((one) => !isOtherRate(one) && one.method === method && one.heads === 1)
      .filter((one) => !targets || one.targets === targets)
      .map(({ name }) => pointOf(name))
      .toSorted(([a], [b]) => a - b);
  const moSara = Object.keys(TARGETS).map((targets, i) => series(`Mo-SARA, ${targets}`, i, of("mo-sara", targets)));
  return {
    id: "gain-by-size",
    title: `Gain (loss drop ÷ that of ${REFERENCE}) by trained numbers, mean over tasks`,
    xLabel: "trained numbers",
    yLabel: "gain",
    isLogX: true,
    series: [...moSara, series("LoRA", 3, of("lora")), series("SARA", 4, of("sara"))],
  };
}

function rankByLayer({ ranks, numLayers }: FigureData): Figure {
  const modules = [...new Set(ranks.targets.map(({ name }) => name.split(".").at(-1) ?? ""))];
  const of = (module: string): Points =>
    Array.from({ length: numLayers }, (_, layer) => {
      const found = ranks.targets.find(
        ({ name }) => name.startsWith(`layers.${layer}.`) && name.endsWith(`.${module}`),
      );
      return [layer, found?.k ?? Number.NaN] as const;
    });
  return {
    id: "rank-by-layer",
    title: `k of each layer at threshold ${ranks.threshold}`,
    xLabel: "layer",
    yLabel: "k",
    isWholeX: true,
    series: modules.map((module, i) => series(module, i, of(module))),
  };
}

function gainByThreshold({ runs, tasks }: FigureData): Figure {
  const of = (targets: string): Points =>
    THRESHOLDS.map((threshold) => [threshold, meanGain(runs, tasks, moSaraName(targets, threshold))] as const);
  return {
    id: "gain-by-threshold",
    title: "Gain of Mo-SARA by threshold, mean over tasks",
    xLabel: "threshold m",
    yLabel: "gain",
    series: Object.keys(TARGETS).map((targets, i) => series(targets, i, of(targets))),
  };
}

function gainByHeads({ runs, tasks }: FigureData): Figure {
  const names = [1, ...HEADS].map((heads) => [heads, moSaraName("q,v", 0.5, heads)] as const);
  const points = names.map(([heads, name]) => [heads, meanGain(runs, tasks, name)] as const);
  return {
    id: "gain-by-heads",
    title: "Gain of Mo-SARA on q and v at threshold 0.5 by heads, rank-1 router, mean over tasks",
    xLabel: "heads",
    yLabel: "gain",
    isWholeX: true,
    series: [series("q,v", 0, points)],
  };
}

function gainByLayer({ runs, tasks, numLayers }: FigureData): Figure {
  const of = (task: string): Points =>
    Array.from({ length: numLayers }, (_, layer) => {
      const cell = cellOf(runs, task, layerSetting(layer).name);
      return [layer, cell?.gain ?? Number.NaN] as const;
    });
  return {
    id: "gain-by-layer",
    title: "Gain of Mo-SARA on q, v, o, down of a single layer at threshold 0.5",
    xLabel: "layer",
    yLabel: "gain",
    isWholeX: true,
    series: tasks.map((task, i) => series(task, i, of(task))),
  };
}

/** A chart of the training report with its style inside, so that it can stand alone. */
export function standalone(svg: string): string {
  const [head = "", ...rest] = svg.split(">");
  const opened = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ');
  return `${opened}><style>${STYLE}</style>${rest.join(">")}\n`;
}
