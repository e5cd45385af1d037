/** An adapter's card: what it is, k per layer, its scores, its generation, and everything that its maker wrote down. */
import { getAdapter, METHODS } from "./api.js";
import { errorBox, grouped, h, openDialog, svg } from "./dom.js";
import { rankChart } from "./rank-chart.js";

/** @param {string} name */
export async function openCard(name) {
  try {
    const adapter = await getAdapter(name);
    openDialog(name, h("div", { class: "card" }, ...cardOf(adapter)));
  } catch (error) {
    openDialog(name, errorBox(error));
  }
}

/** @param {import("./api.js").Adapter} adapter */
function cardOf(adapter) {
  const { card, generation, targets } = adapter;
  const about = typeof card.about === "string" ? h("p", { class: "about" }, card.about) : null;
  return [
    about,
    factsOf(adapter),
    h("h3", {}, "Rank k per layer"),
    rankChart(targets),
    ...scoresOf(card),
    h("h3", {}, "Generation"),
    h("p", { class: "generation" }, h("code", {}, generation), copyButton(generation)),
    h("details", {}, h("summary", {}, "Everything on the card"), listOf(flat(card))),
  ];
}

/** @param {import("./api.js").Adapter} adapter */
function factsOf({ method, heads, num_params: numParams, bytes, placement, compatible, base, created }) {
  const headsText = method === "mo-sara" ? `, ${heads === 1 ? "one head" : `${heads} heads`}` : "";
  return listOf([
    ["Method", `${METHODS[method] ?? method}${headsText}`],
    ["Parameters", grouped(numParams)],
    ["File", `${(bytes / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} kB`],
    ["Served", placement === "merged" ? "merged, by an engine of its own" : "live, beside all others"],
    ["Made for", `base ${base.slice(0, 12)}${compatible ? "" : ", which is not the base served here"}`],
    ["Added", new Date(created * 1000).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })],
  ]);
}

/** @param {readonly (readonly [string, string])[]} rows */
function listOf(rows) {
  return h("dl", {}, ...rows.map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text))));
}

/**
 * Objects of the card that have scores: shares of the base and with the adapter as bars, losses as numbers.
 * @param {Record<string, unknown>} card
 */
function scoresOf({ heldOut, scores }) {
  const parts = [];
  if (isObject(heldOut) && typeof heldOut.base === "number" && typeof heldOut.adapter === "number") {
    const { metric, examples, base, adapter, baseInterval, adapterInterval } = heldOut;
    parts.push(
      h("p", { class: "note" }, `${textOf(metric ?? "score")} on ${textOf(examples ?? "the")} held-out examples`),
    );
    parts.push(scoreBar("Base", base, baseInterval), scoreBar("With it", adapter, adapterInterval));
  }
  if (isObject(scores)) parts.push(listOf(flat(scores)));
  return parts.length === 0 ? [] : [h("h3", {}, "Scores"), ...parts];
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * @param {string} label
 * @param {number} value 0 to 1
 * @param {unknown} interval
 */
function scoreBar(label, value, interval) {
  const [low, high] = Array.isArray(interval) ? interval.map(Number) : [];
  const text =
    low === undefined ? value.toFixed(3) : `${value.toFixed(3)} (${low.toFixed(3)} … ${(high ?? 1).toFixed(3)})`;
  const bar = svg("rect", { x: 0, y: 0, width: Math.max(0, Math.min(1, value)) * 200, height: 8, rx: 4 });
  const rail = svg("rect", { x: 0, y: 0, width: 200, height: 8, rx: 4, class: "rail" });
  const chart = svg("svg", { viewBox: "0 0 200 8", preserveAspectRatio: "none", "aria-hidden": "true" }, rail, bar);
  return h("p", { class: "score" }, h("span", {}, label), chart, h("span", { class: "value" }, text));
}

/**
 * Nested objects as rows with dotted names.
 * @param {Record<string, unknown>} object
 * @param {string} [prefix]
 * @returns {[string, string][]}
 */
function flat(object, prefix = "") {
  return Object.entries(object).flatMap(([key, value]) => {
    if (isObject(value)) return flat(value, `${prefix}${key}.`);
    return [[prefix + key, textOf(value)]];
  });
}

/**
 * @param {unknown} value
 * @returns {string}
 */
function textOf(value) {
  if (Array.isArray(value)) return value.map(textOf).join(", ");
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(4)));
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** @param {string} text */
function copyButton(text) {
  const button = h("button", { type: "button" }, "Copy");
  button.addEventListener("click", () => {
    navigator.clipboard.writeText(text).then(
      () => (button.textContent = "Copied"),
      () => (button.textContent = "Not allowed"),
    );
  });
  return button;
}
