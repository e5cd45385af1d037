/**
 * Where each token of a micro-batch lies in the training graph. Plain: a row for each sequence. Packed: the tokens that
 * all sequences begin with are a prefix, which is computed once. The rows hold the rest. Sequences of a row that begin
 * alike share these tokens too: a row is a tree of tokens, written depth first, so that a token is seen by those up to
 * the end of its subtree. A pure function of the batch, so that a run can resume. Indices are bounded, hence `!`.
 */
import { type MicroBatch, type TrainSequence, sequencesOf } from "./batches.ts";

/** Row lengths are rounded up to a multiple of this, so that a run has few shapes and its memory stops growing. */
export const LENGTH_MULTIPLE = 8;

/** Tokens of a row for examples of at most `length` tokens. The last one is not fed, because it predicts nothing. */
export function rowLength(length: number): number {
  return roundedUp(length - 1);
}

function roundedUp(count: number): number {
  return Math.max(1, Math.ceil(count / LENGTH_MULTIPLE)) * LENGTH_MULTIPLE;
}

/** What a step costs, in any unit. */
export interface TokenCosts {
  readonly perToken: number;
  /** For each token of a row and each key that its row has, seen or not. */
  readonly perPair: number;
}

export interface LayoutSize {
  /** Of the prefix, padding included. 0: there is none. */
  readonly prefixSize: number;
  readonly numRows: number;
  readonly rowLength: number;
}

export interface BatchLayout extends LayoutSize {
  /** Number of tokens that all sequences begin with. */
  readonly prefixLength: number;
  /** Of all tokens, first those of the prefix and then row by row. Padding has the id 0. */
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  /** Of the tokens of the rows: the first index of its row that does not see the token any more. */
  readonly ends: Int32Array;
  /** Of each sequence: the place of each of its tokens in `ids`. The last token has none. */
  readonly places: readonly Int32Array[];
}

/** A row for each sequence, in their order. */
export function unpackedLayout(batch: MicroBatch): BatchLayout {
  const sequences = sequencesOf(batch);
  return layOut(
    sequences,
    0,
    0,
    longest(sequences),
    sequences.map((_, i) => [i]),
  );
}

/** The packed layout that costs least. It never has more tokens or pairs of tokens in its rows than the plain one. */
export function packedLayout(batch: MicroBatch, costs: TokenCosts): BatchLayout {
  const sequences = sequencesOf(batch);
  const order = sequences.map((_, i) => i).sort((a, b) => compare(sequences[a]!, sequences[b]!) || a - b);
  const sorted = order.map((i) => sequences[i]!);
  const prefixLength = commonPrefix(sorted);
  const prefixSize = roundedUp(prefixLength);
  const bound = sequences.length * longest(sequences) ** 2;
  let best: { readonly cost: number; readonly length: number; readonly rows: readonly (readonly number[])[] } | null =
    null;
  const added = sorted.map((one, i) => fed(one) - (i === 0 ? 0 : shared(sorted[i - 1]!, one)));
  for (let length = roundedUp(longest(sequences, prefixLength)); ; length += LENGTH_MULTIPLE) {
    const rows = filled(sorted, added, prefixLength, length);
    const size = { prefixSize, numRows: rows.length, rowLength: length };
    const cost = layoutCost(size, costs);
    if (best === null || (cost < best.cost && pairsOf(size) <= bound))
      best = { cost, length, rows: rows.map((row) => row.map((i) => order[i]!)) };
    if (rows.length === 1 || length * (prefixSize + length) > bound) break;
  }
  return layOut(sequences, prefixLength, prefixSize, best.length, best.rows);
}

/** Tokens that are fed: all but the last. */
const fed = ({ ids }: TrainSequence): number => ids.length - 1;

function longest(sequences: readonly TrainSequence[], from = 0): number {
  return roundedUp(sequences.reduce((most, one) => Math.max(most, fed(one)), 0) - from);
}

