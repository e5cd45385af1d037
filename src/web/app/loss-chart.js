/** The curve of a training job: its loss, or its mean reward, step by step, in training and on held-out data. */
import { h, svg } from "./dom.js";

/**
 * @typedef {{step: number, value: number}} Point
 * @typedef {{name: string, slot: number, points: Point[]}} Series `slot`: its colour
 */

const WIDTH = 560;
const HEIGHT = 200;
const LEFT = 44;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 22;
const NUM_TICKS = 4;

/** The figures of events that are drawn. */
const FIGURES = [
  { key: "train_loss", name: "Training loss", slot: 0 },
  { key: "valid_loss", name: "Held-out loss", slot: 1 },
  { key: "train_mean_reward", name: "Training reward", slot: 0 },
  { key: "valid_mean_reward", name: "Held-out reward", slot: 1 },
];

/** Collects figures of events by their names. */
export class Curves {
  /** @type {Series[]} */
  #series = FIGURES.map(({ name, slot }) => ({ name, slot, points: [] }));
  #totalSteps = 0;

  /** @param {Record<string, number>} figures of one event */
  add({ step = 0, total_steps: totalSteps = 0, ...figures }) {
    this.#totalSteps = totalSteps;
    for (const [index, { key }] of FIGURES.entries()) {
      const value = figures[key];
      if (value !== undefined && Number.isFinite(value)) this.#series[index]?.points.push({ step, value });
    }
  }

  get #drawn() {
    return this.#series.filter(({ points }) => points.length > 0);
  }

  /** The curves and their newest values; a sentence while there is none. */
  draw() {
    const all = this.#drawn;
    if (all.length === 0) return h("p", { class: "note" }, "The curve begins with the first step.");
    const legend = all.map(({ name, slot, points }) =>
      h("li", { "data-slot": slot }, h("span", { class: "dot", "aria-hidden": "true" }), `${name} ${last(points)}`),
    );
    return h("figure", { class: "curve" }, chartOf(all, this.#totalSteps), h("ul", {}, ...legend));
  }

  /** The same as numbers, a row for each step. */
  table() {
    const all = this.#drawn;
    const steps = [...new Set(all.flatMap(({ points }) => points.map(({ step }) => step)))].sort((a, b) => a - b);
    const cells = all.map(({ points }) => new Map(points.map(({ step, value }) => [step, value])));
    const head = ["Step", ...all.map(({ name }) => name)].map((name) => h("th", { scope: "col" }, name));
    const rows = steps.map((step) => {
      const values = cells.map((one) => h("td", {}, textOf(one.get(step))));
      return h("tr", {}, h("th", { scope: "row" }, String(step)), ...values);
    });
    return h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
  }
}

/** @param {readonly Point[]} points */
const last = (points) => textOf(points.at(-1)?.value);

/** @param {number | undefined} value */
const textOf = (value) => (value === undefined ? "–" : value.toFixed(4));

/**
 * @param {readonly Series[]} all
 * @param {number} totalSteps
 */
function chartOf(all, totalSteps) {
  const points = all.flatMap((series) => series.points);
  const values = points.map(({ value }) => value);
  const ticks = ticksOf(Math.min(...values), Math.max(...values));
  const [low = 0, high = 1] = [ticks[0], ticks.at(-1)];
  const lastStep = Math.max(totalSteps, 1);
  const x = (/** @type {number} */ step) => LEFT + (step / lastStep) * (WIDTH - LEFT - RIGHT);
  const y = (/** @type {number} */ value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const grid = ticks.flatMap((tick) => [
    svg("path", { class: "grid", d: `M${LEFT} ${y(tick)}H${WIDTH - RIGHT}` }),
    svg("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, String(tick)),
  ]);
  const axis = [
    svg("text", { x: LEFT, y: HEIGHT - 4 }, "0"),
    svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, `step ${lastStep}`),
  ];
  const lines = all.map((series) => lineOf(series, x, y));
  const label = all.map(({ name, points: own }) => `${name} from ${textOf(own[0]?.value)} to ${last(own)}`).join(", ");
  const reached = Math.max(...points.map(({ step }) => step));
  const attributes = { role: "img", "aria-label": `${label}, after ${reached} of ${lastStep} steps` };
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, ...attributes }, ...grid, ...axis, ...lines);
}

/**
 * A line. That of held-out data also has dots, so that the two lines do not differ by colour alone.
 * @param {Series} series
 * @param {(step: number) => number} x
 * @param {(value: number) => number} y
 */
function lineOf({ points, slot }, x, y) {
  const places = points.map(({ step, value }) => `${x(step).toFixed(1)} ${y(value).toFixed(1)}`);
  const dots = slot === 0 && points.length > 1 ? [] : points;
  return svg(
    "g",
    { "data-slot": slot },
    svg("path", { class: "line", d: `M${places.join("L")}` }),
    ...dots.map(({ step, value }) => svg("circle", { cx: x(step), cy: y(value), r: 3 })),
  );
}

/**
 * Round numbers from at most `least` to at least `most`.
 * @param {number} least
 * @param {number} most
 */
function ticksOf(least, most) {
  const rough = Math.max(most - least, Math.abs(most) * 1e-3, 1e-6) / NUM_TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power;
  const [from, to] = [Math.floor(least / step), Math.max(Math.ceil(most / step), Math.floor(least / step) + 1)];
  return Array.from({ length: to - from + 1 }, (_, i) => Number(((from + i) * step).toPrecision(6)));
}
