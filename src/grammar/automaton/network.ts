/**
 * Compiles a grammar to a network of states: edges for ranges of bytes, empty edges, and calls of rules that return to
 * a state. Text is UTF-8. A special token is spelled as its content between two bytes 0xFF, which no text contains.
 */
import type { Expression, Grammar } from "../expression.ts";
import { refuseGrammar } from "../grammar-error.ts";
import { assertNoLeftRecursion } from "./left-recursion.ts";
import { matchMarks } from "./match-marks.ts";
import { spellMarks } from "./special-tokens.ts";
import { byteSequences } from "./utf8.ts";
// Indices are bounded by the number of states, hence `!`.

/** Maximum number of states of one grammar. */
const MAX_STATES = 50_000;

/** Up to this number of copies of an item, its states are copied too. More copies call a rule. */
const MAX_INLINE_COPIES = 4;

const SPACE = 0x20;

export interface ByteEdge {
  readonly first: number;
  readonly last: number;
  readonly target: number;
}

/** A call of a rule. */
export interface Call {
  readonly entry: number;
  readonly back: number;
}

export interface Network {
  readonly start: number;
  readonly bytes: readonly (readonly ByteEdge[])[];
  readonly empties: readonly (readonly number[])[];
  readonly calls: readonly (readonly Call[])[];
  /** Whether a rule ends in this state. */
  readonly isEnd: readonly boolean[];
  /** Whether only the end of the rule follows. A call that returns here then needs no place to return to. */
  readonly isTail: readonly boolean[];
}

/**
 * @param specials contents of the model's special tokens
 * @throws {AppError} invalid_request for a grammar that is too large or recursive without reading anything
 */
export function buildNetwork(grammar: Grammar, specials: readonly string[] = []): Network {
  assertNoLeftRecursion(grammar);
  return new NetworkBuilder(grammar, specials).build();
}

class NetworkBuilder {
  readonly #grammar: Grammar;
  readonly #specials: readonly string[];
  readonly #bytes: ByteEdge[][] = [];
  readonly #empties: number[][] = [];
  readonly #calls: Call[][] = [];
  readonly #isEnd: boolean[] = [];
  readonly #entries = new Map<Expression, number>();
  /** Rules whose states must still be made. */
  readonly #open: [Expression, number][] = [];

  constructor(grammar: Grammar, specials: readonly string[]) {
    this.#grammar = grammar;
    this.#specials = specials;
  }

  build(): Network {
    const start = this.#entryOf(this.#grammar.root);
    this.#addRange(SPACE, SPACE, this.#state()); // never reached; it only puts the space into a class of its own
    for (let next = this.#open.pop(); next; next = this.#open.pop()) this.#isEnd[this.#add(...next)] = true;
    const isTail = this.#isEnd.map((_, state) => this.#leadsToEndOnly(state));
    return {
      start,
      bytes: this.#bytes,
      empties: this.#empties,
      calls: this.#calls,
      isEnd: this.#isEnd,
      isTail,
    };
  }

  #leadsToEndOnly(state: number): boolean {
    for (let at = state, steps = 0; steps < 16; steps++) {
      if (this.#bytes[at]!.length + this.#calls[at]!.length > 0) return false;
      const next = this.#empties[at]!;
      if (this.#isEnd[at]) return next.length === 0;
      if (next.length !== 1) return false;
      at = next[0]!;
    }
    return false;
  }

  #state(): number {
    if (this.#bytes.length >= MAX_STATES)
      refuseGrammar(`The grammar needs more than ${MAX_STATES} states. Lower its numbers of repetitions.`);
    this.#bytes.push([]);
    this.#empties.push([]);
    this.#calls.push([]);
    this.#isEnd.push(false);
    return this.#bytes.length - 1;
  }

  /** The first state of an expression that is called as a rule. */
  #entryOf(expression: Expression): number {
    const known = this.#entries.get(expression);
    if (known !== undefined) return known;
    const entry = this.#state();
    this.#entries.set(expression, entry);
    this.#open.push([expression, entry]);
    return entry;
  }

  #call(expression: Expression, from: number): number {
    const back = this.#state();
    this.#calls[from]!.push({ entry: this.#entryOf(expression), back });
    return back;
  }

  #link(from: number, target: number): void {
    this.#empties[from]!.push(target);
  }

  /** Adds the states of an expression after a state. @returns the state after it */
  #add(expression: Expression, from: number): number {
    switch (expression.kind) {
      case "text":
        return this.#addBytes([...new TextEncoder().encode(expression.text)], from);
      case "marks":
        return this.#addBytes(spellMarks(expression.text, this.#specials), from);
      case "characters":
        return this.#addRanges(
          expression.ranges.flatMap((range) => byteSequences(range)),
          from,
        );
      case "sequence":
        return expression.items.reduce((at, item) => this.#add(item, at), from);
      case "choice": {
        const end = this.#state();
        for (const option of expression.options) {
          const start = this.#state();
          this.#link(from, start);
          this.#link(this.#add(option, start), end);
        }
        return end;
      }
      case "repeat":
        return this.#addRepeat(expression, from);
      case "rule":
        return this.#call(this.#ruleOf(expression.name), from);
      case "free-text":
        return this.#addFreeText(expression, from);
    }
  }

  #ruleOf(name: string): Expression {
    return this.#grammar.rules.get(name) ?? refuseGrammar(`internal: the grammar has no rule ${name}`);
  }

  #addBytes(bytes: readonly number[], from: number): number {
    return bytes.reduce((at, byte) => this.#addRange(byte, byte, at), from);
  }

  #addRange(first: number, last: number, from: number, target = this.#state()): number {
    this.#bytes[from]!.push({ first, last, target });
    return target;
  }

  #addRanges(sequences: readonly (readonly (readonly [number, number])[])[], from: number): number {
    const end = this.#state();
    for (const ranges of sequences)
      ranges.reduce(
        (at, [first, last], i) => this.#addRange(first, last, at, i === ranges.length - 1 ? end : undefined),
        from,
      );
    return end;
  }

  #addRepeat({ item, min, max }: Extract<Expression, { kind: "repeat" }>, from: number): number {
    const copies = max === Infinity ? min : max;
    const isSmall = copies <= MAX_INLINE_COPIES || isOneByte(item);
    const add = (at: number): number => (isSmall ? this.#add(item, at) : this.#call(item, at));
    const end = this.#state();
    let at = from;
    for (let i = 0; i < copies; i++) {
      if (i >= min) this.#link(at, end);
      at = add(at);
    }
    if (max === Infinity) {
      const loop = this.#state();
      this.#link(at, loop);
      this.#link(add(loop), loop);
      at = loop;
    }
    this.#link(at, end);
    return end;
  }

  #addFreeText({ endings, mayEnd }: Extract<Expression, { kind: "free-text" }>, from: number): number {
    const end = this.#state();
    const { nodes } = matchMarks(endings.map(({ mark }) => spellMarks(mark, this.#specials)));
    const states = nodes.map(() => this.#state());
    this.#link(from, states[0]!);
    for (const [i, { edges, found }] of nodes.entries()) {
      const state = states[i]!;
      if (found !== null) {
        this.#link(this.#add(endings[found]!.follows, state), end);
        continue;
      }
      for (const { first, last, target } of edges) this.#addRange(first, last, state, states[target]);
      if (mayEnd) this.#link(state, end);
    }
    return end;
  }
}

function isOneByte(item: Expression): boolean {
  if (item.kind === "text") return item.text.length === 1 && item.text < "\x80";
  return item.kind === "characters" && item.ranges.every(([, last]) => last < 0x80);
}
