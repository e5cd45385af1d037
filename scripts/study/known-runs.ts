/** What a study knows already: one JSON object a line, appended as runs end, so that it continues after any stop. */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";

/** @typeParam Key fields that make a run the run it is; a result has them all */
export class KnownRuns<Key extends object, Result extends Key> {
  readonly #path: string;
  readonly #known: Result[];

  constructor(path: string) {
    this.#path = path;
    const text = existsSync(path) ? readFileSync(path, "utf8").trim() : "";
    this.#known = text === "" ? [] : text.split("\n").map((line) => JSON.parse(line) as Result);
  }

  get all(): readonly Result[] {
    return this.#known;
  }

  has(key: Key): boolean {
    const names = Object.keys(key) as (keyof Key)[];
    return this.#known.some((known) => names.every((name) => known[name] === key[name]));
  }

  add(result: Result): void {
    mkdirSync(dirname(this.#path), { recursive: true });
    appendFileSync(this.#path, `${JSON.stringify(result)}\n`);
    this.#known.push(result);
  }
}