/** All tokens, padding included. */
export function tokensOf({ prefixSize, numRows, rowLength }: LayoutSize): number {
  return prefixSize + numRows * rowLength;
}

/** What the tokens of a layout cost, without their losses. */
export function layoutCost(size: LayoutSize, { perToken, perPair }: TokenCosts): number {
  return tokensOf(size) * perToken + pairsOf(size) * perPair;
}

/** Tokens with each key of their row, or of the prefix. */
function pairsOf({ prefixSize, numRows, rowLength }: LayoutSize): number {
  return prefixSize ** 2 + numRows * rowLength * (prefixSize + rowLength);
}

/** By their tokens, so that sequences that begin alike are neighbours. */
function compare(a: TrainSequence, b: TrainSequence): number {
  const at = shared(a, b);
  if (at === fed(a) || at === fed(b)) return fed(a) - fed(b);
  return a.ids[at]! - b.ids[at]!;
}

/** Number of fed tokens that both begin with. */
function shared(a: TrainSequence, b: TrainSequence): number {
  const end = Math.min(fed(a), fed(b));
  let at = 0;
  while (at < end && a.ids[at] === b.ids[at]) at++;
  return at;
}

/** Of sorted sequences. At least one token of each is left for a row. A single sequence shares nothing. */
function commonPrefix(sorted: readonly TrainSequence[]): number {
  const [first, last] = [sorted[0]!, sorted.at(-1)!];
  if (sorted.length === 1) return 0;
  const shortest = sorted.reduce((least, one) => Math.min(least, fed(one)), Infinity);
  return Math.min(shared(first, last), Math.max(0, shortest - 1));
}

/**
 * Sorted sequences in rows of at most `length` tokens, one row after the other.
 * @param added tokens after the neighbour's
 */
function filled(
  sorted: readonly TrainSequence[],
  added: readonly number[],
  prefixLength: number,
  length: number,
): readonly (readonly number[])[] {
  const rows: number[][] = [];
  let room = 0;
  sorted.forEach((one, i) => {
    const row = rows.at(-1);
    if (row && added[i]! <= room) {
      row.push(i);
      room -= added[i]!;
    } else {
      rows.push([i]);
      room = length - (fed(one) - prefixLength);
    }
  });
  return rows;
}

/** @param rows the sequences of each row; those that begin alike are neighbours */
function layOut(
  sequences: readonly TrainSequence[],
  prefixLength: number,
  prefixSize: number,
  length: number,
  rows: readonly (readonly number[])[],
): BatchLayout {
  const size = prefixSize + rows.length * length;
  const ids = new Int32Array(size);
  const positions = new Int32Array(size);
  const ends = new Int32Array(rows.length * length);
  const places: Int32Array[] = [];
  ids.set(sequences[0]!.ids.subarray(0, prefixLength));
  for (let t = 0; t < prefixSize; t++) positions[t] = t;
  rows.forEach((row, r) => {
    const start = prefixSize + r * length;
    let used = 0;
    let path = Int32Array.from({ length: prefixLength }, (_, t) => t);
    let last: TrainSequence | null = null;
    /** The tokens of the last sequence from `depth` on are not seen by those that follow. */
    const close = (depth: number): void => {
      for (const place of path.subarray(Math.max(depth, prefixLength))) ends[place - prefixSize] = used;
    };
    for (const i of row) {
      const one = sequences[i]!;
      const depth = last === null ? prefixLength : shared(last, one);
      close(depth);
      const own = new Int32Array(fed(one));
      own.set(path.subarray(0, depth));
      for (let t = depth; t < own.length; t++) {
        own[t] = start + used++;
        ids[own[t]!] = one.ids[t]!;
        positions[own[t]!] = t;
      }
      places[i] = path = own;
      last = one;
    }
    close(0);
    for (let t = used; t < length; t++) ends[r * length + t] = t + 1; // padding sees itself
  });
  return { prefixLength, prefixSize, numRows: rows.length, rowLength: length, ids, positions, ends, places };
}
