/**
 * Reads a grammar of rules `name ::= alternatives`: llama.cpp's GBNF, and the EBNF of vLLM and XGrammar, which share
 * this syntax. Literals, classes, `.`, groups, `* + ?`, `{m,n}` and comments after `#`. A rule ends where the next one
 * begins.
 */
import { quote } from "../../errors.ts";
import {
  characters,
  charactersExcept,
  type CharacterRange,
  choice,
  type Expression,
  type Grammar,
  MAX_CODE_POINT,
  repeat,
  rule,
  sequence,
  text,
} from "../expression.ts";
import { MAX_DEPTH, refuseGrammar } from "../grammar-error.ts";

const NAME = /[A-Za-z0-9_-]+/y;
const HEAD = /[A-Za-z0-9_-]+\s*::=/y;
const BRACES = /\{\s*(\d{1,9})?\s*(,\s*(\d{1,9})?)?\s*\}/y;
const ESCAPED: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, b: 8, a: 7, "0": 0 };
const HEX_LENGTHS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** @throws {AppError} invalid_request with the line of the fault */
export function readGbnf(source: string): Grammar {
  return new GbnfReader(source).read();
}

class GbnfReader {
  readonly #source: string;
  #at = 0;
  #depth = 0;
  readonly #rules = new Map<string, Expression>();
  /** Where each name was used first. */
  readonly #used = new Map<string, number>();

  constructor(source: string) {
    this.#source = source;
  }

  read(): Grammar {
    for (this.#skip(); this.#at < this.#source.length; this.#skip()) {
      const name = this.#match(NAME)?.[0] ?? this.#refuse("expected a rule, such as root ::= …");
      this.#skip();
      if (!this.#take("::=")) this.#refuse(`expected ::= after ${quote(name)}`);
      if (this.#rules.has(name)) this.#refuse(`the rule ${quote(name)} is defined twice`);
      this.#rules.set(name, this.#alternatives());
    }
    for (const [name, at] of this.#used) {
      if (this.#rules.has(name)) continue;
      this.#at = at;
      this.#refuse(`the rule ${quote(name)} is used but not defined`);
    }
    if (!this.#rules.has("root")) this.#refuse('there is no rule "root"');
    return { root: rule("root"), rules: this.#rules };
  }

  #alternatives(): Expression {
    if (++this.#depth > MAX_DEPTH) this.#refuse("too many nested groups");
    const options = [this.#sequence()];
    while (this.#take("|")) options.push(this.#sequence());
    this.#depth--;
    return choice(options);
  }

  #sequence(): Expression {
    const items: Expression[] = [];
    for (this.#skip(); !this.#isEndOfSequence(); this.#skip()) items.push(this.#repeated(this.#atom()));
    return sequence(...items);
  }

  #isEndOfSequence(): boolean {
    const char = this.#source[this.#at];
    return char === undefined || char === "|" || char === ")" || this.#match(HEAD, false) !== null;
  }

  #repeated(item: Expression): Expression {
    let made = item;
    for (;;) {
      if (this.#take("*")) made = repeat(made, 0, Infinity);
      else if (this.#take("+")) made = repeat(made, 1, Infinity);
      else if (this.#take("?")) made = repeat(made, 0, 1);
      else if (this.#source[this.#at] === "{") made = repeat(made, ...this.#bounds());
      else return made;
    }
  }

  #bounds(): [number, number] {
    const found = this.#match(BRACES) ?? this.#refuse("expected a number of repetitions such as {2,5}");
    const min = Number(found[1] ?? 0);
    const max = found[2] === undefined ? min : found[3] === undefined ? Infinity : Number(found[3]);
    if (max < min) this.#refuse(`the numbers of ${quote(found[0])} are out of order`);
    return [min, max];
  }

  #atom(): Expression {
    if (this.#take('"')) return this.#literal();
    if (this.#take("[")) return this.#set();
    if (this.#take(".")) return charactersExcept([]);
    if (this.#take("(")) {
      const inner = this.#alternatives();
      if (!this.#take(")")) this.#refuse('expected ")"');
      return inner;
    }
    const at = this.#at;
    const name = this.#match(NAME)?.[0] ?? this.#refuse("expected a literal, a class, a group or the name of a rule");
    if (!this.#used.has(name)) this.#used.set(name, at);
    return rule(name);
  }

  #literal(): Expression {
    let value = "";
    while (!this.#take('"')) value += String.fromCodePoint(this.#character());
    return text(value);
  }

  #set(): Expression {
    const isNegated = this.#take("^");
    const ranges: CharacterRange[] = [];
    while (!this.#take("]")) {
      const first = this.#character();
      const isRange = this.#source[this.#at] === "-" && this.#source[this.#at + 1] !== "]";
      if (isRange) this.#at++;
      const last = isRange ? this.#character() : first;
      if (last < first) this.#refuse("a range of characters whose ends are out of order");
      ranges.push([first, last]);
    }
    const made = isNegated ? charactersExcept(ranges) : characters(ranges);
    if (made.kind === "characters" && made.ranges.length === 0) this.#refuse("an empty class of characters");
    return made;
  }

  #character(): number {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined || code === 10) this.#refuse("a literal or class without an end");
    this.#at += code > 0xffff ? 2 : 1;
    return code === 0x5c ? this.#escape() : code;
  }

  #escape(): number {
    const char = this.#source[this.#at++] ?? this.#refuse("an incomplete escape");
    const length = HEX_LENGTHS[char];
    if (length === undefined) {
      if (!(char in ESCAPED) && /[A-Za-z0-9]/.test(char)) this.#refuse(`the unknown escape \\${char}`);
      return ESCAPED[char] ?? char.codePointAt(0)!; // a character
    }
    const digits = this.#source.slice(this.#at, this.#at + length);
    const code = Number.parseInt(digits, 16);
    const isGood = digits.length === length && /^[0-9A-Fa-f]+$/.test(digits) && code <= MAX_CODE_POINT;
    if (!isGood) this.#refuse("an incomplete escape");
    this.#at += length;
    return code;
  }

  /** Skips white space and comments. */
  #skip(): void {
    this.#match(/(\s|#[^\n]*)*/y);
  }

  #match(pattern: RegExp, doesTake = true): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (found !== null && doesTake) this.#at += found[0].length;
    return found;
  }

  #take(mark: string): boolean {
    const isHere = this.#source.startsWith(mark, this.#at);
    if (isHere) this.#at += mark.length;
    return isHere;
  }

  #refuse(what: string): never {
    const line = this.#source.slice(0, this.#at).split("\n").length;
    const found = this.#source.slice(this.#at).split("\n")[0]!.slice(0, 40); // split gives at least one
    return refuseGrammar(`Line ${line} of the grammar: ${what}, found ${quote(found)}.`);
  }
}
