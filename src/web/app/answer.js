/** One answer of one column: its text as it comes, its figures, and what went wrong. */
import { errorBox, h } from "./dom.js";
import { oncePerFrame } from "./frames.js";
import { chatChunks } from "./stream.js";

export class Answer {
  text = "";
  hasFailed = false;
  isRunning = true;
  element;
  #words = new Text();
  #thoughtWords = new Text();
  #thoughts = h(
    "details",
    { class: "reasoning", hidden: true },
    h("summary", {}, "Reasoning"),
    h("div", { class: "text" }, this.#thoughtWords),
  );
  #meter = h("p", { class: "meter" });
  #thought = "";
  #startedAt = 0;
  #firstAt = 0;
  #lastAt = 0;
  #numTokens = 0;
  #numAtFirst = 0;
  /** @type {string | null} */
  #finish = null;

  /**
   * @param {string} label
   * @param {number} slot the column's colour
   * @param {number} columnId
   */
  constructor(label, slot, columnId) {
    const attributes = { class: "answer", role: "group", "data-slot": slot, "data-column": columnId };
    this.label = label;
    this.element = h(
      "div",
      { ...attributes, "aria-label": `Answer of ${label}` },
      this.#thoughts,
      h("div", { class: "text" }, this.#words),
      this.#meter,
    );
  }

  /**
   * Streams the answer. Errors are shown here and thrown nowhere.
   * @param {object} body
   * @param {AbortSignal} signal
   * @param {() => void} onRetry
   */
  async run(body, signal, onRetry) {
    this.element.setAttribute("aria-busy", "true");
    this.#startedAt = performance.now();
    this.#meter.textContent = "Waiting for the first token";
    const frames = oncePerFrame(() => this.#show());
    try {
      for await (const chunk of chatChunks(body, signal)) {
        this.#take(chunk);
        frames.ask();
      }
    } catch (error) {
      if (signal.aborted) this.#finish = "abort";
      else this.#fail(error, onRetry);
    }
    frames.cancel();
    this.isRunning = false;
    this.element.removeAttribute("aria-busy");
    this.#show();
  }

  /** @param {import("./stream.js").Chunk} chunk */
  #take({ choices, usage }) {
    const [choice] = choices;
    const { content, reasoning_content: reasoning, tool_calls: calls } = choice?.delta ?? {};
    const called = (calls ?? []).map((one) => (one.function?.name ?? "") + (one.function?.arguments ?? "")).join("");
    if (usage) this.#numTokens = usage.completion_tokens;
    this.#lastAt = performance.now();
    if ((content || reasoning || called) && this.#firstAt === 0) {
      this.#firstAt = this.#lastAt;
      this.#numAtFirst = this.#numTokens;
    }
    this.#thought += reasoning ?? "";
    this.text += (content ?? "") + called;
    this.#finish = choice?.finish_reason ?? this.#finish;
  }

  #show() {
    if (this.#thought !== "") this.#thoughts.hidden = false;
    append(this.#thoughtWords, this.#thought);
    append(this.#words, this.text);
    this.#showFigures();
  }

  /**
   * @param {unknown} error
   * @param {() => void} onRetry
   */
  #fail(error, onRetry) {
    this.hasFailed = true;
    const retry = h("button", { type: "button", onclick: onRetry }, "Try again");
    this.element.insertBefore(errorBox(error, retry), this.#meter);
  }

  /** Tokens a second from the first token on; the time before it has a figure of its own. */
  #showFigures() {
    const seconds = (this.#lastAt - this.#firstAt) / 1000;
    const numLater = this.#numTokens - this.#numAtFirst;
    const rate = numLater > 0 && seconds > 0 ? numLater / seconds : 0;
    const parts = [];
    if (this.#numTokens > 0) parts.push(`${this.#numTokens} ${this.#numTokens === 1 ? "token" : "tokens"}`);
    if (rate > 0) parts.push(`${rate.toFixed(rate < 10 ? 1 : 0)} tokens/s`);
    if (this.#firstAt > 0) parts.push(`first after ${Math.round(this.#firstAt - this.#startedAt)} ms`);
    if (this.#finish === "length") parts.push("cut at the maximum of tokens");
    if (this.#finish === "abort") parts.push("stopped");
    if (parts.length > 0) this.#meter.replaceChildren(...parts.map((part) => h("span", {}, part)));
    else if (!this.isRunning) this.#meter.replaceChildren();
  }
}

/**
 * Extends the shown text to `text`, which begins with the shown text.
 * @param {Text} shown
 * @param {string} text
 */
function append(shown, text) {
  if (text.length > shown.length) shown.appendData(text.slice(shown.length));
}
