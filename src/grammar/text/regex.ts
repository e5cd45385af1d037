/**
 * Reads a regular expression in JavaScript's syntax, as far as it describes a regular language: no look-around, back
 * references, word boundaries or Unicode properties. Lazy quantifiers describe the same language as greedy ones.
 */
import { quote } from "../../errors.ts";
import {
  characters,
  charactersExcept,
  type CharacterRange,
  choice,
  EMPTY,
  type Expression,
  joinedRanges,
  complement,
  MAX_CODE_POINT,
  repeat,
  sequence,
} from "../expression.ts";
import { MAX_DEPTH, refuseGrammar } from "../grammar-error.ts";

/** Maximum number of digits in the braces of `\u{…}`. */
const MAX_DIGITS = 8;
const DIGITS: CharacterRange[] = [[0x30, 0x39]];
const WORD: CharacterRange[] = [[0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]]; // prettier-ignore
const SPACE: CharacterRange[] = joinedRanges(
  [...Array.from({ length: 5 }, (_, i) => 9 + i), 0x20, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0xfeff]
    .map((at): CharacterRange => [at, at])
    .concat([[0x2000, 0x200a]]),
);
const LINE_ENDS: CharacterRange[] = [[0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]]; // prettier-ignore
const ANY: Expression = charactersExcept([]);

const CLASSES: Readonly<Record<string, readonly CharacterRange[]>> = {
  d: DIGITS,
  w: WORD,
  s: SPACE,
  D: complement(DIGITS),
  W: complement(WORD),
  S: complement(SPACE),
};

const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, "0": 0 };

/** A part of an alternative: an expression, or an anchor at its edge. */
type Part = Expression | "start" | "end";

/**
 * @param isSearch whether the text only needs to contain a match, as in JSON Schema's `pattern`; otherwise the whole
 * text must match
 * @throws {AppError} invalid_request
 */
export function readRegex(source: string, { isSearch }: { readonly isSearch: boolean }): Expression {
  return new RegexReader(source, isSearch).read();
}

class RegexReader {
  readonly #chars: readonly string[];
  readonly #isSearch: boolean;
  #at = 0;
  #depth = 0;

  constructor(source: string, isSearch: boolean) {
    this.#chars = [...source];
    this.#isSearch = isSearch;
  }

