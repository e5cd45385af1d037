/**
 * The rank k of every adapted linear layer: for each kind of layer a small bar chart over the depth, all on one scale.
 */
import { h, svg } from "./dom.js";

const WIDTH = 300;
const MAX_BAR = 18;
const GAP = 2;
const HEIGHT = 36;

/**
 * Targets by the kind of their layer, e.g. `self_attn.q_proj`.
 * @param {readonly {name: string, k: number}[]} targets
 * @returns {Map<string, Map<number, number>>} kind → depth → k
 */
function byKind(targets) {
  const kinds = new Map();
  for (const { name, k } of targets) {
    const [, depth = "0", kind = name] = /^layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    const layers = kinds.get(kind) ?? new Map();
    kinds.set(kind, layers.set(Number(depth), k));
  }
  return kinds;
}

/** @param {readonly {name: string, k: number}[]} targets */
export function rankChart(targets) {
  const kinds = byKind(targets);
  const all = targets.map(({ k }) => k);
  const scale = HEIGHT / Math.max(...all, 1);
  const numLayers = Math.max(...[...kinds.values()].flatMap((layers) => [...layers.keys()]), 0) + 1;
  const step = Math.min(WIDTH / numLayers, MAX_BAR + GAP);
  const rows = [...kinds].map(([kind, layers]) => {
    const short = kind.split(".").at(-1) ?? kind;
    const values = [...layers.values()];
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const range = low === high ? String(low) : `${low} to ${high}`;
    const bars = [...layers].map(([depth, k]) => barOf(depth, k, step, scale));
    const width = numLayers * step;
    const size = { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}` };
    const label = `${short}: k is ${range} over ${values.length} layers`;
    return h(
      "li",
      {},
      h("code", { title: kind }, short),
      svg("svg", { ...size, role: "img", "aria-label": label }, ...bars),
      h("span", { class: "note" }, range),
    );
  });
  return h("div", { class: "ranks" }, h("ul", {}, ...rows), rankTable(kinds, numLayers));
}

/**
 * @param {number} depth
 * @param {number} k
 * @param {number} step from one bar to the next
 * @param {number} scale
 */
function barOf(depth, k, step, scale) {
  const height = Math.max(k * scale, 1);
  const place = { x: depth * step, y: HEIGHT - height, width: step - GAP, height, rx: 1.5 };
  return svg("rect", place, svg("title", {}, `layer ${depth}: k = ${k}`));
}

/**
 * The same as numbers.
 * @param {Map<string, Map<number, number>>} kinds
 * @param {number} numLayers
 */
function rankTable(kinds, numLayers) {
  const depths = Array.from({ length: numLayers }, (_, depth) => depth);
  const head = h(
    "tr",
    {},
    h("th", { scope: "col" }, "Layer"),
    ...depths.map((one) => h("th", { scope: "col" }, String(one))),
  );
  const rows = [...kinds].map(([kind, layers]) =>
    h("tr", {}, h("th", { scope: "row" }, kind), ...depths.map((one) => h("td", {}, String(layers.get(one) ?? "–")))),
  );
  const table = h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows));
  const scroller = h("div", { class: "wide-table", tabindex: 0, role: "region", "aria-label": "k per layer" }, table);
  return h("details", {}, h("summary", {}, "As numbers"), scroller);
}
