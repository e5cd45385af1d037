/**
 * Where JSON leaves white space free, an answer usually repeats itself: it has the same space after every comma. This
 * class remembers the space after each mark, to guess the next space. Bytes in strings do not count.
 */

const MARKS: ReadonlySet<number> = new Set(Buffer.from(":,{["));
const BRACKETS: ReadonlySet<number> = new Set(Buffer.from("{}[]"));
const [QUOTE = 0, BACKSLASH = 0, COLON = 0, COMMA = 0] = Buffer.from('"\\:,');

/** The usual spelling, until an answer shows another one. */
const USUAL: ReadonlyMap<number, readonly number[]> = new Map([COLON, COMMA].map((mark) => [mark, [0x20]]));

const NONE: readonly number[] = [];

export function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

export class SpacingHabit {
  /**
   * The space by mark, and by mark with the kinds of its neighbours: after a comma between objects, the space is often
   * different.
   */
  #spaces = new Map<number | string, readonly number[]>(USUAL);
  /** The last bytes that were not white space, and the white space after them. */
  #beforeLast = 0;
  #last = 0;
  #run = NONE;
  #isInString = false;
  #isEscaped = false;

  copy(): SpacingHabit {
    const copy = new SpacingHabit();
    copy.#spaces = new Map(this.#spaces);
    copy.#beforeLast = this.#beforeLast;
    copy.#last = this.#last;
    copy.#run = this.#run;
    copy.#isInString = this.#isInString;
    copy.#isEscaped = this.#isEscaped;
    return copy;
  }

  read(byte: number): void {
    if (this.#isInString) return this.#readInString(byte);
    if (isSpace(byte)) {
      this.#run = [...this.#run, byte];
      return;
    }
    if (MARKS.has(this.#last)) this.#note(byte);
    this.#beforeLast = this.#last;
    this.#last = byte;
    this.#run = NONE;
    this.#isInString = byte === QUOTE;
  }

  /** Notes the space between the last mark and the byte after it. */
  #note(byte: number): void {
    // Compact JSON has no space after either a colon or a comma, and a colon comes first.
    if (this.#last === COLON && this.#run.length === 0 && this.#spaces.get(COMMA) === USUAL.get(COMMA))
      this.#spaces.set(COMMA, NONE);
    this.#spaces.set(this.#last, this.#run);
    this.#spaces.set(this.#between(byte), this.#run);
  }

  #readInString(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === BACKSLASH) this.#isEscaped = true;
    else if (byte === QUOTE) this.#isInString = false;
  }

  /** The white space that is probably still to come before this byte. */
  expectedBefore(byte: number): readonly number[] {
    const usual = this.#spaces.get(this.#between(byte)) ?? this.#spaces.get(this.#last) ?? NONE;
    const hasBegun = this.#run.every((space, i) => space === usual[i]);
    return this.#isInString || !hasBegun ? NONE : usual.slice(this.#run.length);
  }

  #between(next: number): string {
    return `${kindOf(this.#beforeLast)}${String.fromCodePoint(this.#last)}${kindOf(next)}`;
  }
}

function kindOf(byte: number): string {
  if (BRACKETS.has(byte)) return "bracket";
  return byte === QUOTE ? "quote" : "other";
}
