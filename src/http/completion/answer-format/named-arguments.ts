/**
 * Reads the arguments of a call whose name stands before them, outside of any JSON. They are complete with their last
 * bracket.
 */
import type { CallReader, CallState } from "./call-reader.ts";

export class NamedArguments {
  /** This reader has read the name already, so its position is inside of an object. */
  readonly #reader: CallReader;
  readonly #outerDepth: number;

  constructor(reader: CallReader) {
    this.#reader = reader;
    this.#outerDepth = reader.depth;
  }

  push(char: string): CallState {
    if (this.#reader.depth === this.#outerDepth) {
      if (/\s/.test(char)) return "open";
      if (char !== "{") return "malformed";
    }
    this.#reader.push(char);
    return this.#reader.depth === this.#outerDepth ? "complete" : "open";
  }
}
