/** The history on disk: one operation a line, and the receipts of the answers that have not been replayed yet. */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Operation } from "./operation.ts";

export class History {
  readonly #file: string;
  readonly #receipts: string;
  readonly operations: Operation[];
  /** Receipts as JSON, one for each answer. */
  waiting: string[];
  #lines: string[] = [];
  #clock: number;

  /** Continues the history in this directory. */
  constructor(dir: string) {
    this.#file = join(dir, "history.jsonl");
    this.#receipts = join(dir, "receipts.jsonl");
    this.operations = linesOf(this.#file).map((line) => JSON.parse(line) as Operation);
    this.waiting = linesOf(this.#receipts);
    this.#clock = this.operations.reduce((last, { end }) => Math.max(last, end), 0);
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

  /** Writes everything. Called when no operation runs. */
  save(): void {
    appendFileSync(this.#file, this.#lines.join(""));
    this.#lines = [];
    writeFileSync(this.#receipts, this.waiting.map((line) => `${line}\n`).join(""));
  }

  /** Removes the receipts that have been replayed. */
  forgetReceipts(): void {
    this.waiting = [];
    rmSync(this.#receipts, { force: true });
  }
}

function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
}
