/**
 * Runs a network on bytes. A state of the automaton is the set of all places where the network can be, each with the
 * places that its calls return to. States and their edges are made when they are first needed, and kept. A grammar is
 * therefore compiled only as far as it is used. The number of kept states is limited, and a forgotten state is made
 * again.
 */
import { AppError } from "../../errors.ts";
import type { Network } from "./network.ts";
// Indices are bounded by the number of states, hence `!`.

/** Maximum number of places of one state. A grammar that is more ambiguous is refused while it runs. */
const MAX_PLACES = 4096;
/** Number of states that are kept before all are forgotten. */
const MAX_KEPT_STATES = 20_000;
/** Deepest nesting of calls. */
const MAX_CALL_DEPTH = 2000;
/** Bytes of masks that are kept before all states are forgotten. */
const MAX_MASK_BYTES = 16 * 2 ** 20;

const SPACE = 0x20;

/** The place that a call returns to, and the call around it. Equal stacks are one object. */
class Stack {
  readonly id: number;
  readonly back: number;
  readonly outer: Stack | null;
  readonly depth: number;
  readonly #inner = new Map<number, Stack>();

  constructor(id: number, back: number, outer: Stack | null) {
    this.id = id;
    this.back = back;
    this.outer = outer;
    this.depth = outer === null ? 0 : outer.depth + 1;
  }

  push(back: number, newId: () => number): Stack {
    let inner = this.#inner.get(back);
    if (inner === undefined) {
      inner = new Stack(newId(), back, this);
      this.#inner.set(back, inner);
    }
    return inner;
  }
}

interface Place {
  readonly node: number;
  readonly stack: Stack;
}

/** A state. Its users only read two facts. */
export class State {
  readonly places: readonly Place[];
  /** Whether the text may end here. */
  readonly isAccepting: boolean;
  /** By class of byte: the next state, null where there is none, undefined where it has not been computed. */
  readonly next: (State | null | undefined)[];
  /** Ids that may come next, one bit for each; null: not computed. */
  mask: Int32Array | null = null;
  /** The state belongs to this generation of the automaton's memory. */
  readonly era: number;
  /** Number of spaces that are not part of the answer if it begins with them. */
  readonly numSkipped: number;

  constructor(places: readonly Place[], isAccepting: boolean, numClasses: number, era: number, numSkipped = 0) {
    this.places = places;
    this.isAccepting = isAccepting;
    this.next = Array.from<State | null | undefined>({ length: numClasses });
    this.era = era;
    this.numSkipped = numSkipped;
  }

  /** Whether no text can follow. */
  get isComplete(): boolean {
    return this.places.length === 0;
  }
}

export class Automaton {
  readonly #network: Network;
  /** Class of each byte: bytes of one class lead to the same states everywhere. */
  readonly classes: Uint8Array;
  /** A byte of each class. */
  readonly #samples: readonly number[];
  #states = new Map<string, State>();
  #era = 0;
  #numStacks = 0;
  #maskBytes = 0;
  #bottom: Stack;

