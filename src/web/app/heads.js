/** The heads of the columns: name, what it is, the slider of a blend, and a button that removes the column. */
import { getAdapter, METHODS } from "./api.js";
import { openCard } from "./card.js";
import { labelOf, weightsOf } from "./columns.js";
import { grouped, h } from "./dom.js";

/** @typedef {import("./columns.js").Column} Column */

/**
 * @param {Column} column
 * @param {() => void} onRemove
 */
export function headOf(column, onRemove) {
  const { source, slot } = column;
  const label = labelOf(source);
  const remove = h(
    "button",
    { class: "icon", type: "button", "aria-label": `Remove ${label}`, onclick: onRemove },
    "×",
  );
  const title = h("h3", {}, h("span", { class: "dot", "aria-hidden": "true" }), ...titleOf(source));
  const attributes = { class: "head", role: "group", "data-slot": slot, "data-column": column.id, "aria-label": label };
  return h("div", attributes, h("div", { class: "title" }, title, remove), detailsOf(source));
}

/**
 * A name that opens the adapter's card.
 * @param {string} name
 */
function nameButton(name) {
  const attributes = { class: "name", type: "button", title: "Show its card", onclick: () => void openCard(name) };
  return h("button", attributes, name);
}

/** @param {import("./columns.js").Source} source */
function titleOf(source) {
  if (source.kind === "blend") return [nameButton(source.names[0]), " + ", nameButton(source.names[1])];
  if (source.kind === "file" || source.isBase) return [h("span", { class: "name" }, source.name)];
  return [nameButton(source.name)];
}

/** @param {import("./columns.js").Source} source */
function detailsOf(source) {
  if (source.kind === "blend") return blendSlider(source);
  const line = h("p", { class: "note" });
  if (source.kind === "file") line.textContent = `${grouped(source.bytes)} bytes, for this conversation alone`;
  else if (source.isBase) line.textContent = "Base model, no adapter";
  else void describe(source.name, line);
  return line;
}

/**
 * @param {string} name
 * @param {HTMLElement} line
 */
async function describe(name, line) {
  line.textContent = "…";
  try {
    const { method, heads, num_params: numParams } = await getAdapter(name);
    const headsText = heads > 1 ? `, ${heads} heads` : "";
    line.textContent = `${METHODS[method] ?? method}${headsText}, ${grouped(numParams)} parameters`;
  } catch (error) {
    line.textContent = /** @type {Error} */ (error).message;
  }
}

/**
 * The slider of a blend. It changes the weights of the blend that the next message asks.
 * @param {import("./columns.js").BlendSource} source
 */
export function blendSlider(source) {
  const [first, second] = source.names;
  const text = h("output", { class: "weights" });
  const slider = h("input", {
    type: "range",
    min: 0,
    max: 100,
    step: 5,
    value: source.percent,
    "aria-label": `Weight of ${first}, the rest is ${second}`,
    oninput: () => update(),
  });
  const update = () => {
    source.percent = Number(slider.value);
    const weights = weightsOf(source);
    const parts = source.names.map((name) => `${name} ${(weights[name] ?? 0).toFixed(2)}`);
    text.replaceChildren(...parts.map((part) => h("span", {}, part)));
    slider.setAttribute("aria-valuetext", parts.join(", "));
  };
  update();
  return h("div", { class: "blend" }, slider, text);
}
