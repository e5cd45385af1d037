/**
 * Householder reduction of a symmetric matrix to tridiagonal form, and the transformation of vectors back. Knows
 * nothing of singular values. Rows are eliminated from the last to the first (EISPACK's order), so that every
 * Householder vector is a contiguous row. The rank-2 update of one step and the matrix-vector product of the next share
 * one pass over the matrix. The pass is bound by memory, and this halves it. Golub & Van Loan, §8.3.1. Indices are
 * bounded by their loops, hence `!`.
 */

/** A = Q T Qᵀ. Q is kept as Householder vectors: `vectors` row i, entries 0…i-1, with factor `factors[i]`. */
export interface Tridiagonal {
  readonly n: number;
  /** T's diagonal, `[n]`. */
  readonly diagonal: Float64Array;
  /** T's off-diagonal, `[n]`; the last entry is 0. */
  readonly offDiagonal: Float64Array;
  readonly vectors: Float64Array;
  readonly factors: Float64Array;
}

/**
 * Reduces a symmetric matrix. @param a float64 [n,n]; only its lower triangle is read, and it is overwritten and kept.
 */
export function tridiagonalise(a: Float64Array, n: number): Tridiagonal {
  const diagonal = new Float64Array(n);
  const offDiagonal = new Float64Array(n);
  const factors = new Float64Array(n);
  // The update that the rows above still need: a -= v wᵀ + w vᵀ.
  const v = new Float64Array(n);
  const w = new Float64Array(n);
  const product = new Float64Array(n);
  for (let i = n - 1; i > 0; i--) {
    const row = a.subarray(i * n, i * n + i);
    diagonal[i] = a[i * n + i]!;
    const { beta, factor } = makeReflector(row);
    offDiagonal[i - 1] = beta;
    factors[i] = factor;
    updateAndMultiply(a, n, i, v, w, row, product);
    let inner = 0;
    for (let j = 0; j < i; j++) inner += product[j]! * row[j]!;
    // Never factor²: it leaves float64's range for weights near the ends of float32's.
    const share = ((factor * inner) / 2) * factor;
    for (let j = 0; j < i; j++) {
      v[j] = row[j]!;
      w[j] = factor * product[j]! - share * row[j]!;
    }
    // The next row must be up to date before its own vector can be formed.
    const next = (i - 1) * n;
    const vLast = v[i - 1]!;
    const wLast = w[i - 1]!;
    for (let j = 0; j < i; j++) a[next + j] = a[next + j]! - vLast * w[j]! - wLast * v[j]!;
  }
  diagonal[0] = a[0]!;
  return { n, diagonal, offDiagonal, vectors: a, factors };
}

/** Turns `row` into the vector v of H = I - factor·v vᵀ, where H·row = beta·(last unit vector). */
function makeReflector(row: Float64Array): { beta: number; factor: number } {
  const last = row.length - 1;
  const alpha = row[last]!;
  let squares = 0;
  for (let j = 0; j < last; j++) squares += row[j]! * row[j]!;
  if (squares === 0) return { beta: alpha, factor: 0 };
  const length = Math.sqrt(squares + alpha * alpha);
  const beta = alpha > 0 ? -length : length; // the sign that avoids cancellation
  row[last] = alpha - beta;
  return { beta, factor: -1 / (beta * (alpha - beta)) };
}

/**
 * In one pass over the leading `size` rows' lower triangle: a -= v wᵀ + w vᵀ, then y = a·x. Four rows at a time share
 * the loads of v, w, x and y.
 */
