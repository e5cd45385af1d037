/** Reads the arguments of a call whose name stands before them, outside of any JSON. They are complete with their last bracket. */
import type { CallReader, CallState } from "./call-reader.ts";

export class NamedArguments {
  /** Has read the name already. */
  readonly #reader: CallReader;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  constructor(reader: CallReader) {
    this.#reader = reader;
  }

  push(char: string): CallState {
    if (this.#depth === 0 && /\s/.test(char)) return "open";
    if (this.#depth === 0 && char !== "{") return "malformed";
    this.#reader.push(char);
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (char === "\\") this.#isEscaped = true;
      else if (char === '"') this.#isInString = false;
      return "open";
    }
    if (char === '"') this.#isInString = true;
    if (char === "{" || char === "[") this.#depth += 1;
    if (char === "}" || char === "]") this.#depth -= 1;
    return this.#depth === 0 ? "complete" : "open";
  }
}
