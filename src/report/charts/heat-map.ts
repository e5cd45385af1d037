/** A table of shares from 0 to 1 as cells. A greater share has a stronger colour. */
import { CHARACTER, type ChartText, WIDTH, at, most, svg } from "./chart.ts";
import { type Markup, markup } from "./markup.ts";
import { percent } from "./numbers.ts";

const CELL_HEIGHT = 22;
/** Minimum width of a cell that shows a number. */
const LEAST_LABELLED = 34;

export interface HeatMap extends ChartText {
  readonly columns: readonly string[];
  readonly rows: readonly { readonly label: string; readonly shares: readonly number[] }[];
}

/** Rows from top to bottom, with the names of columns below. The greatest share has the full colour. */
export function heatMap(map: HeatMap): Markup {
  const { columns, rows, xLabel, yLabel } = map;
  const left = Math.max(30, most(rows.map(({ label }) => label.length)) * CHARACTER + 12);
  const width = (WIDTH - left - 2) / columns.length;
  const top = 24;
  const bottom = top + rows.length * CELL_HEIGHT;
  const strongest = Math.max(1e-9, most(rows.flatMap(({ shares }) => shares)));
  const cells = rows.flatMap(({ label, shares }, r) => {
    const y = top + r * CELL_HEIGHT;
    const name = markup`<text class="tick" x="${at(left - 7)}" y="${y + 15}" text-anchor="end">${label}</text>`;
    return [
      name,
      ...shares.map((share, c) =>
        cell(`${yLabel} ${label}, ${xLabel} ${columns[c] ?? ""}`, share, strongest, left + c * width, y, width),
      ),
    ];
  });
  const every = Math.ceil((most(columns.map(({ length }) => length)) * CHARACTER + 8) / width);
  const names = columns.flatMap((label, c) =>
    c % every === 0
      ? [
          markup`<text class="tick" x="${at(left + (c + 0.5) * width)}" y="${bottom + 17}" text-anchor="middle">${label}</text>`,
        ]
      : [],
  );
  const axes = [
    markup`<text class="axis" x="2" y="14">${yLabel}</text>`,
    markup`<text class="axis" x="${WIDTH - 2}" y="${bottom + 36}" text-anchor="end">${xLabel}</text>`,
  ];
  return svg(map, { height: bottom + 44 }, [...axes, ...cells, ...names]);
}

function cell(name: string, share: number, strongest: number, x: number, y: number, width: number): Markup {
  const strength = Math.max(0, share / strongest);
  const text = markup`<text class="tick ${strength > 0.6 ? "on-strong" : "on-weak"}" x="${at(x + width / 2)}" y="${y + 15}" text-anchor="middle">${Math.round(100 * share)}</text>`;
  return markup`<g><rect class="cell" x="${at(x + 0.5)}" y="${y + 0.5}" width="${at(Math.max(0.8, width - 1))}" height="${CELL_HEIGHT - 1}" fill-opacity="${(0.06 + 0.94 * strength).toFixed(3)}"/>${width >= LEAST_LABELLED ? text : null}<title>${`${name}: ${percent(share)}`}</title></g>`;
}
