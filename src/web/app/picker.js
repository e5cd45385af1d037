/** The searchable list of models. The search box keeps the focus; arrow keys move through the list, Enter chooses. */
import { byId, grouped, h } from "./dom.js";

/** Options on the page at a time. More would be slow to draw, and nobody reads them. */
const MAX_SHOWN = 100;

export class Picker {
  #search = byId("search", HTMLInputElement);
  #list = byId("choices");
  #count = byId("count");
  /** @type {string[]} */
  #names = [];
  /** @type {string | null} */
  #base = null;
  #isComplete = false;
  /** @type {string[]} */
  #shown = [];
  #active = -1;
  /** @type {(name: string) => string | null} the column's colour, of a name that has a column */
  #slotOf;
  /** @type {(name: string) => void} */
  #toggle;

  /**
   * @param {(name: string) => string | null} slotOf
   * @param {(name: string) => void} toggle
   */
  constructor(slotOf, toggle) {
    this.#slotOf = slotOf;
    this.#toggle = toggle;
    this.#search.addEventListener("input", () => this.#filter());
    this.#search.addEventListener("keydown", (event) => this.#onKey(event));
    this.#list.addEventListener("mousedown", (event) => event.preventDefault()); // the search box keeps the focus
    this.#list.addEventListener("click", (event) => {
      const option = event.target instanceof Element ? event.target.closest("[role=option]") : null;
      if (option instanceof HTMLElement && option.dataset.name !== undefined) this.#choose(option.dataset.name);
    });
  }

  /** The base's name, once the list is there. */
  get base() {
    return this.#base;
  }

  /** Names of adapters, the base left out. */
  get adapters() {
    return this.#names.filter((name) => name !== this.#base);
  }

  clear() {
    this.#names = [];
    this.#isComplete = false;
  }

  /** @param {readonly {id: string, parent: string | null}[]} models */
  add(models) {
    this.#base = models.find(({ parent }) => parent === null)?.id ?? this.#base;
    const known = new Set(this.#names);
    this.#names.push(...models.map(({ id }) => id).filter((id) => !known.has(id)));
    this.#filter();
  }

  complete() {
    this.#isComplete = true;
    this.#filter();
  }

  /**
   * Names that contain the text, those that begin with it first.
   * @param {string} text
   */
  matches(text) {
    const wanted = text.trim().toLowerCase();
    const found = this.#names.filter((name) => name.toLowerCase().includes(wanted));
    if (wanted === "") return found;
    const isFirst = (/** @type {string} */ name) => name.toLowerCase().startsWith(wanted);
    return [...found.filter(isFirst), ...found.filter((name) => !isFirst(name))];
  }

  /** Draws the list again, for instance after a column was removed. */
  render() {
    this.#list.replaceChildren(...this.#shown.map((name, index) => this.#optionOf(name, index)));
    const active = this.#list.children[this.#active];
    if (active) this.#search.setAttribute("aria-activedescendant", active.id);
    else this.#search.removeAttribute("aria-activedescendant");
  }

  #filter() {
    const found = this.matches(this.#search.value);
    this.#shown = found.slice(0, MAX_SHOWN);
    this.#active = this.#search.value.trim() === "" ? -1 : Math.min(0, found.length - 1);
    this.render();
    this.#count.textContent = this.#countText(found.length);
  }

  /** @param {number} numFound */
  #countText(numFound) {
    const total = grouped(this.#names.length);
    const rest = this.#isComplete ? "" : " so far, still loading";
    if (numFound === 0) return `No name has this text, of ${total}${rest}.`;
    const more = numFound > MAX_SHOWN ? `, the first ${MAX_SHOWN} shown` : "";
    const found = numFound === this.#names.length ? `${total} names` : `${grouped(numFound)} of ${total}`;
    return found + rest + more;
  }

  /**
   * @param {string} name
   * @param {number} index
   */
  #optionOf(name, index) {
    const slot = this.#slotOf(name);
    const attributes = { role: "option", id: `choice-${index}`, "data-name": name, "data-slot": slot };
    return h(
      "li",
      { ...attributes, "aria-selected": String(slot !== null), class: index === this.#active ? "active" : null },
      h("span", { class: "box", "aria-hidden": "true" }),
      h("span", { class: "name", title: name }, name),
      name === this.#base ? h("span", { class: "badge" }, "base") : null,
    );
  }

  /** @param {string} name */
  #choose(name) {
    this.#active = this.#shown.indexOf(name);
    this.#toggle(name);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const last = this.#shown.length - 1;
    const name = this.#shown[this.#active];
    if (event.key === "ArrowDown") this.#active = Math.min(this.#active + 1, last);
    else if (event.key === "ArrowUp") this.#active = Math.max(this.#active - 1, 0);
    else if (event.key === "Enter" && name !== undefined) this.#choose(name);
    else if (event.key !== "Enter") return;
    event.preventDefault();
    this.render();
    this.#list.children[this.#active]?.scrollIntoView({ block: "nearest" });
  }
}
