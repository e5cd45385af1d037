/**
 * The effect of training: the movement of every tensor of every layer, norms where they are informative, and a table of
 * all.
 */
import { layerChart } from "./layer-chart.ts";
import { type ModuleGroup, groupByModule } from "./layer-names.ts";
import { type Markup, markup } from "../charts/markup.ts";
import { count, percent, significant } from "../charts/numbers.ts";
import type { LayerReport, ReportData, TensorMove } from "../report-data.ts";

const SYMBOLS: Readonly<Record<string, string>> = {
  lambda: "λ",
  Lambda: "Λ",
  lora_A: "A",
  lora_B: "B",
  router_w1: "w₁ (router)",
  router_w2: "w₂ (router)",
  router_full: "W (router)",
};
const METHODS: Readonly<Record<string, string>> = {
  "mo-sara":
    "Training moves λ, the strength of each direction, which begins near the singular values, and v, the scale of each output, which begins at 0.",
  sara: "Training moves A and B, which begin as singular vectors, and Λ, the strength of each direction, which begins at 0.",
  lora: "Training moves A, which begins at random, and B, which begins at 0.",
  full: "Training moves every weight of the model.",
};

/** The section; null where no layer is known. */
export function movementSection({ method, layers }: ReportData): Markup | null {
  if (layers.length === 0) return null;
  const groups = groupByModule(layers, ({ name }) => name);
  const names = [...new Set(layers.flatMap(({ tensors }) => tensors.map(({ name }) => name)))];
  const charts =
    groups.length === 0
      ? []
      : names.flatMap((name, i) => tensorCharts(name, i, groups, method === "sara" || method === "lora"));
  return markup`<p>${METHODS[method] ?? "Training moves these numbers."}</p>
<div class="charts">
${charts}
</div>
<details><summary>Every layer in numbers</summary>
<div class="wide"><table><thead><tr><th scope="col">layer</th><th scope="col">k</th><th scope="col">tensor</th><th scope="col" class="n">numbers</th><th scope="col" class="n">norm before</th><th scope="col" class="n">norm after</th><th scope="col" class="n">moved</th></tr></thead>
<tbody>
${layers.flatMap((layer) => layer.tensors.map((tensor, i) => row(layer, tensor, i)))}
</tbody></table></div></details>`;
}

function tensorCharts(
  name: string,
  index: number,
  groups: readonly ModuleGroup<LayerReport>[],
  hasNorms: boolean,
): readonly Markup[] {
  const symbol = symbolOf(name);
  const tensorOf = ({ tensors }: LayerReport): TensorMove | undefined => tensors.find((one) => one.name === name);
  const all = groups.flatMap(({ places }) => places.flatMap(({ item }) => tensorOf(item) ?? []));
  const beganAtZero = all.every(({ initialNorm }) => initialNorm === 0);
  const valueOf =
    (value: (tensor: TensorMove) => number) =>
    (layer: LayerReport): number | null => {
      const tensor = tensorOf(layer);
      return tensor ? value(tensor) : null;
    };
  const figure = (
    caption: string,
    id: string,
    yLabel: string,
    description: string,
    value: (tensor: TensorMove) => number,
  ): Markup =>
    markup`<figure><figcaption>${caption}</figcaption>${layerChart({ id: `${id}-${index}`, title: caption, description, yLabel, groups, valueOf: valueOf(value) })}</figure>`;
  const rootMeanSquare = figure(
    `${symbol}: size after training`,
    "size",
    `root mean square of ${symbol}`,
    `Root mean square of ${symbol} after training, by block and module; it began at 0.`,
    (tensor) => tensor.finalNorm / Math.sqrt(tensor.count),
  );
  if (beganAtZero) return [rootMeanSquare];
  const moved = figure(
    `${symbol}: how far it moved`,
    "moved",
    "length of the change, % of the norm before",
    `How far ${symbol} moved by block and module, in per cent of its norm before training.`,
    (tensor) => (tensor.initialNorm === 0 ? Number.NaN : (100 * tensor.movedNorm) / tensor.initialNorm),
  );
  const norm = figure(
    `${symbol}: norm after training`,
    "norm",
    `norm of ${symbol}`,
    `Norm of ${symbol} after training, by block and module.`,
    ({ finalNorm }) => finalNorm,
  );
  return hasNorms ? [moved, norm] : [moved];
}

function row({ name, k, tensors, singularValues }: LayerReport, tensor: TensorMove, index: number): Markup {
  const share = k === null || singularValues === null ? "" : ` (${percent(shareOf(singularValues, k), 0)} of Σσ)`;
  const cells = markup`<th scope="row" rowspan="${tensors.length}">${name}</th><td rowspan="${tensors.length}">${k === null ? "–" : `${k}${share}`}</td>`;
  const relative =
    tensor.initialNorm === 0 ? significant(tensor.movedNorm) : percent(tensor.movedNorm / tensor.initialNorm);
  return markup`<tr>${index === 0 ? cells : null}<td>${symbolOf(tensor.name)}</td><td class="n">${count(tensor.count)}</td><td class="n">${significant(tensor.initialNorm)}</td><td class="n">${significant(tensor.finalNorm)}</td><td class="n">${relative}</td></tr>`;
}

/** Share of the first k values in the sum of all singular values. */
function shareOf(singularValues: ArrayLike<number>, k: number): number {
  const values = Array.from(singularValues);
  const sum = (some: readonly number[]): number => some.reduce((total, value) => total + value, 0);
  return sum(values.slice(0, k)) / (sum(values) || 1);
}

function symbolOf(name: string): string {
  return SYMBOLS[name] ?? name;
}
