/**
 * Receipts of answers that have not been replayed yet, on disk: one a line, in files of so many. A full file is
 * replayed while the next one grows.
 */
import { appendFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { wholeLinesOf } from "./whole-lines.ts";

export class Receipts {
  readonly dir: string;
  readonly #perFile: number;
  /** Number of the file that grows, and of the receipts in it. */
  #number = 1;
  #numInFile = 0;
  #lines: string[] = [];
  readonly #replayed = new Set<string>();

  /** Continues with those that an earlier run has left in this directory. */
  constructor(dir: string, perFile: number) {
    this.dir = join(dir, "receipts");
    this.#perFile = perFile;
    mkdirSync(this.dir, { recursive: true });
    this.#number = Math.max(1, ...this.#numbers());
    let bytes = 0;
    for (const line of wholeLinesOf(this.#file)) {
      bytes += Buffer.byteLength(line) + 1;
      this.#numInFile++;
    }
    if (existsSync(this.#file) && statSync(this.#file).size > bytes) truncateSync(this.#file, bytes);
  }

  add(receipt: object): void {
    this.#lines.push(`${JSON.stringify({ mosara_receipt: receipt })}\n`);
  }

  /** Writes what is new. */
  save(): void {
    if (this.#lines.length > 0) appendFileSync(this.#file, this.#lines.join(""));
    this.#numInFile += this.#lines.length;
    this.#lines = [];
    if (this.#numInFile >= this.#perFile) this.#begin();
  }

  /** The oldest file that does not grow any more and has not been replayed; undefined: there is none. */
  oldestFull(): string | undefined {
    const full = this.#numbers().filter((number) => number < this.#number);
    return full.map((number) => this.#fileOf(number)).find((file) => !this.#replayed.has(file));
  }

  /** The file that grows counts as full, so that the last receipts are replayed too. */
  close(): void {
    if (this.#numInFile > 0) this.#begin();
  }

  markReplayed(file: string): void {
    this.#replayed.add(file);
  }

  /** Removes the files that have been replayed. Called when their number has been saved. */
  removeReplayed(): void {
    for (const file of this.#replayed) rmSync(file);
    this.#replayed.clear();
  }

  #begin(): void {
    this.#number++;
    this.#numInFile = 0;
  }

  get #file(): string {
    return this.#fileOf(this.#number);
  }

  #fileOf(number: number): string {
    return join(this.dir, `${String(number).padStart(6, "0")}.jsonl`);
  }

  #numbers(): number[] {
    return readdirSync(this.dir)
      .map((name) => Number(/^(\d+)\.jsonl$/.exec(name)?.[1]))
      .filter(Number.isInteger)
      .sort((a, b) => a - b);
  }
}
