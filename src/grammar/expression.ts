/**
 * The common form of every kind of grammar: expressions over characters, and named rules. Readers produce it, and
 * `automaton/network.ts` compiles it.
 */

/** Code points from first to last, both included. */
export type CharacterRange = readonly [number, number];

export type Expression =
  | { readonly kind: "text"; readonly text: string }
  /** Text in which the spelling of a special token stands for that token. */
  | { readonly kind: "marks"; readonly text: string }
  /** One character. The ranges ascend and do not touch. */
  | { readonly kind: "characters"; readonly ranges: readonly CharacterRange[] }
  | { readonly kind: "sequence"; readonly items: readonly Expression[] }
  | { readonly kind: "choice"; readonly options: readonly Expression[] }
  /** `max` is Infinity if there is no limit. */
  | { readonly kind: "repeat"; readonly item: Expression; readonly min: number; readonly max: number }
  | { readonly kind: "rule"; readonly name: string }
  /**
   * Free text up to the first occurrence of a mark, the mark, and what follows that mark. `mayEnd`: the text may also
   * end without a mark.
   */
  | { readonly kind: "free-text"; readonly endings: readonly Ending[]; readonly mayEnd: boolean };

export interface Ending {
  readonly mark: string;
  readonly follows: Expression;
}

/** Rules by name, and the expression where the answer begins. */
export interface Grammar {
  readonly root: Expression;
  readonly rules: ReadonlyMap<string, Expression>;
}

export const MAX_CODE_POINT = 0x10_ffff;

export const EMPTY: Expression = { kind: "sequence", items: [] };

export const text = (value: string): Expression => (value === "" ? EMPTY : { kind: "text", text: value });

export const rule = (name: string): Expression => ({ kind: "rule", name });

export function sequence(...items: readonly Expression[]): Expression {
  const flat = items.flatMap((item) => (item.kind === "sequence" ? item.items : [item]));
  return flat.length === 1 ? flat[0]! : { kind: "sequence", items: flat }; // one item
}

export function choice(options: readonly Expression[]): Expression {
  return options.length === 1 ? options[0]! : { kind: "choice", options }; // one option
}

export function repeat(item: Expression, min: number, max: number): Expression {
  return { kind: "repeat", item, min, max };
}

export const optional = (item: Expression): Expression => repeat(item, 0, 1);

/** One of the characters of the ranges, which may have any order. Surrogates are not characters. */
export function characters(ranges: readonly CharacterRange[]): Expression {
  return { kind: "characters", ranges: withoutSurrogates(joinedRanges(ranges)) };
}

/** Every character except those of the ranges. */
export function charactersExcept(ranges: readonly CharacterRange[]): Expression {
  return characters(complement(joinedRanges(ranges)));
}

/** Ranges in ascending order; those that overlap or touch are one. */
export function joinedRanges(ranges: readonly CharacterRange[]): CharacterRange[] {
  const out: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = out.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else out.push([first, last]);
  }
  return out;
}

/** The code points outside of joined ranges. */
export function complement(ranges: readonly CharacterRange[]): CharacterRange[] {
  const out: CharacterRange[] = [];
  let next = 0;
  for (const [first, last] of ranges) {
    if (first > next) out.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= MAX_CODE_POINT) out.push([next, MAX_CODE_POINT]);
  return out;
}

/** The code points that are in both of two lists of joined ranges. */
export function intersection(a: readonly CharacterRange[], b: readonly CharacterRange[]): CharacterRange[] {
  return complement(joinedRanges([...complement(a), ...complement(b)]));
}

function withoutSurrogates(ranges: readonly CharacterRange[]): CharacterRange[] {
  return intersection(ranges, [
    [0, 0xd7ff],
    [0xe000, MAX_CODE_POINT],
  ]);
}
