/**
 * Converts bytes that arrive one at a time to whole characters, for byte-fallback tokens.
 * Unlike TextDecoder, it gives one U+FFFD for each byte of a broken stretch, as the tokenizers library does.
 * Source: Unicode 15, table 3-7 "Well-Formed UTF-8 Byte Sequences".
 */
const REPLACEMENT = "\ufffd";

export class Utf8Run {
  #pending: number[] = [];

  /** The characters that this byte completes, with one U+FFFD for each byte that can no longer become one. */
  push(byte: number): string {
    this.#pending.push(byte);
    let text = "";
    for (;;) {
      const [first] = this.#pending;
      if (first === undefined) return text;
      const size = sequenceLength(first);
      if (size === 0 || !this.#pending.every((value, i) => i === 0 || i >= size || isContinuation(first, value, i))) {
        text += REPLACEMENT;
        this.#pending.shift();
      } else if (this.#pending.length < size) return text;
      else text += new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(this.#pending.splice(0, size)));
    }
  }

  /** Ends the run, with one U+FFFD for each byte that is still held. */
  flush(): string {
    const text = REPLACEMENT.repeat(this.#pending.length);
    this.#pending = [];
    return text;
  }
}

function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

function isContinuation(first: number, byte: number, at: number): boolean {
  if (at > 1) return byte >= 0x80 && byte <= 0xbf;
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  return byte >= low && byte <= high;
}
