/** The dialog of training jobs: a list that stays current, and the job that is chosen from it. */
import { errorBox, h, openDialog } from "./dom.js";
import { JobView, nameOf, STATES } from "./job-view.js";
import { getJobs, hasEnded } from "./jobs.js";

/** @typedef {import("./jobs.js").Job} Job */

/** Time between two looks at the list. The chosen job's events come at once. */
const REFRESH_MS = 2000;

/** @param {(name: string) => void} onUse called with the adapter of a job that is to be asked */
export function openJobsDialog(onUse) {
  const [list, place, problem] = [h("ul", { class: "jobs" }), h("div", {}), h("div", {})];
  const dialog = openDialog("Training jobs", problem, h("div", { class: "training" }, list, place));
  dialog.classList.add("wide-dialog");
  const rows = new JobRows(list, (job) => choose(job));
  /** @type {JobView | null} */
  let view = null;

  const choose = (/** @type {Job} */ job) => {
    view?.close();
    view = new JobView(job, {
      onChange: () => void watch.refresh(),
      onUse: (name) => {
        dialog.close();
        onUse(name);
      },
    });
    place.replaceChildren(view.element);
    rows.mark(job.id);
  };

  const show = (/** @type {readonly Job[]} */ jobs) => {
    problem.replaceChildren();
    rows.update(jobs);
    const [newest] = jobs;
    const chosen = jobs.find(({ id }) => id === view?.id);
    if (chosen) view?.update(chosen);
    else if (newest) choose(newest);
    else place.replaceChildren(emptyNote());
  };

  const watch = new JobsWatch(show, (error) => problem.replaceChildren(errorBox(error)));
  dialog.addEventListener("close", () => {
    watch.close();
    view?.close();
  });
  void watch.refresh();
}

/** Reads the list of jobs again and again, until it is closed. */
class JobsWatch {
  #onJobs;
  #onError;
  #isReading = false;
  #isClosed = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {(jobs: readonly Job[]) => void} onJobs
   * @param {(error: unknown) => void} onError
   */
  constructor(onJobs, onError) {
    this.#onJobs = onJobs;
    this.#onError = onError;
  }

  /** Reads now, unless it is just reading. */
  async refresh() {
    if (this.#isReading) return;
    this.#isReading = true;
    clearTimeout(this.#timer);
    try {
      const jobs = await getJobs();
      if (!this.#isClosed) this.#onJobs(jobs);
    } catch (error) {
      this.#onError(error);
    }
    this.#isReading = false;
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.refresh(), REFRESH_MS);
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}

function emptyNote() {
  const link = h("a", { href: "docs#post-v1-fine_tuning-jobs" }, "POST /v1/fine_tuning/jobs");
  return h("p", { class: "empty" }, "There are no training jobs yet. ", link, " trains an adapter.");
}

/** A button for each job. Buttons stay in place from look to look, so that the one with the focus keeps it. */
class JobRows {
  #list;
  /** @type {Map<string, {item: HTMLLIElement, button: HTMLButtonElement, state: HTMLElement, job: Job}>} */
  #rows = new Map();
  #choose;
  #marked = "";

  /**
   * @param {HTMLElement} list
   * @param {(job: Job) => void} choose
   */
  constructor(list, choose) {
    this.#list = list;
    this.#choose = choose;
  }

  /** @param {readonly Job[]} jobs newest first */
  update(jobs) {
    const present = new Set(jobs.map(({ id }) => id));
    for (const [id, { item }] of this.#rows)
      if (!present.has(id)) {
        item.remove();
        this.#rows.delete(id);
      }
    for (const [index, job] of jobs.entries()) {
      const row = this.#rows.get(job.id) ?? this.#rowOf(job);
      row.job = job;
      row.state.textContent = stateText(job);
      if (this.#list.children[index] !== row.item)
        this.#list.insertBefore(row.item, this.#list.children[index] ?? null);
    }
    this.mark(this.#marked);
  }

  /** @param {string} id of the job that is shown */
  mark(id) {
    this.#marked = id;
    for (const [own, { button }] of this.#rows) button.setAttribute("aria-current", String(own === id));
  }

  /** @param {Job} job */
  #rowOf(job) {
    const state = h("span", { class: "note" });
    const name = h("span", { class: "name" }, nameOf(job));
    const button = h("button", { class: "quiet", type: "button" }, name, state);
    const row = { item: h("li", {}, button), button, state, job };
    button.addEventListener("click", () => this.#choose(row.job));
    this.#rows.set(job.id, row);
    return row;
  }
}

/** @param {Job} job */
function stateText(job) {
  const { step, total_steps: total } = job.mosara;
  const isUnderWay = !hasEnded(job) && total !== null;
  return isUnderWay ? `${STATES[job.status]}, ${Math.floor((100 * step) / total)} %` : STATES[job.status];
}
