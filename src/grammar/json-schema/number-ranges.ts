/**
 * Numbers between two bounds, as expressions over their digits. Integers have at most 15 digits. Numbers with bounds
 * have no exponent. They have so few digits that reading them as float64 never rounds a number across an exclusive
 * bound.
 */
import { characters, choice, EMPTY, type Expression, optional, repeat, sequence, text } from "../expression.ts";
import { DIGIT, INTEGER, MAX_INTEGER_DIGITS, NUMBER } from "./json-text.ts";

export interface Bounds {
  /** -Infinity and Infinity where there is none. */
  readonly min: number;
  readonly max: number;
  readonly isMinExclusive: boolean;
  readonly isMaxExclusive: boolean;
}

const LARGEST = 10 ** MAX_INTEGER_DIGITS - 1;

const isUnbounded = ({ min, max }: Bounds): boolean => min === -Infinity && max === Infinity;

/** Integers within the bounds; null where there are none. */
export function integersWithin(bounds: Bounds): Expression | null {
  if (isUnbounded(bounds)) return INTEGER;
  const { min, max, isMinExclusive, isMaxExclusive } = bounds;
  const first = isMinExclusive && Number.isInteger(min) ? min + 1 : Math.ceil(min);
  const last = isMaxExclusive && Number.isInteger(max) ? max - 1 : Math.floor(max);
  return integersFromTo(Math.max(first, -LARGEST), Math.min(last, LARGEST));
}

function integersFromTo(first: number, last: number): Expression | null {
  if (first > last) return null;
  const options: Expression[] = [];
  if (first < 0) options.push(sequence(text("-"), naturals(Math.max(1, -last), -first)));
  if (last >= 0) options.push(naturals(Math.max(0, first), last));
  return choice(options);
}

/** Natural numbers from first to last, by their number of digits. */
function naturals(first: number, last: number): Expression {
  const options: Expression[] = [];
  for (let from = first; from <= last;) {
    const digits = String(from).length;
    const to = Math.min(last, 10 ** digits - 1);
    options.push(sameLength(String(from), String(to)));
    from = to + 1;
  }
  return choice(options);
}

const digits = (first: string, last: string): Expression => characters([[first.charCodeAt(0), last.charCodeAt(0)]]);

/** Strings of digits between two of the same length. */
function sameLength(from: string, to: string): Expression {
  if (from === to) return text(from);
  const rest = from.length - 1;
  const [low, high] = [from[0]!, to[0]!]; // not empty; otherwise the bounds would be equal
  const [isLowWhole, isHighWhole] = [/^.0*$/.test(from), /^.9*$/.test(to)];
  if (low === high) return sequence(text(low), sameLength(from.slice(1), to.slice(1)));
  const options: Expression[] = [];
  const first = isLowWhole ? low : next(low, 1);
  const last = isHighWhole ? high : next(high, -1);
  if (!isLowWhole) options.push(sequence(text(low), sameLength(from.slice(1), "9".repeat(rest))));
  if (first <= last) options.push(sequence(digits(first, last), repeat(DIGIT, rest, rest)));
  if (!isHighWhole) options.push(sequence(text(high), sameLength("0".repeat(rest), to.slice(1))));
  return choice(options);
}

const next = (digit: string, step: number): string => String.fromCharCode(digit.charCodeAt(0) + step);

/** Numbers within the bounds; null where there are none, "too-long" where a bound has too many digits. */
export function numbersWithin(bounds: Bounds): Expression | null | "too-long" {
  if (isUnbounded(bounds)) return NUMBER;
  const { min, max, isMinExclusive, isMaxExclusive } = bounds;
  if (min > max || (min === max && (isMinExclusive || isMaxExclusive))) return null;
  const [low, high] = [decimal(min, -LARGEST), decimal(max, LARGEST)];
  if (low === null || high === null) return "too-long";
  const options: (Expression | null)[] = [];
  if (low.isNegative && low.value !== 0) {
    const nearest = high.isNegative ? { ...high, isExclusive: isMaxExclusive } : { ...ZERO, isExclusive: true };
    const within = magnitudes(nearest, { ...low, isExclusive: isMinExclusive });
    options.push(within && sequence(text("-"), within));
  }
  if (!high.isNegative || high.value === 0)
    options.push(
      magnitudes(low.isNegative ? { ...ZERO, isExclusive: false } : { ...low, isExclusive: isMinExclusive }, {
        ...high,
        isExclusive: isMaxExclusive,
      }),
    );
  return eitherOf(options);
}

/** The size of a bound: its whole part, and the digits of its fraction without zeros at the end. */
interface Decimal {
  readonly value: number;
  readonly isNegative: boolean;
  readonly whole: number;
  readonly fraction: string;
}

