/**
 * The number of leading singular values that a threshold keeps, and the values that count as zero.
 * Pure; knows nothing of matrices. Indices are bounded by their loops, hence `!`.
 */

/**
 * The smallest k ≥ 1 whose leading values sum to at least `threshold` times the sum of all, at most `maxRank`.
 * A threshold of 1 gives the numerical rank.
 * @param singularValues descending, noise already 0 @param threshold in (0, 1]
 * Source: arXiv 2408.03290, the rank rule.
 */
export function rankForThreshold(
  singularValues: ArrayLike<number>,
  threshold: number,
  maxRank: number = singularValues.length,
): number {
  if (!(threshold > 0 && threshold <= 1))
    throw new Error(`internal: a threshold in (0, 1] was wanted, got ${threshold}`);
  if (!(maxRank >= 1)) throw new Error(`internal: a largest rank of at least 1 was wanted, got ${maxRank}`);
  const wanted = threshold * sumInOrder(singularValues);
  let sum = 0;
  for (let k = 1; k <= Math.min(maxRank, singularValues.length); k++) {
    sum += singularValues[k - 1]!;
    if (sum >= wanted) return k;
  }
  return Math.max(1, Math.min(maxRank, singularValues.length));
}

/**
 * The total, in the summation order of the partial sums.
 * Rounding in any other order could make threshold 1 unreachable.
 */
export function sumInOrder(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum;
}

/**
 * Singular values from the descending eigenvalues of a float64 Gram matrix. Rounding noise becomes exactly 0.
 * The rule "s ≤ max(dOut,dIn) · eps · s₁ is noise" applies where the rounding happens, which is here among the squares.
 * It becomes λ ≤ 8 · max(dOut,dIn) · eps64 · λ₁, that is s ≤ 6e-7 · s₁ for 200 rows.
 * The 8 is for matrices of a few rows, whose noise exceeds n · eps64.
 * eps32 on the values themselves would drop 7 true values of 32 from a matrix of condition 1e6.
 */
export function singularValuesFromGram(eigenvalues: Float64Array, longSide: number): Float64Array {
  const floor = 8 * longSide * Number.EPSILON * eigenvalues[0]!;
  return eigenvalues.map((value) => (value > floor ? Math.sqrt(value) : 0));
}
