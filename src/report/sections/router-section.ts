/** The use of each adapter head: mean gates by layer. */
import { heatMap } from "../charts/heat-map.ts";
import { groupByModule } from "./layer-names.ts";
import { type Markup, markup } from "../charts/markup.ts";
import { count, significant } from "../charts/numbers.ts";
import type { GateReport } from "../report-data.ts";

/** Maximum number of heads in a chart. If there are more, the most used are shown. */
const MOST_HEADS = 48;

export function routerSection({ meanGates, tokens, source }: GateReport): Markup {
  const groups = groupByModule([...meanGates], ([name]) => name);
  const numHeads = Math.max(0, ...[...meanGates.values()].map(({ length }) => length));
  const shown = mostUsed(
    [...meanGates.values()].map((gates) => Array.from(gates)),
    numHeads,
  );
  const left = numHeads > MOST_HEADS ? ` Of ${count(numHeads)} heads the ${MOST_HEADS} most used are shown.` : "";
  const effective = [...meanGates.values()].map((gates) => effectiveHeads(Array.from(gates)));
  const mean = effective.reduce((sum, one) => sum + one, 0) / Math.max(1, effective.length);
  return markup`<p>Mean gate of every adapter head over ${count(tokens)} tokens of ${source}, in per cent: the stronger a cell, the more the head is used. Even use of all heads would be ${significant(100 / Math.max(1, numHeads))} % each; on average a layer's use is as spread as ${significant(mean)} even heads.${left}</p>
<div class="charts">
${groups.map(
  ({ module, places }, i) =>
    markup`<figure><figcaption>Heads of ${module}</figcaption>${heatMap({
      id: `gates-${i}`,
      title: `Use of the adapter heads of ${module}`,
      description: places
        .map(
          ({ index, item: [, gates] }) =>
            `Block ${index}: ${shown.map((head) => `head ${head} ${Math.round(100 * (gates[head] ?? 0))} %`).join(", ")}.`,
        )
        .join(" "),
      xLabel: "head",
      yLabel: "block",
      columns: shown.map(String),
      rows: places.map(({ index, item: [, gates] }) => ({
        label: String(index),
        shares: shown.map((head) => gates[head] ?? 0),
      })),
    })}</figure>`,
)}
</div>`;
}

/** Heads in the order of their numbers. */
function mostUsed(all: readonly (readonly number[])[], numHeads: number): readonly number[] {
  const use = (head: number): number => all.reduce((sum, gates) => sum + (gates[head] ?? 0), 0);
  const heads = Array.from({ length: numHeads }, (_, head) => head);
  if (numHeads <= MOST_HEADS) return heads;
  const uses = heads.map(use);
  return heads
    .toSorted((a, b) => (uses[b] ?? 0) - (uses[a] ?? 0))
    .slice(0, MOST_HEADS)
    .sort((a, b) => a - b);
}

/** e to the power of the entropy: n for n equally used heads, 1 for a single one. */
function effectiveHeads(gates: readonly number[]): number {
  return Math.exp(-gates.reduce((sum, gate) => sum + (gate > 0 ? gate * Math.log(gate) : 0), 0));
}