function updateAndMultiply(
  a: Float64Array,
  n: number,
  size: number,
  v: Float64Array,
  w: Float64Array,
  x: Float64Array,
  y: Float64Array,
): void {
  y.fill(0, 0, size);
  const head = size % 4;
  updateAndMultiplyRows(a, n, 0, head, 0, v, w, x, y);
  for (let r = head; r < size; r += 4) {
    const r0 = r * n;
    const r1 = r0 + n;
    const r2 = r1 + n;
    const r3 = r2 + n;
    const [v0, v1, v2, v3] = [v[r]!, v[r + 1]!, v[r + 2]!, v[r + 3]!];
    const [w0, w1, w2, w3] = [w[r]!, w[r + 1]!, w[r + 2]!, w[r + 3]!];
    const [x0, x1, x2, x3] = [x[r]!, x[r + 1]!, x[r + 2]!, x[r + 3]!];
    let [s0, s1, s2, s3] = [0, 0, 0, 0];
    for (let j = 0; j < r; j++) {
      const vj = v[j]!;
      const wj = w[j]!;
      const xj = x[j]!;
      const a0 = a[r0 + j]! - v0 * wj - w0 * vj;
      const a1 = a[r1 + j]! - v1 * wj - w1 * vj;
      const a2 = a[r2 + j]! - v2 * wj - w2 * vj;
      const a3 = a[r3 + j]! - v3 * wj - w3 * vj;
      a[r0 + j] = a0;
      a[r1 + j] = a1;
      a[r2 + j] = a2;
      a[r3 + j] = a3;
      s0 += a0 * xj;
      s1 += a1 * xj;
      s2 += a2 * xj;
      s3 += a3 * xj;
      y[j] = y[j]! + (a0 * x0 + a1 * x1 + (a2 * x2 + a3 * x3));
    }
    y[r] = s0;
    y[r + 1] = s1;
    y[r + 2] = s2;
    y[r + 3] = s3;
    updateAndMultiplyRows(a, n, r, r + 4, r, v, w, x, y);
  }
}

/** The same for rows from…to-1, one at a time, and only their columns from `firstColumn` to the diagonal. */
function updateAndMultiplyRows(
  a: Float64Array,
  n: number,
  from: number,
  to: number,
  firstColumn: number,
  v: Float64Array,
  w: Float64Array,
  x: Float64Array,
  y: Float64Array,
): void {
  for (let r = from; r < to; r++) {
    const vr = v[r]!;
    const wr = w[r]!;
    for (let j = firstColumn; j <= r; j++) {
      const value = a[r * n + j]! - vr * w[j]! - wr * v[j]!;
      a[r * n + j] = value;
      y[r] = y[r]! + value * x[j]!;
      if (j < r) y[j] = y[j]! + value * x[r]!;
    }
  }
}

/** Eigenvectors of T to eigenvectors of A (z = Q y), in place. @param rows float64 [count,n], one vector a row. */
export function backTransform({ n, vectors, factors }: Tridiagonal, rows: Float64Array, count: number): void {
  // Four vectors share the loads of one reflector; the rest go one at a time.
  for (let first = 0; first < count; first += 4) {
    const isWhole = first + 4 <= count;
    for (let i = 1; i < n; i++) {
      const factor = factors[i]!;
      if (factor === 0) continue;
      const reflector = vectors.subarray(i * n, i * n + i);
      if (isWhole) reflectFour(reflector, factor, rows, first * n, n);
      else for (let c = first; c < count; c++) reflectOne(reflector, factor, rows, c * n);
    }
  }
}

function reflectOne(h: Float64Array, factor: number, rows: Float64Array, offset: number): void {
  let s = 0;
  for (let j = 0; j < h.length; j++) s += h[j]! * rows[offset + j]!;
  s *= factor;
  for (let j = 0; j < h.length; j++) rows[offset + j] = rows[offset + j]! - s * h[j]!;
}

function reflectFour(h: Float64Array, factor: number, rows: Float64Array, r0: number, n: number): void {
  const r1 = r0 + n;
  const r2 = r1 + n;
  const r3 = r2 + n;
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let j = 0; j < h.length; j++) {
    const hj = h[j]!;
    s0 += hj * rows[r0 + j]!;
    s1 += hj * rows[r1 + j]!;
    s2 += hj * rows[r2 + j]!;
    s3 += hj * rows[r3 + j]!;
  }
  s0 *= factor;
  s1 *= factor;
  s2 *= factor;
  s3 *= factor;
  for (let j = 0; j < h.length; j++) {
    const hj = h[j]!;
    rows[r0 + j] = rows[r0 + j]! - s0 * hj;
    rows[r1 + j] = rows[r1 + j]! - s1 * hj;
    rows[r2 + j] = rows[r2 + j]! - s2 * hj;
    rows[r3 + j] = rows[r3 + j]! - s3 * hj;
  }
}
