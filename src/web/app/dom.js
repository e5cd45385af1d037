/** Elements without markup: every text becomes a text node, so that no name and no answer is ever read as HTML. */

/**
 * @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes
 * A function is a listener (`onclick`), `true` an attribute without a value; false, null and undefined are left out.
 * @typedef {Node | string | null} Child
 */

/**
 * An HTML element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * An SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Attributes} attributes
 * @param {readonly Child[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * The element with this id.
 * @template {HTMLElement} [E=HTMLElement]
 * @param {string} id
 * @param {new () => E} [type]
 * @returns {E}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof (type ?? HTMLElement))) throw new Error(`internal: the page has no such element: ${id}`);
  return /** @type {E} */ (element);
}

/**
 * A modal dialog with a heading and a button to close it. It is removed when it closes, and the focus returns to where
 * it was.
 * @param {string} title
 * @param {...Child} children
 */
export function openDialog(title, ...children) {
  const close = h(
    "button",
    { class: "icon", type: "button", "aria-label": "Close", onclick: () => dialog.close() },
    "×",
  );
  const heading = h("h2", { id: "dialog-title" }, title);
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, h("header", {}, heading, close), ...children);
  const before = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (before instanceof HTMLElement) before.focus();
  });
  // A click on the backdrop has the dialog itself as its target, because the content covers the whole box of the
  // dialog.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * The box of an error. A screen reader reads it at once.
 * @param {unknown} error
 * @param {...Child} children
 */
export function errorBox(error, ...children) {
  const { message, code } = /** @type {{message?: string, code?: string}} */ (error ?? {});
  return h(
    "div",
    { class: "error", role: "alert" },
    h("p", {}, h("strong", {}, "Error. "), message ?? String(error)),
    code === undefined ? null : h("p", { class: "note" }, h("code", {}, code)),
    ...children,
  );
}

/** @param {number} value */
export const grouped = (value) => value.toLocaleString("en");
