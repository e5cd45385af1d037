/** One training job: its state, its figures, buttons that change it, and its curve, which grows as events come. */
import { METHODS } from "./api.js";
import { errorBox, grouped, h } from "./dom.js";
import { oncePerFrame } from "./frames.js";
import { changeJob, earlierStates, hasEnded, jobEvents } from "./jobs.js";
import { Curves } from "./loss-chart.js";

/** @typedef {import("./jobs.js").Job} Job */

/** States of jobs, for people. */
export const STATES = {
  validating_files: "checking its files",
  queued: "waiting",
  running: "running",
  paused: "paused",
  succeeded: "succeeded",
  failed: "failed",
  cancelled: "cancelled",
};

/** The name of a job for people: its suffix, or the end of its id. @param {Job} job */
export const nameOf = ({ id, user_provided_suffix: suffix }) => suffix ?? id.slice(-12);

/**
 * @typedef {object} JobHandlers
 * @property {() => void} onChange when the job may have another state
 * @property {(name: string) => void} onUse with the name of the adapter to ask
 */

export class JobView {
  element = h("section", { class: "job", "aria-labelledby": "job-name" });
  #state = h("p", { role: "status" });
  #facts = h("p", { class: "note" });
  #actions = h("div", { class: "job-actions" });
  #problem = h("div", {});
  #curve = h("div", {});
  #numbers = h("div", { class: "wide-table", tabindex: 0, role: "region", "aria-label": "Figures of each step" });
  #details = h("details", { ontoggle: () => this.#frame.ask() }, h("summary", {}, "As numbers"), this.#numbers);
  #frame = oncePerFrame(() => this.#draw());
  #curves = new Curves();
  /** @type {Job} */
  #job;
  /** @type {AbortController | null} its stream is open, or has ended with the job */
  #stream = null;
  /** @type {JobHandlers} */
  #handlers;
  #actionsShown = "";

  /**
   * @param {Job} job
   * @param {JobHandlers} handlers
   */
  constructor(job, handlers) {
    this.#job = job;
    this.#handlers = handlers;
    // Nothing that grows stands above the buttons, so that they stay under the pointer.
    this.element.append(h("h3", { id: "job-name" }, nameOf(job)), this.#state, this.#facts, this.#actions);
    this.element.append(this.#problem, this.#curve, this.#details);
    this.update(job);
  }

  get id() {
    return this.#job.id;
  }

  /**
   * Shows the job's present state, and follows its events again if the stream of events has broken off.
   * @param {Job} job
   */
  update(job) {
    this.#job = job;
    const { status, error, mosara, method, trained_tokens: numTokens } = job;
    const text = error === null ? STATES[status] : `${STATES[status]}: ${error.message}`;
    if (this.#state.textContent !== text) this.#state.textContent = text; // read aloud once
    const steps = mosara.total_steps === null ? [] : [`step ${mosara.step} of ${mosara.total_steps}`];
    const tokens = numTokens === null ? [] : [`${grouped(numTokens)} tokens`];
    this.#facts.textContent = [METHODS[mosara.method], method.type, ...steps, ...tokens].join(" · ");
    this.#showActions();
    if (this.#stream === null) void this.#follow();
  }

  /** Ends the stream. The view is not used any more. */
  close() {
    this.#stream?.abort();
    this.#frame.cancel();
  }

  async #follow() {
    const stream = new AbortController();
    this.#stream = stream;
    this.#curves = new Curves();
    try {
      for await (const { type, data } of jobEvents(this.id, stream.signal)) {
        this.#problem.replaceChildren();
        if (type === "metrics" && data !== null) this.#curves.add(data);
        else this.#handlers.onChange();
        this.#frame.ask();
      }
      this.#handlers.onChange();
    } catch (error) {
      if (stream.signal.aborted) return;
      this.#problem.replaceChildren(errorBox(error));
      this.#stream = null; // the next update tries again
    }
  }

  #draw() {
    this.#curve.replaceChildren(this.#curves.draw());
    if (this.#details.open) this.#numbers.replaceChildren(this.#curves.table());
  }

  /** Buttons that the state allows. They stay the same elements while the state stays, and keep the focus. */
  #showActions() {
    const { status, fine_tuned_model: adapter } = this.#job;
    const shown = `${status} ${adapter}`;
    if (shown === this.#actionsShown) return;
    this.#actionsShown = shown;
    const buttons = [];
    if (adapter !== null) buttons.push(this.#useButton(adapter, "Ask it", "primary"));
    if (status === "paused") buttons.push(this.#changeButton("resume", "Continue"));
    else if (!hasEnded(this.#job)) buttons.push(this.#changeButton("pause", "Pause"));
    if (!hasEnded(this.#job)) buttons.push(this.#cancelButton());
    this.#actions.replaceChildren(...buttons);
    if (adapter !== null) void this.#showEarlier();
  }

  /** A button for each earlier epoch whose state was kept. */
  async #showEarlier() {
    try {
      for (const { step_number: step, fine_tuned_model_checkpoint: adapter } of await earlierStates(this.id))
        this.#actions.append(this.#useButton(adapter, `Ask step ${step}`));
    } catch (error) {
      this.#problem.replaceChildren(errorBox(error));
    }
  }

  /**
   * @param {string} adapter its name
   * @param {string} text
   * @param {string} [kind] its class
   */
  #useButton(adapter, text, kind) {
    return h("button", { class: kind, type: "button", onclick: () => this.#handlers.onUse(adapter) }, text);
  }

  /**
   * @param {"pause" | "resume" | "cancel"} change
   * @param {string} text
   */
  #changeButton(change, text) {
    return h("button", { type: "button", onclick: () => void this.#change(change) }, text);
  }

  /** A cancelled job cannot continue, so the button asks once more. */
  #cancelButton() {
    const ask = h("button", { type: "button" }, "Cancel");
    ask.addEventListener("click", () => {
      const sure = this.#changeButton("cancel", "Cancel for good");
      ask.replaceWith(sure);
      sure.focus();
    });
    return ask;
  }

  /** @param {"pause" | "resume" | "cancel"} change */
  async #change(change) {
    try {
      this.update(await changeJob(this.id, change));
    } catch (error) {
      this.#problem.replaceChildren(errorBox(error));
    }
    this.#handlers.onChange();
  }
}
