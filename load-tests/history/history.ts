/**
 * The history on disk: one operation a line. Writes are noted before they are sent. So the writes of a run that was
 * killed are known, with an unknown end. Operations are not kept in memory. Listeners have what they need of them.
 */
import {
  appendFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { isWrite, type Operation, type OperationKind } from "./operation.ts";
import { wholeLinesOf } from "./whole-lines.ts";

/** Facts of all runs of a history that its operations do not show. */
export interface Totals {
  /** How often each disturbance has happened. */
  readonly disturbed: Readonly<Record<string, number>>;
  /** Answers that were an error, by code. */
  readonly errors: Readonly<Record<string, number>>;
  /** Answers that were computed again. */
  readonly replayed: number;
  readonly minutes: number;
}

const NO_TOTALS: Totals = { disturbed: {}, errors: {}, replayed: 0, minutes: 0 };

/** How much of the history is whole. */
interface Saved {
  readonly totals: Totals;
  /** Length of the file of operations. A run that was killed may have written more. */
  readonly bytes: number;
}

/** Operations of a kind. */
export interface Count {
  readonly all: number;
  readonly done: number;
}

export interface Listener {
  /** Called for the operations of earlier runs, then for each one that has ended. */
  note(operation: Operation): void;
}

type Begun = Omit<Operation, "end" | "outcome">;

export class History {
  readonly #file: string;
  readonly #begun: string;
  readonly #saved: string;
  readonly #listeners: readonly Listener[];
  readonly #counts = new Map<OperationKind, Count>();
  #totals: Totals;
  #lines: string[] = [];
  #clock = 0;
  #numFailedWrites = 0;

  /** Continues the history in this directory. */
  constructor(dir: string, listeners: readonly Listener[]) {
    this.#file = join(dir, "history.jsonl");
    this.#begun = join(dir, "begun.jsonl");
    this.#saved = join(dir, "saved.json");
    this.#listeners = listeners;
    const saved = existsSync(this.#saved) ? (JSON.parse(readFileSync(this.#saved, "utf8")) as Saved) : null;
    this.#totals = saved?.totals ?? NO_TOTALS;
    if (existsSync(this.#file)) truncateSync(this.#file, saved?.bytes ?? 0);
    for (const line of wholeLinesOf(this.#file)) this.#take(JSON.parse(line) as Operation);
    const savedUntil = this.#clock;
    const begun = [...wholeLinesOf(this.#begun)].map((line) => JSON.parse(line) as Begun);
    // Those of the time before were written with their outcome, just before the run was killed.
    const open = begun.filter(({ start }) => start > savedUntil);
    this.#clock = open.reduce((last, { start }) => Math.max(last, start), savedUntil);
    for (const write of open) this.add({ ...write, end: this.tick(), outcome: "unknown" });
    this.save(this.#totals);
  }

  /** Of the last save. */
  get totals(): Totals {
    return this.#totals;
  }

  get numOperations(): number {
    return [...this.#counts.values()].reduce((sum, { all }) => sum + all, 0);
  }

  /** Writes with an unknown end. */
  get numFailedWrites(): number {
    return this.#numFailedWrites;
  }

  count(kind: OperationKind): Count {
    return this.#counts.get(kind) ?? { all: 0, done: 0 };
  }

  /** The run has reached its end: the next one begins anew. */
  finish(): void {
    for (const file of [this.#file, this.#begun, this.#saved]) rmSync(file, { force: true });
  }

  /** A write is about to be sent. */
  begin(write: Begun): void {
    appendFileSync(this.#begun, `${JSON.stringify(write)}\n`);
  }

  /** The next place in the one order of all requests and answers. */
  tick(): number {
    return ++this.#clock;
  }

  add(operation: Operation): void {
    this.#lines.push(`${JSON.stringify(operation)}\n`);
    this.#take(operation);
  }

  /** Writes what is new. Called when no operation runs. */
  save(totals: Totals): void {
    appendFileSync(this.#file, this.#lines.join(""));
    this.#lines = [];
    this.#totals = totals;
    const saved: Saved = { totals, bytes: statSync(this.#file).size };
    writeFileSync(`${this.#saved}.new`, JSON.stringify(saved));
    renameSync(`${this.#saved}.new`, this.#saved);
    rmSync(this.#begun, { force: true });
  }

  #take(operation: Operation): void {
    const { kind, outcome, end } = operation;
    const { all, done } = this.count(kind);
    this.#counts.set(kind, { all: all + 1, done: done + (outcome === "done" ? 1 : 0) });
    if (isWrite(operation) && outcome === "unknown") this.#numFailedWrites++;
    this.#clock = Math.max(this.#clock, end);
    for (const listener of this.#listeners) listener.note(operation);
  }
}
