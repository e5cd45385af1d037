/** The directions that each layer uses: k by layer, with the singular values that decided it. */
import { layerChart } from "./layer-chart.ts";
import { type ModuleGroup, groupByModule } from "./layer-names.ts";
import { type LineSeries, lineChart } from "../charts/line-chart.ts";
import { type Markup, markup } from "../charts/markup.ts";
import type { LayerReport } from "../report-data.ts";

/** Points of a spectrum: enough for a smooth line. */
const SPECTRUM_POINTS = 48;

/** The section; null where no layer has a k. */
export function spectrumSection(layers: readonly LayerReport[]): Markup | null {
  const withK = layers.filter(({ k }) => k !== null);
  if (withK.length === 0) return null;
  const groups = groupByModule(withK, ({ name }) => name);
  const spectra = groups.filter(({ places }) => places.some(({ item }) => item.singularValues !== null));
  const explained =
    spectra.length === 0
      ? "How many directions the adapter has in each layer."
      : "A layer's weight matrix is a sum of directions. The singular value of a direction is its strength. The adapter uses the k strongest directions, and a mark shows where it stops. Each line is one block. Deeper blocks have darker lines.";
  return markup`<p>${explained}</p>
<div class="charts">
<figure><figcaption>k per layer</figcaption>${layerChart({
    id: "k",
    title: "Directions used by layer",
    description: "k, the number of directions that the adapter has, for every block and module.",
    yLabel: "k",
    groups,
    valueOf: ({ k }) => k,
  })}</figure>
${spectra.map((group, i) => markup`<figure><figcaption>Singular values of ${group.module}</figcaption>${spectrumChart(group, i)}</figure>`)}
</div>`;
}

function spectrumChart({ module, places }: ModuleGroup<LayerReport>, colour: number): Markup {
  const deepest = Math.max(1, places.at(-1)?.index ?? 1);
  const series = places.flatMap(({ index, item: { singularValues, k } }): LineSeries[] => {
    const first = singularValues?.[0];
    if (singularValues === null || first === undefined || !(first > 0) || k === null) return [];
    const relative = (rank: number): [number, number] => [rank, (singularValues[rank - 1] ?? 0) / first];
    const label = `block ${index}`;
    const opacity = 0.35 + (0.65 * index) / deepest;
    const ranks = spacedRanks(singularValues.length);
    return [
      { label, points: ranks.map(relative), colour, opacity, hasLegend: false },
      { label: `${label}, k = ${k}`, points: [relative(k)], colour, opacity, hasLegend: false, hasMarkers: true },
    ];
  });
  return lineChart({
    id: `spectrum-${colour}`,
    title: `Singular values of ${module}`,
    description: `Singular values relative to the greatest, by rank. Each line is one block. Deeper blocks have darker lines. Dots stand at k: ${places.map(({ index, item: { k } }) => `block ${index} ${k ?? ""}`).join(", ")}.`,
    xLabel: "rank of the direction, log scale",
    yLabel: "share of the greatest",
    isLogX: true,
    isWholeX: true,
    startsAtZero: true,
    series,
  });
}

/** Whole ranks from 1 to `last`, evenly spaced on a log axis. */
function spacedRanks(last: number): readonly number[] {
  const ranks = Array.from({ length: SPECTRUM_POINTS }, (_, i) => Math.round(last ** (i / (SPECTRUM_POINTS - 1))));
  return [...new Set(ranks)];
}
