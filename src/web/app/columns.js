/** The source that a column asks: a model by name, a blend of two adapters, or a file that only this page has. */

/**
 * @typedef {{kind: "model", name: string, isBase: boolean}} ModelSource
 * @typedef {{kind: "blend", names: [string, string], percent: number}} BlendSource `percent`: the first one's share
 * @typedef {{kind: "file", name: string, bytes: number, data: string}} FileSource `data`: base64
 * @typedef {ModelSource | BlendSource | FileSource} Source
 * @typedef {{id: number, slot: number, source: Source}} Column
 */

export const MAX_COLUMNS = 4;

/** @param {Source} source */
export function labelOf(source) {
  return source.kind === "blend" ? source.names.join(" + ") : source.name;
}

/**
 * The weights of a blend, by name.
 * @param {BlendSource} source
 */
export function weightsOf({ names: [first, second], percent }) {
  return { [first]: percent / 100, [second]: (100 - percent) / 100 };
}

/**
 * The fields of a request that name the model, the blend or the file that answers.
 * @param {Source} source
 * @param {string} base the base's name
 */
export function targetOf(source, base) {
  if (source.kind === "model") return { model: source.name };
  if (source.kind === "blend") return { model: base, adapter: { blend: weightsOf(source) } };
  return { model: base, adapter: { data: source.data } };
}

/** The columns of the page, at most four, each in a place (`slot`) that has a colour. */
export class Columns {
  /** @type {Column[]} */
  #list = [];
  #nextId = 1;

  /** @returns {readonly Column[]} */
  get list() {
    return this.#list;
  }

  get isFull() {
    return this.#list.length >= MAX_COLUMNS;
  }

  /** @param {Source} source */
  add(source) {
    const slots = [0, 1, 2, 3].filter((slot) => !this.#list.some((column) => column.slot === slot));
    const column = { id: this.#nextId++, slot: slots[0] ?? 0, source };
    this.#list.push(column);
    return column;
  }

  /** @param {Column} column */
  remove(column) {
    this.#list = this.#list.filter((one) => one !== column);
  }

  /**
   * The column of a model's name.
   * @param {string} name
   */
  ofModel(name) {
    return this.#list.find(({ source }) => source.kind === "model" && source.name === name);
  }
}