const ZERO: Decimal = { value: 0, isNegative: false, whole: 0, fraction: "" };

type Bound = Decimal & { readonly isExclusive: boolean };

function decimal(bound: number, largest: number): Decimal | null {
  const value = Math.max(-LARGEST, Math.min(LARGEST, Number.isFinite(bound) ? bound : largest));
  const found = /^(\d+)(?:\.(\d+))?$/.exec(String(Math.abs(value)));
  if (found === null || found[0].length > 16) return null; // an exponent, or more digits than stay exact
  return { value: Math.abs(value), isNegative: value < 0, whole: Number(found[1]), fraction: found[2] ?? "" };
}

/** Sizes from low to high, with or without a fraction. */
function magnitudes(low: Bound, high: Bound): Expression | null {
  if (low.value > high.value) return null;
  const maxDigits = Math.max(0, MAX_INTEGER_DIGITS - String(high.whole).length);
  if (low.whole === high.whole) return withFraction(low.whole, fractions(low, high, maxDigits));
  const options: (Expression | null)[] = [
    withFraction(low.whole, fractions(low, null, maxDigits)),
    withFraction(high.whole, fractions(null, high, maxDigits)),
  ];
  if (high.whole - low.whole > 1) {
    const fraction = maxDigits === 0 ? EMPTY : optional(sequence(text("."), repeat(DIGIT, 1, maxDigits)));
    options.push(sequence(naturals(low.whole + 1, high.whole - 1), fraction));
  }
  return eitherOf(options);
}

/** Fractions that may follow a whole part: with the point, or nothing. */
function withFraction(whole: number, after: readonly Expression[]): Expression | null {
  return after.length === 0 ? null : sequence(text(String(whole)), choice(after));
}

/** @param low the bound whose whole part this is; null: the fraction is free below @param high the same above */
function fractions(low: Bound | null, high: Bound | null, maxDigits: number): Expression[] {
  const isZeroAboveLow = low === null || (low.fraction === "" && !low.isExclusive);
  const isZeroBelowHigh = high === null || high.fraction !== "" || !high.isExclusive;
  const inner = fractionDigits(edgeOf(low), edgeOf(high), maxDigits);
  return [
    ...(isZeroAboveLow && isZeroBelowHigh ? [EMPTY] : []),
    ...(inner === null ? [] : [sequence(text("."), inner)]),
  ];
}

/** The digits of a bound that must still be compared. The digits before them were equal. */
interface Edge {
  readonly digits: string;
  readonly isExclusive: boolean;
}

const edgeOf = (bound: Bound | null): Edge | null =>
  bound && { digits: bound.fraction, isExclusive: bound.isExclusive };

/**
 * At least one digit, so that the fraction is between two edges; null where there is none. A null edge does not bound.
 */
function fractionDigits(lowEdge: Edge | null, high: Edge | null, numLeft: number): Expression | null {
  if (numLeft <= 0) return null;
  const low = lowEdge?.digits === "" && !lowEdge.isExclusive ? null : lowEdge;
  if (low === null && high === null) return repeat(DIGIT, 1, numLeft);
  if (high?.digits === "") return low === null && !high.isExclusive ? text("0") : null;
  const lowDigit = low === null ? -1 : Number(low.digits[0] ?? 0);
  const highDigit = high === null ? 10 : Number(high.digits[0]);
  if (lowDigit > highDigit) return null;
  const options: (Expression | null)[] = [];
  if (lowDigit === highDigit) options.push(afterDigit(lowDigit, rest(low), rest(high), numLeft));
  else {
    if (low !== null) options.push(afterDigit(lowDigit, rest(low), null, numLeft));
    if (lowDigit + 1 < highDigit)
      options.push(sequence(digits(String(lowDigit + 1), String(highDigit - 1)), repeat(DIGIT, 0, numLeft - 1)));
    if (high !== null) options.push(afterDigit(highDigit, null, rest(high), numLeft));
  }
  return eitherOf(options);
}

const rest = (edge: Edge | null): Edge | null => edge && { ...edge, digits: edge.digits.slice(1) };

/** A digit that equals an edge's, and what may follow it. */
function afterDigit(digit: number, low: Edge | null, high: Edge | null, numLeft: number): Expression | null {
  const isAboveLow = low === null || (low.digits === "" && !low.isExclusive);
  const isBelowHigh = high === null || high.digits !== "" || !high.isExclusive;
  const more = fractionDigits(low, high, numLeft - 1);
  const head = text(String(digit));
  if (isAboveLow && isBelowHigh) return more === null ? head : sequence(head, optional(more));
  return more === null ? null : sequence(head, more);
}

function eitherOf(options: readonly (Expression | null)[]): Expression | null {
  const found = options.filter((option) => option !== null);
  return found.length === 0 ? null : choice(found);
}
