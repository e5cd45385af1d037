/** Progress on stderr: a redrawn bar on a terminal, a plain line every few seconds elsewhere. */

const BAR_WIDTH = 30;
const LINE_INTERVAL_MS = 5000;
const REDRAW_INTERVAL_MS = 100;

/** The output of progress: process.stderr, or a stream of a test. */
export interface ProgressOutput {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Reports the progress of a task. */
export class Progress {
  readonly #output: ProgressOutput;
  readonly #now: () => number;
  #stage = "";
  #lastAt = -Infinity;
  #hasBar = false;
  /** Width of the bar on the terminal. */
  #width = 0;

  constructor(output: ProgressOutput = process.stderr, now: () => number = () => performance.now()) {
    this.#output = output;
    this.#now = now;
  }

  /** `done` is 0…1 within the stage; `detail` is shown after it. */
  update(stage: string, done: number, detail = ""): void {
    const now = this.#now();
    const isTerminal = this.#output.isTTY === true;
    const isNewStage = stage !== this.#stage;
    const interval = isTerminal ? REDRAW_INTERVAL_MS : LINE_INTERVAL_MS;
    const isDone = isTerminal && done >= 1;
    if (!isNewStage && !isDone && now - this.#lastAt < interval) return;
    if (isNewStage) this.end();
    this.#stage = stage;
    this.#lastAt = now;
    const percent = Math.floor(Math.min(1, Math.max(0, done)) * 100);
    const tail = detail === "" ? "" : `, ${detail}`;
    if (!isTerminal) return void this.#output.write(`${stage}: ${percent} %${tail}\n`);
    const filled = Math.round((percent / 100) * BAR_WIDTH);
    const line = `${stage} [${"=".repeat(filled)}${" ".repeat(BAR_WIDTH - filled)}] ${percent} %${tail}`;
    this.#output.write(`\r${line.padEnd(this.#width)}`); // over the line before, which may have been longer
    this.#width = line.length;
    this.#hasBar = true;
  }

  /** Leaves a bar on its line. */
  end(): void {
    if (this.#hasBar) this.#output.write("\n");
    this.#hasBar = false;
    this.#stage = "";
    this.#width = 0;
    this.#lastAt = -Infinity;
  }
}
