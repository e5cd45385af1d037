/**
 * Gram–Schmidt over vectors stored as contiguous rows of one array. Knows nothing of matrices.
 * A pass is repeated while it removes a large part of the vector. Twice is enough (Kahan and Parlett).
 * Once is enough where the vector was nearly orthogonal before. Indices are bounded by their loops, hence `!`.
 */

const MAX_PASSES = 4;

/** A vector that keeps this share of its length lost no accuracy by cancellation (any value well above 0.1 will do). */
const KEPT_SHARE = 0.7;

/**
 * Makes row `index` orthogonal to the rows before it, which are orthonormal, and scales it to length 1.
 * @param rows float64, `length` values a row
 * @returns its length before scaling; 0 where the remainder is zero (the row is then useless).
 */
export function orthonormalise(rows: Float64Array, index: number, length: number): number {
  const target = rows.subarray(index * length, (index + 1) * length);
  let before = norm(target);
  for (let pass = 0; pass < MAX_PASSES && index > 0; pass++) {
    removeProjections(rows, index, target);
    const after = norm(target);
    const isEnough = after >= KEPT_SHARE * before;
    before = after;
    if (isEnough) break;
  }
  if (before > 0) for (let j = 0; j < length; j++) target[j] = target[j]! / before;
  return before;
}

function norm(vector: Float64Array): number {
  let sum = 0;
  for (let j = 0; j < vector.length; j++) sum += vector[j]! * vector[j]!;
  return Math.sqrt(sum);
}

/** target -= its projections on rows 0…count-1; four rows share the loads of the target. */
function removeProjections(rows: Float64Array, count: number, target: Float64Array): void {
  const length = target.length;
  const whole = count - (count % 4);
  for (let r = 0; r < whole; r += 4) removeFour(rows, r * length, target);
  for (let r = whole; r < count; r++) {
    const row = rows.subarray(r * length, (r + 1) * length);
    let s = 0;
    for (let j = 0; j < length; j++) s += row[j]! * target[j]!;
    for (let j = 0; j < length; j++) target[j] = target[j]! - s * row[j]!;
  }
}

function removeFour(rows: Float64Array, r0: number, target: Float64Array): void {
  const length = target.length;
  const r1 = r0 + length;
  const r2 = r1 + length;
  const r3 = r2 + length;
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let j = 0; j < length; j++) {
    const t = target[j]!;
    s0 += rows[r0 + j]! * t;
    s1 += rows[r1 + j]! * t;
    s2 += rows[r2 + j]! * t;
    s3 += rows[r3 + j]! * t;
  }
  for (let j = 0; j < length; j++)
    target[j] = target[j]! - (s0 * rows[r0 + j]! + s1 * rows[r1 + j]! + (s2 * rows[r2 + j]! + s3 * rows[r3 + j]!));
}