  read(): Expression {
    const options = this.#alternatives();
    if (this.#at < this.#chars.length) this.#refuse(`an unmatched ${quote(this.#peek())}`);
    return choice(options.map((parts) => this.#anchored(parts)));
  }

  #alternatives(): Part[][] {
    if (++this.#depth > MAX_DEPTH) this.#refuse("too many nested groups");
    const options: Part[][] = [[]];
    while (this.#at < this.#chars.length && this.#peek() !== ")") {
      if (this.#take("|")) options.push([]);
      else options.at(-1)!.push(this.#part()); // begun above
    }
    this.#depth--;
    return options;
  }

  /** An alternative of the whole expression. Anchors bind its ends. Without them a search allows text around it. */
  #anchored(parts: readonly Part[]): Expression {
    const items = [...parts];
    const free = this.#isSearch ? repeat(ANY, 0, Infinity) : EMPTY;
    const before = items[0] === "start" ? EMPTY : free;
    while (items[0] === "start") items.shift();
    const after = items.at(-1) === "end" ? EMPTY : free;
    while (items.at(-1) === "end") items.pop();
    return sequence(before, ...this.#plain(items), after);
  }

  #plain(parts: readonly Part[]): Expression[] {
    return parts.map((part) =>
      typeof part === "string"
        ? this.#refuse(`${part === "start" ? "^" : "$"} inside the expression, where only its ends may have it`)
        : part,
    );
  }

  #part(): Part {
    if (this.#take("^")) return "start";
    if (this.#take("$")) return "end";
    return this.#quantified(this.#atom());
  }

  #quantified(item: Expression): Expression {
    const bounds = this.#quantifier();
    if (bounds === null) return item;
    this.#take("?"); // lazy
    if (this.#peek() === "+") this.#refuse("a possessive quantifier");
    if (this.#isQuantifierNext()) this.#refuse("a quantifier after a quantifier");
    return repeat(item, ...bounds);
  }

  #isQuantifierNext(): boolean {
    const next = this.#peek();
    return next === "*" || next === "?" || (next === "{" && this.#braces() !== null);
  }

  #quantifier(): [number, number] | null {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    const braces = this.#peek() === "{" ? this.#braces() : null;
    if (braces === null) return null;
    const { min, max, length } = braces;
    if (max < min) this.#refuse(`the quantifier {${min},${max}}, whose numbers are out of order`);
    this.#at += length;
    return [min, max];
  }

  #braces(): { min: number; max: number; length: number } | null {
    const found = /^\{(\d{1,9})(,(\d{0,9}))?\}/.exec(this.#chars.slice(this.#at, this.#at + 24).join(""));
    if (found === null) return null;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === "" ? Infinity : Number(found[3]);
    return { min, max, length: found[0].length };
  }

  #atom(): Expression {
    const char = this.#next();
    switch (char) {
      case "(":
        return this.#group();
      case "[":
        return this.#set();
      case ".":
        return charactersExcept(LINE_ENDS);
      case "\\":
        return characters(this.#escape(false));
      case "*":
      case "+":
      case "?":
        return this.#refuse(`${quote(char)} with nothing to repeat`);
      default:
        return characters([[char.codePointAt(0)!, char.codePointAt(0)!]]); // a character
    }
  }

  #group(): Expression {
    if (this.#take("?")) {
      const kind = this.#next();
      if (kind === "<" && /[A-Za-z_$]/.test(this.#peek())) while (this.#next() !== ">");
      else if (kind === "P" && this.#take("<")) while (this.#next() !== ">");
      else if (kind !== ":") this.#refuse(`the unsupported group (?${kind}${this.#peek()}…)`);
    }
    const options = this.#alternatives();
    if (!this.#take(")")) this.#refuse('a "(" without a ")"');
    return choice(options.map((parts) => sequence(...this.#plain(parts))));
  }

  #set(): Expression {
    const isNegated = this.#take("^");
    const ranges: CharacterRange[] = [];
    while (!this.#take("]")) {
      const from = this.#setItem();
      const isRange = this.#peek() === "-" && this.#chars[this.#at + 1] !== "]" && this.#at + 1 < this.#chars.length;
      if (!isRange) {
        ranges.push(...from);
        continue;
      }
      this.#at++;
      const to = this.#setItem();
      const [first, last] = [from[0]?.[0] ?? 0, to[0]?.[1] ?? 0];
      if (from.length !== 1 || to.length !== 1 || from[0]![0] !== from[0]![1] || to[0]![0] !== to[0]![1])
        this.#refuse("a range between classes of characters");
      if (last < first) this.#refuse("a range of characters whose ends are out of order");
      ranges.push([first, last]);
    }
    const made = isNegated ? charactersExcept(ranges) : characters(ranges);
    if (made.kind === "characters" && made.ranges.length === 0) this.#refuse("an empty class of characters");
    return made;
  }

  #setItem(): readonly CharacterRange[] {
    const char = this.#next();
    if (char === "\\") return this.#escape(true);
    return [[char.codePointAt(0)!, char.codePointAt(0)!]]; // a character
  }

  #escape(isInSet: boolean): readonly CharacterRange[] {
    const char = this.#next();
    const ofClass = CLASSES[char];
    if (ofClass !== undefined) return ofClass;
    const one = (code: number): readonly CharacterRange[] => [[code, code]];
    if (char === "b" && isInSet) return one(8);
    if (char === "0" && /\d/.test(this.#peek())) this.#refuse("an octal escape");
    const control = CONTROLS[char];
    if (control !== undefined) return one(control);
    if (char === "x") return one(this.#hex(2));
    if (char === "u") return one(this.#unicode());
    if (char === "c" && /[A-Za-z]/.test(this.#peek())) return one(this.#next().charCodeAt(0) % 32);
    if (/[1-9k]/.test(char)) this.#refuse("a back reference");
    if (/[A-Za-z]/.test(char)) this.#refuse(`the escape \\${char}`);
    return one(char.codePointAt(0)!); // a character
  }

  #unicode(): number {
    if (!this.#take("{")) {
      const code = this.#hex(4);
      const isPair = code >= 0xd800 && code < 0xdc00 && this.#peek() === "\\" && this.#chars[this.#at + 1] === "u";
      if (!isPair) return code;
      this.#at += 2;
      return (code - 0xd800) * 0x400 + this.#hex(4) - 0xdc00 + 0x1_0000;
    }
    let digits = "";
    while (!this.#take("}")) {
      digits += this.#next();
      if (digits.length > MAX_DIGITS) this.#refuse(`the escape \\u{${digits}…`);
    }
    const code = Number.parseInt(digits, 16);
    if (!/^[0-9A-Fa-f]+$/.test(digits) || code > MAX_CODE_POINT) this.#refuse(`the escape \\u{${digits}}`);
    return code;
  }

  #hex(length: number): number {
    const digits = this.#chars.slice(this.#at, this.#at + length).join("");
    if (!/^[0-9A-Fa-f]+$/.test(digits) || digits.length !== length) this.#refuse("an incomplete escape");
    this.#at += length;
    return Number.parseInt(digits, 16);
  }

  #peek(): string {
    return this.#chars[this.#at] ?? "";
  }

  #next(): string {
    const char = this.#chars[this.#at++];
    return char ?? this.#refuse("an end in the middle of a group, class or escape");
  }

  #take(char: string): boolean {
    if (this.#peek() !== char || char === "") return false;
    this.#at++;
    return true;
  }

  #refuse(what: string): never {
    const source = this.#chars.join("").slice(0, 80);
    return refuseGrammar(
      `The regular expression ${quote(source)} has ${what}, at character ${this.#at}. That is not supported.`,
    );
  }
}
