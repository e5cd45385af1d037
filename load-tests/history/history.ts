/**
 * The history on disk: one operation a line, and the receipts of the answers that have not been replayed yet. Writes are
 * noted before they are sent. So the writes of a run that was killed are known, with an unknown end.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Operation } from "./operation.ts";

export interface Totals {
  /** How often each disturbance has happened. */
  readonly disturbed: Readonly<Record<string, number>>;
  /** Answers that were computed again. */
  readonly replayed: number;
}

const NO_TOTALS: Totals = { disturbed: {}, replayed: 0 };

export class History {
  readonly #file: string;
  readonly #receipts: string;
  readonly #begun: string;
  readonly #totals: string;
  readonly operations: Operation[];
  /** Receipts as JSON, one for each answer. */
  waiting: string[];
  #lines: string[] = [];
  /** Number of the waiting receipts that are on disk. */
  #numSaved: number;
  #clock: number;

  /** Continues the history in this directory. */
  constructor(dir: string) {
    this.#file = join(dir, "history.jsonl");
    this.#receipts = join(dir, "receipts.jsonl");
    this.#begun = join(dir, "begun.jsonl");
    this.#totals = join(dir, "totals.json");
    this.operations = linesOf(this.#file).map((line) => JSON.parse(line) as Operation);
    this.waiting = linesOf(this.#receipts);
    this.#numSaved = this.waiting.length;
    this.#clock = this.operations.reduce((last, { end }) => Math.max(last, end), 0);
    const begun = linesOf(this.#begun).map((line) => JSON.parse(line) as Omit<Operation, "end" | "outcome">);
    this.#clock = begun.reduce((last, { start }) => Math.max(last, start), this.#clock);
    for (const write of begun) this.add({ ...write, end: this.tick(), outcome: "unknown" });
    this.save();
  }

  /** What all runs of this history have done. */
  get totals(): Totals {
    return existsSync(this.#totals) ? (JSON.parse(readFileSync(this.#totals, "utf8")) as Totals) : NO_TOTALS;
  }

  /** The run has reached its end: the next one begins anew. */
  finish(): void {
    for (const file of [this.#file, this.#receipts, this.#begun, this.#totals]) rmSync(file, { force: true });
  }

  /** A write is about to be sent. */
  begin(write: Omit<Operation, "end" | "outcome">): void {
    appendFileSync(this.#begun, `${JSON.stringify(write)}\n`);
  }

  /** The next place in the one order of all requests and answers. */
  tick(): number {
    return ++this.#clock;
  }

  add(operation: Operation, receipt?: object): void {
    this.operations.push(operation);
    this.#lines.push(`${JSON.stringify(operation)}\n`);
    if (receipt !== undefined) this.waiting.push(JSON.stringify({ mosara_receipt: receipt }));
  }

  /** Writes what is new. Called when no operation runs. */
  save(totals: Totals = this.totals): void {
    writeFileSync(this.#totals, JSON.stringify(totals));
    appendFileSync(this.#file, this.#lines.join(""));
    this.#lines = [];
    appendFileSync(
      this.#receipts,
      this.waiting
        .slice(this.#numSaved)
        .map((line) => `${line}\n`)
        .join(""),
    );
    this.#numSaved = this.waiting.length;
    rmSync(this.#begun, { force: true });
  }

  /** Removes the receipts that have been replayed. */
  forgetReceipts(): void {
    this.waiting = [];
    this.#numSaved = 0;
    rmSync(this.#receipts, { force: true });
  }
}

function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
}
