/**
 * Selects the best entries of a long row without sorting it: by count (a bounded heap) or by mass (a quickselect with
 * weights). Both use one total order, larger value first and lower id first among equals, so every cut is unique. Knows
 * nothing of tokens or probabilities.
 */
// Indices are bounded by their loops, hence `!`.

/** Whether entry `a` comes after entry `b`. */
function isBehind(values: Float32Array, a: number, b: number): boolean {
  const x = values[a]!;
  const y = values[b]!;
  return x < y || (x === y && a > b);
}

/** Restores the heap (last entry on top) below `root`. */
function siftDown(values: Float32Array, heap: Int32Array, size: number, root: number): void {
  const id = heap[root]!;
  let hole = root;
  for (let child = 2 * hole + 1; child < size; child = 2 * hole + 1) {
    if (child + 1 < size && isBehind(values, heap[child + 1]!, heap[child]!)) child++;
    if (!isBehind(values, heap[child]!, id)) break;
    heap[hole] = heap[child]!;
    hole = child;
  }
  heap[hole] = id;
}

/**
 * Writes the ids of the `count` largest values to `ids`, in no particular order.
 * @param values without NaN. @param ids room for `count` entries. @returns the number written: min(count,
 * values.length).
 */
export function selectTop(values: Float32Array, count: number, ids: Int32Array): number {
  const size = Math.min(count, values.length);
  if (size <= 0) return 0;
  for (let i = 0; i < size; i++) ids[i] = i;
  for (let root = (size >> 1) - 1; root >= 0; root--) siftDown(values, ids, size, root);
  let bar = values[ids[0]!]!;
  for (let i = size; i < values.length; i++) {
    if (values[i]! <= bar) continue; // an equal value with a higher id comes later
    ids[0] = i;
    siftDown(values, ids, size, 0);
    bar = values[ids[0]!]!;
  }
  return size;
}

/**
 * Moves to the front the fewest entries, heaviest first, whose weights reach `target`. Returns their number (at least
 * 1).
 * @param ids and @param weights parallel; the first `size` entries count and are reordered. Expected time O(size).
 */
export function selectMass(ids: Int32Array, weights: Float64Array, size: number, target: number): number {
  let low = 0;
  let high = size;
  let mass = 0; // of the entries before `low`, all of which belong to the answer
  while (high - low > 1) {
    const pivot = partition(ids, weights, low, high);
    let ahead = mass;
    for (let i = low; i < pivot; i++) ahead += weights[i]!;
    if (ahead >= target && pivot > low) {
      high = pivot;
      continue;
    }
    mass = ahead + weights[pivot]!;
    low = pivot + 1;
    if (mass >= target) return low;
  }
  return Math.max(1, high);
}

function swap(ids: Int32Array, weights: Float64Array, a: number, b: number): void {
  const id = ids[a]!;
  const weight = weights[a]!;
  ids[a] = ids[b]!;
  weights[a] = weights[b]!;
  ids[b] = id;
  weights[b] = weight;
}

/** Puts the entries ahead of the middle one before it and returns its new index. */
function partition(ids: Int32Array, weights: Float64Array, low: number, high: number): number {
  const isAhead = (a: number, b: number): boolean =>
    weights[a]! > weights[b]! || (weights[a]! === weights[b]! && ids[a]! < ids[b]!);
  const middle = (low + high) >> 1;
  const last = high - 1;
  // Median of three, moved to the end: sorted and constant rows stay linear.
  if (isAhead(middle, low)) swap(ids, weights, middle, low);
  if (isAhead(last, low)) swap(ids, weights, last, low);
  if (isAhead(middle, last)) swap(ids, weights, middle, last);
  let store = low;
  for (let i = low; i < last; i++) if (isAhead(i, last)) swap(ids, weights, i, store++);
  swap(ids, weights, store, last);
  return store;
}
