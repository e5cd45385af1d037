/** The turns of the conversation: each has the user's message, and one answer of every column that was there. */
import { Answer } from "./answer.js";
import { labelOf, targetOf } from "./columns.js";
import { byId, h } from "./dom.js";

/**
 * @typedef {import("./columns.js").Column} Column
 * @typedef {{message: string, answers: Map<Column, Answer>, row: HTMLElement, element: HTMLElement}} Turn
 * @typedef {{system: string, temperature: number | null, maxTokens: number | null}} Settings
 */

/** Pixels from the end within which new text keeps the end in view. */
const NEAR_END = 80;

export class Conversation {
  #scroll = byId("scroll");
  #list = byId("turns");
  #announcements = byId("announcements");
  /** @type {Turn[]} */
  #turns = [];
  /** @type {Map<AbortController, Column>} */
  #running = new Map();
  #isAtEnd = true;
  /** @type {() => Settings} */
  #settings;
  /** @type {() => string} */
  #base;
  /** @type {() => void} */
  #onChange;
  /** @type {readonly Column[]} */
  #columns = [];

  /**
   * @param {() => Settings} settings
   * @param {() => string} base the base's name
   * @param {() => void} onChange called when answers begin or end
   */
  constructor(settings, base, onChange) {
    this.#settings = settings;
    this.#base = base;
    this.#onChange = onChange;
    this.#scroll.addEventListener("scroll", () => {
      const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
      this.#isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    });
  }

  get isRunning() {
    return this.#running.size > 0;
  }

  get isEmpty() {
    return this.#turns.length === 0;
  }

  /** @param {readonly Column[]} columns */
  show(columns) {
    this.#columns = columns;
    for (const [controller, column] of this.#running) if (!columns.includes(column)) controller.abort();
    for (const turn of this.#turns) this.#layOut(turn);
  }

  /**
   * Asks all columns at once.
   * @param {string} message
   */
  send(message) {
    const row = h("div", { class: "row" });
    const user = h("p", { class: "user" }, h("span", { class: "visually-hidden" }, "You: "), message);
    const element = h("li", { class: "turn" }, user, row);
    const turn = { message, answers: new Map(), row, element };
    this.#turns.push(turn);
    this.#list.append(element);
    for (const column of this.#columns) void this.#ask(turn, column);
    this.#layOut(turn);
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  stop() {
    for (const controller of this.#running.keys()) controller.abort();
  }

  clear() {
    this.stop();
    this.#turns = [];
    this.#list.replaceChildren();
  }

  /**
   * @param {Turn} turn
   * @param {Column} column
   */
  async #ask(turn, column) {
    const answer = new Answer(labelOf(column.source), column.slot, column.id);
    const body = this.#bodyOf(turn, column);
    turn.answers.set(column, answer);
    const controller = new AbortController();
    this.#running.set(controller, column);
    this.#onChange();
    const observer = new MutationObserver(() => this.#follow());
    observer.observe(answer.element, { childList: true, characterData: true, subtree: true });
    await answer.run(body, controller.signal, () => {
      void this.#ask(turn, column);
      this.#layOut(turn);
    });
    observer.disconnect();
    this.#running.delete(controller);
    if (!answer.hasFailed && this.#turns.includes(turn)) this.#announce(answer);
    this.#onChange();
  }

  /**
   * The request: the turns that this column answered, then the message.
   * @param {Turn} turn
   * @param {Column} column
   */
  #bodyOf(turn, column) {
    const { system, temperature, maxTokens } = this.#settings();
    const before = this.#turns.slice(0, this.#turns.indexOf(turn)).flatMap(({ message, answers }) => {
      const answer = answers.get(column);
      if (!answer || answer.hasFailed || answer.text === "") return [];
      return [
        { role: "user", content: message },
        { role: "assistant", content: answer.text },
      ];
    });
    return {
      ...targetOf(column.source, this.#base()),
      messages: [
        ...(system === "" ? [] : [{ role: "system", content: system }]),
        ...before,
        { role: "user", content: turn.message },
      ],
      ...(temperature === null ? {} : { temperature }),
      ...(maxTokens === null ? {} : { max_tokens: maxTokens }),
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    };
  }

  /** @param {Turn} turn */
  #layOut({ answers, row }) {
    const cells = this.#columns.map((column) => {
      const placeholder = h("p", { class: "answer absent", "data-column": column.id }, "Not asked");
      return answers.get(column)?.element ?? placeholder;
    });
    row.replaceChildren(...cells);
  }

  #follow() {
    if (this.#isAtEnd) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  /** @param {Answer} answer */
  #announce({ label, text }) {
    this.#announcements.append(h("p", {}, `${label}: ${text}`));
    while (this.#announcements.childElementCount > 8) this.#announcements.firstElementChild?.remove();
  }
}