  constructor(network: Network) {
    this.#network = network;
    ({ classes: this.classes, samples: this.#samples } = byteClasses(network));
    this.#bottom = new Stack(0, -1, null);
  }

  /** @param numSkipped spaces that the decoder leaves out when an answer begins with them */
  start(numSkipped = 0): State {
    const first = this.#stateOf([{ node: this.#network.start, stack: this.#bottom }]);
    if (numSkipped === 0) return first;
    const state = new State(first.places, first.isAccepting, this.#samples.length, this.#era, numSkipped);
    state.next[this.classes[SPACE]!] = this.start(numSkipped - 1);
    return state;
  }

  /**
   * The state after a byte; null where the byte is not allowed. @throws {AppError} invalid_request where the grammar is
   * too ambiguous
   */
  step(state: State, byte: number): State | null {
    const current = this.current(state);
    const at = this.classes[byte]!;
    const known = current.next[at];
    return known === undefined ? this.#computeNext(current, at) : known;
  }

  /** The bytes that may come next, unordered; null if there are more than `max`. */
  nextBytes(state: State, max: number): number[] | null {
    const found = new Set<number>();
    for (const { node } of state.places)
      for (const { first, last } of this.#network.bytes[node]!) {
        if (last - first >= max) return null;
        for (let byte = first; byte <= last; byte++) found.add(byte);
        if (found.size > max) return null;
      }
    return [...found];
  }

  /** Computes an edge that `state.next` does not have yet. */
  #computeNext(state: State, at: number): State | null {
    const byte = this.#samples[at]!;
    const seeds: Place[] = [];
    for (const { node, stack } of state.places)
      for (const { first, last, target } of this.#network.bytes[node]!)
        if (byte >= first && byte <= last) seeds.push({ node: target, stack });
    const next = seeds.length === 0 ? null : this.#stateOf(seeds);
    state.next[at] = next;
    return next;
  }

  /** The same state in the current memory. It is called between tokens, and limits the memory. */
  current(state: State): State {
    return state.era === this.#era ? state : this.#remake(state);
  }

  /** Keeps the mask of a state with it. */
  keepMask(state: State, mask: Int32Array): void {
    state.mask = mask;
    this.#maskBytes += mask.byteLength;
  }

  /** Forgets all states if there are too many. Call only between tokens. */
  forgetIfFull(): void {
    const isFull = this.#states.size > MAX_KEPT_STATES || this.#numStacks > 20 * MAX_KEPT_STATES;
    if (!isFull && this.#maskBytes < MAX_MASK_BYTES) return;
    this.#states = new Map();
    this.#era++;
    this.#numStacks = 0;
    this.#maskBytes = 0;
    this.#bottom = new Stack(0, -1, null);
  }

  #remake(state: State): State {
    if (state.numSkipped > 0) return this.start(state.numSkipped);
    const newId = (): number => ++this.#numStacks;
    const copy = ({ back, outer }: Stack): Stack => {
      const chain: number[] = [];
      for (let at: { back: number; outer: Stack | null } = { back, outer }; at.outer !== null; at = at.outer)
        chain.push(at.back);
      return chain.reduceRight((stack, one) => stack.push(one, newId), this.#bottom);
    };
    const places = state.places.map(({ node, stack }) => ({ node, stack: copy(stack) }));
    return this.#intern(places, state.isAccepting);
  }

  /**
   * The state of all places that can be reached from the given ones without a byte. Only those with an edge for a byte
   * are kept.
   */
  #stateOf(seeds: readonly Place[]): State {
    const { bytes, empties, calls, isEnd, isTail } = this.#network;
    const newId = (): number => ++this.#numStacks;
    const seen = new Set<number>();
    const open: Place[] = [];
    const reach = (node: number, stack: Stack): void => {
      const key = stack.id * 2 ** 18 + node; // there are fewer nodes than 2^18
      if (seen.has(key)) return;
      seen.add(key);
      open.push({ node, stack });
    };
    for (const { node, stack } of seeds) reach(node, stack);
    const places: Place[] = [];
    let isAccepting = false;
    for (let place = open.pop(); place; place = open.pop()) {
      const { node, stack } = place;
      if (bytes[node]!.length > 0) places.push(place);
      for (const target of empties[node]!) reach(target, stack);
      for (const { entry, back } of calls[node]!) reach(entry, isTail[back] ? stack : stack.push(back, newId));
      if (isEnd[node] && stack.outer === null) isAccepting = true;
      else if (isEnd[node]) reach(stack.back, stack.outer!); // has one
      if (seen.size > MAX_PLACES || stack.depth > MAX_CALL_DEPTH) throw tooComplex();
    }
    return this.#intern(places, isAccepting);
  }

  #intern(places: Place[], isAccepting: boolean): State {
    places.sort((a, b) => a.node - b.node || a.stack.id - b.stack.id);
    const key = `${isAccepting} ${places.map(({ node, stack }) => `${node}:${stack.id}`).join(" ")}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      state = new State(places, isAccepting, this.#samples.length, this.#era);
      this.#states.set(key, state);
    }
    return state;
  }
}

function tooComplex(): AppError {
  return new AppError(
    "invalid_request",
    "The grammar can be read in too many ways at once, or is nested too deeply, at this place of the answer. Make it less ambiguous.",
  );
}

/** Classes of bytes. No edge of the network distinguishes the bytes of a class. */
function byteClasses({ bytes }: Network): { classes: Uint8Array; samples: number[] } {
  const isFirst = new Uint8Array(257);
  isFirst[0] = 1;
  for (const edges of bytes)
    for (const { first, last } of edges) {
      isFirst[first] = 1;
      isFirst[last + 1] = 1;
    }
  const classes = new Uint8Array(256);
  const samples: number[] = [];
  for (let byte = 0; byte < 256; byte++) {
    if (isFirst[byte]) samples.push(byte);
    classes[byte] = samples.length - 1;
  }
  return { classes, samples };
}
