/** Line charts on linear or log axes, with horizontal levels. Series differ in dash and marker as well as in colour. */
import {
  type ChartText,
  type Entry,
  type Frame,
  NUM_COLOURS,
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
  tickLabel,
  xAxis,
  yAxis,
} from "./chart.ts";
import { type Markup, markup } from "./markup.ts";
import { significant } from "./numbers.ts";
import { type Scale, linearScale, logScale } from "./scale.ts";

const DASHES = ["", "7 3", "2 3", "9 3 2 3", "", "7 3", "2 3"];

export interface LineSeries {
  readonly label: string;
  /** Points in order of x. Points that an axis cannot show (not finite, not positive on a log axis) are left out. */
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Index in the palette. */
  readonly colour: number;
  /** Whether it is a pale line behind the others. */
  readonly isFaint?: boolean;
  readonly isDashed?: boolean;
  readonly hasMarkers?: boolean;
  /** Height of the level, 0 to 1. */
  readonly opacity?: number;
  readonly hasLegend?: boolean;
}

/** A dashed level across the chart. */
export interface Level {
  readonly y: number;
  readonly label: string;
}

export interface LineChart extends ChartText {
  readonly series: readonly LineSeries[];
  readonly levels?: readonly Level[];
  readonly isLogX?: boolean;
  readonly isLogY?: boolean;
  /** Whether the axis begins at 0. */
  readonly startsAtZero?: boolean;
  /** Whether x is a count. */
  readonly isWholeX?: boolean;
}

/** Draws lines. Where no point can be shown, the chart says so. */
export function lineChart(chart: LineChart): Markup {
  const { series, levels = [], isLogX = false, isLogY = false, startsAtZero = false } = chart;
  const isShown = ([x, y]: readonly [number, number]): boolean =>
    Number.isFinite(x) && Number.isFinite(y) && (!isLogX || x > 0) && (!isLogY || y > 0);
  const shown = series
    .map((one) => ({ ...one, points: one.points.filter(isShown) }))
    .filter((one) => one.points.length > 0);
  if (shown.length === 0) return emptyChart(chart);
  const shownLevels = levels.filter(({ y }) => isShown([1, y]));
  const xs = shown.flatMap(({ points }) => points.map(([x]) => x));
  const ys = [
    ...shown.flatMap(({ points }) => points.map(([, y]) => y)),
    ...shownLevels.map(({ y }) => y),
    ...(startsAtZero && !isLogY ? [0] : []),
  ];
  const yScale = (isLogY ? logScale : linearScale)(least(ys), most(ys));
  const xScale = (isLogX ? logScale : linearScale)(least(xs), most(xs), { isRounded: false });
  const xTicks = chart.isWholeX ? xScale.ticks.filter(Number.isInteger) : xScale.ticks;
  const entries = shown.filter(({ hasLegend = true }) => hasLegend).map(lineEntry);
  const levelEntries = shownLevels.map(({ label }) => ({ label, sample: markup`<path class="level" d="M0 -4H22"/>` }));
  const legend = placeLegend(entries.length + levelEntries.length > 1 ? [...entries, ...levelEntries] : []);
  const frame = frameOf(yScale, legend.height);
  return svg(chart, frame, [
    ...legend.items,
    ...yAxis(chart, frame, yScale),
    ...xAxis(
      chart,
      frame,
      xTicks.map((tick) => ({ at: xScale.at(tick), label: tickLabel(tick, xScale) })),
    ),
    ...shownLevels.map(
      ({ y }) => markup`<path class="level" d="M${frame.left} ${at(frame.y(yScale.at(y)))}H${WIDTH - RIGHT}"/>`,
    ),
    ...shown.map((one) => line(one, frame, xScale, yScale)),
  ]);
}

function line(
  { label, points, colour, isFaint = false, isDashed = false, hasMarkers = false, opacity = 1 }: LineSeries,
  frame: Frame,
  xScale: Scale,
  yScale: Scale,
): Markup {
  const places = points.map(([x, y]) => [at(frame.x(xScale.at(x))), at(frame.y(yScale.at(y)))] as const);
  const path = places.map(([x, y], i) => `${i === 0 ? "M" : "L"}${x} ${y}`).join("");
  const index = colour % NUM_COLOURS;
  const isAlone = places.length === 1;
  const marks =
    hasMarkers || isAlone
      ? places.map(
          ([x, y], i) =>
            markup`<g>${marker(index, Number(x), Number(y))}<title>${`${label}: ${significant(points[i]?.[1] ?? 0, 4)} at ${significant(points[i]?.[0] ?? 0, 6)}`}</title></g>`,
        )
      : [];
  return markup`<g class="${isFaint ? "faint " : ""}${colourClass(colour)}" opacity="${opacity}"><path class="line" d="${path}" stroke-dasharray="${isDashed ? (DASHES[index] ?? "") : ""}"/>${marks}</g>`;
}

function lineEntry({ label, colour, isFaint = false, isDashed = false, hasMarkers = false }: LineSeries): Entry {
  const index = colour % NUM_COLOURS;
  const dash = isDashed ? (DASHES[index] ?? "") : "";
  const mark = hasMarkers ? marker(index, 11, -4) : null;
  return {
    label,
    sample: markup`<g class="${isFaint ? "faint " : ""}${colourClass(colour)}"><path class="line" d="M0 -4H22" stroke-dasharray="${dash}"/>${mark}</g>`,
  };
}

/** A shape of its own for every colour. */
function marker(index: number, x: number, y: number): Markup {
  const shapes = [
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
    "M-3.5 -3.5h7v7h-7z",
    "M0 -4.6L4.4 3.4H-4.4z",
    "M0 -5L5 0L0 5L-5 0z",
    "M0 4.6L4.4 -3.4H-4.4z",
    "M-1.4 -4.5h2.8v3.1h3.1v2.8h-3.1v3.1h-2.8v-3.1h-3.1v-2.8h3.1z",
    "M-4.5 -2h9v4h-9z",
  ];
  return markup`<path class="mark" transform="translate(${x} ${y})" d="${shapes[index] ?? ""}"/>`;
}
