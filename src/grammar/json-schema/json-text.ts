/** The text of JSON as expressions: strings, numbers, literals, any value, and the white space between parts. */
import { quote } from "../../errors.ts";
import {
  characters,
  charactersExcept,
  choice,
  EMPTY,
  type Expression,
  optional,
  repeat,
  rule,
  sequence,
  text,
} from "../expression.ts";
import { refuseGrammar } from "../grammar-error.ts";
import { readRegex } from "../text/regex.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Maximum number of digits before the point. Every such integer is exact in float64. */
export const MAX_INTEGER_DIGITS = 15;
const MAX_FRACTION_DIGITS = 15;

const range = (first: string, last: string): [number, number] => [first.charCodeAt(0), last.charCodeAt(0)];
export const DIGIT = characters([range("0", "9")]);
const NONZERO_DIGIT = characters([range("1", "9")]);
const HEX = characters([range("0", "9"), range("a", "f"), range("A", "F")]);

/** Characters that a JSON string holds as they are. */
export const PLAIN_CHARACTER = charactersExcept([[0, 0x1f], [0x22, 0x22], [0x5c, 0x5c]]); // prettier-ignore

/** \uXXXX for one character. Half of a surrogate pair is excluded, because it is no character. */
const UNICODE_ESCAPE = sequence(
  text("u"),
  choice([
    sequence(characters([range("0", "9"), range("a", "c"), range("A", "C"), range("e", "f"), range("E", "F")]), HEX),
    sequence(characters([range("d", "d"), range("D", "D")]), characters([range("0", "7")])),
  ]),
  HEX,
  HEX,
);

/** One character of a string, as it is or escaped. */
export const CHARACTER = choice([
  PLAIN_CHARACTER,
  sequence(text("\\"), choice([characters('"\\/bfnrt'.split("").map((char) => range(char, char))), UNICODE_ESCAPE])),
]);

export const quoted = (inner: Expression): Expression => sequence(text('"'), inner, text('"'));

export const ANY_STRING = quoted(repeat(CHARACTER, 0, Infinity));

export const INTEGER = sequence(
  optional(text("-")),
  choice([text("0"), sequence(NONZERO_DIGIT, repeat(DIGIT, 0, MAX_INTEGER_DIGITS - 1))]),
);

const FRACTION = sequence(text("."), repeat(DIGIT, 1, MAX_FRACTION_DIGITS));

/** Exponents have at most two digits, so that every number is finite. */
export const NUMBER = sequence(
  INTEGER,
  optional(FRACTION),
  optional(sequence(characters([range("e", "e"), range("E", "E")]), optional(characters([range("+", "+"), range("-", "-")])), repeat(DIGIT, 1, 2))), // prettier-ignore
);

/** White space where JSON allows it. */
export interface Spacing {
  /** After a comma or a colon. */
  readonly afterMark: Expression;
  /** Everywhere else. */
  readonly elsewhere: Expression;
}

const JSON_SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);

/** @param pattern a regular expression of all white space; undefined: at most one space after a comma or a colon */
export function readSpacing(pattern: string | undefined): Spacing {
  if (pattern === undefined) return { afterMark: optional(text(" ")), elsewhere: EMPTY };
  const space = readRegex(pattern, { isSearch: false });
  if (!isSpace(space))
    refuseGrammar(
      `The pattern of white space ${quote(pattern)} matches more than white space. Use only spaces, tabs and line ends.`,
    );
  return { afterMark: space, elsewhere: space };
}

function isSpace(expression: Expression): boolean {
  switch (expression.kind) {
    case "characters":
      return expression.ranges.every(
        ([first, last]) => last - first < 2 && JSON_SPACES.has(first) && JSON_SPACES.has(last),
      );
    case "sequence":
      return expression.items.every(isSpace);
    case "choice":
      return expression.options.every(isSpace);
    case "repeat":
      return isSpace(expression.item);
    default:
      return false;
  }
}

const VALUE = "json-value";
const OBJECT = "json-object";

/** JSON with one kind of spacing. */
export class JsonText {
  readonly comma: Expression;
  readonly colon: Expression;
  readonly #elsewhere: Expression;
  readonly anyValue = rule(VALUE);
  readonly anyObject = rule(OBJECT);

  constructor({ afterMark, elsewhere }: Spacing) {
    this.#elsewhere = elsewhere;
    this.comma = sequence(elsewhere, text(","), afterMark);
    this.colon = sequence(elsewhere, text(":"), afterMark);
  }

  /** The rules that `anyValue` and `anyObject` refer to, by name. */
  rules(): [string, Expression][] {
    const array = this.brackets("[", this.list(this.anyValue, 0, Infinity), "]");
    const value = choice([ANY_STRING, NUMBER, text("true"), text("false"), text("null"), this.anyObject, array]);
    return [
      [VALUE, value],
      [OBJECT, this.braces(this.list(this.member(ANY_STRING, this.anyValue), 0, Infinity))],
    ];
  }

  member(name: Expression, value: Expression): Expression {
    return sequence(name, this.colon, value);
  }

  braces(members: Expression): Expression {
    return this.brackets("{", members, "}");
  }

  brackets(open: string, inner: Expression, close: string): Expression {
    return sequence(text(open), this.#elsewhere, inner, this.#elsewhere, text(close));
  }

  /** From min to max items with commas between them. */
  list(item: Expression, min: number, max: number): Expression {
    if (max === 0) return EMPTY;
    const more = repeat(sequence(this.comma, item), Math.max(0, min - 1), max - 1);
    const some = sequence(item, more);
    return min === 0 ? optional(some) : some;
  }

  /** One value. Only its white space may vary. */
  literal(value: Json): Expression {
    if (Array.isArray(value)) {
      const items = (value as readonly Json[]).map((item) => this.literal(item));
      return this.brackets("[", this.#between(items), "]");
    }
    if (typeof value !== "object" || value === null) return text(JSON.stringify(value));
    const members = Object.entries(value).map(([name, one]) =>
      this.member(text(JSON.stringify(name)), this.literal(one)),
    );
    return this.braces(this.#between(members));
  }

  #between(items: readonly Expression[]): Expression {
    return sequence(...items.flatMap((item, i) => (i === 0 ? [item] : [this.comma, item])));
  }
}
