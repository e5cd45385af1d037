/**
 * Bounds of the mass that lies ahead of a logit and behind it, without weighing any: float32 numbers with the same leading bits are counted
 * together (1/256 of their size wide), and a count weighs between its widest and its narrowest. A quarter of the time of a sum of weights.
 */
import { type Depths, weightWithin } from "./weight-sums.ts";
// Indices are bounded by their loops, hence `!`.

/** Of sign, exponent and mantissa, 1, 8 and 8 bits stay. */
const SHIFT = 15;
const NUM_COUNTS = 1 << (32 - SHIFT);
/** From here on the numbers are negative, and fall. */
const FIRST_NEGATIVE = NUM_COUNTS / 2;

/** What a row's logits weigh at most and at least, likeliest first, by the place that their leading bits say. */
export interface MassBounds {
  readonly counts: Int32Array;
  readonly places: Int32Array;
  readonly most: Float64Array;
  readonly least: Float64Array;
  size: number;
}

export function createMassBounds(): MassBounds {
  return {
    counts: new Int32Array(NUM_COUNTS),
    places: new Int32Array(NUM_COUNTS),
    most: new Float64Array(NUM_COUNTS),
    least: new Float64Array(NUM_COUNTS),
    size: 0,
  };
}

/** Fills the bounds of a row. */
export function boundMasses(logits: Float32Array, depths: Depths, bounds: MassBounds): void {
  const { counts } = bounds;
  countLogits(logits, counts);
  bounds.size = 0;
  let isHeavy = true;
  for (let place = depths.max < 0 ? -1 : placeOf(depths.max); place >= 0 && isHeavy; place--)
    if (counts[place] !== 0) isHeavy = append(bounds, place, place + 1, place, depths);
  for (let place = FIRST_NEGATIVE; place < NUM_COUNTS && isHeavy; place++)
    if (counts[place] !== 0) isHeavy = append(bounds, place, place, place + 1, depths);
}

/** @param high place of the end that is likelier, and @param low of the other. @returns false where nothing there weighs anything */
function append(bounds: MassBounds, place: number, high: number, low: number, depths: Depths): boolean {
  const count = bounds.counts[place]!;
  const most = weightWithin(Math.min(innerEnd(high), depths.max), depths);
  bounds.places[bounds.size] = place;
  bounds.most[bounds.size] = count * most;
  bounds.least[bounds.size] = count * weightWithin(innerEnd(low), depths);
  if (most > 0) bounds.size++;
  return most > 0;
}

/** Counts a row's logits by their leading bits. */
function countLogits(logits: Float32Array, counts: Int32Array): void {
  const bits = new Int32Array(logits.buffer, logits.byteOffset, logits.length);
  counts.fill(0);
  const numInFours = bits.length - (bits.length % 4);
  // By fours, which takes half the time.
  for (let i = 0; i < numInFours; i += 4) {
    counts[bits[i]! >>> SHIFT]!++;
    counts[bits[i + 1]! >>> SHIFT]!++;
    counts[bits[i + 2]! >>> SHIFT]!++;
    counts[bits[i + 3]! >>> SHIFT]!++;
  }
  for (let i = numInFours; i < bits.length; i++) counts[bits[i]! >>> SHIFT]!++;
}

const word = new Float32Array(1);
const wordBits = new Uint32Array(word.buffer);

function placeOf(logit: number): number {
  word[0] = logit;
  return wordBits[0]! >>> SHIFT;
}

/** The number nearest to zero that is counted at a place; the other end is the next place's. */
function innerEnd(place: number): number {
  wordBits[0] = place << SHIFT;
  return word[0]!;
}

/**
 * Whether what is ahead of a logit within the limit holds less than `share` of the mass; null where the bounds do not tell.
 * What has the logit's own place may be on either side.
 */
export function isAheadLess({ places, most, least, size }: MassBounds, logit: number, share: number): boolean | null {
  const own = places.subarray(0, size).indexOf(placeOf(logit));
  if (own < 0) return null;
  let aheadLeast = 0;
  let aheadMost = most[own]!;
  for (let i = 0; i < own; i++) {
    aheadLeast += least[i]!;
    aheadMost += most[i]!;
  }
  let behindLeast = 0;
  let behindMost = most[own]!;
  for (let i = own + 1; i < size; i++) {
    behindLeast += least[i]!;
    behindMost += most[i]!;
  }
  if (aheadMost < share * (aheadMost + behindLeast)) return true;
  return aheadLeast >= share * (aheadLeast + behindMost) ? false : null;
}
