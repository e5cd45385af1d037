/**
 * Eigenvalues of a symmetric tridiagonal matrix T (implicit QL with Wilkinson's shift, no vectors, O(n²)), and
 * eigenvectors of chosen ones by inverse iteration. Knows nothing of where T came from. Golub & Van Loan, §8.3.3 and
 * §8.2.2. T must be scaled so that its entries are at most about 1: the bounds below are absolute. Indices are bounded
 * by their loops, hence `!`.
 */
import { orthonormalise } from "./gram-schmidt.ts";

/** QL needs less than 2 sweeps a value on average; a matrix that needs 60 is not symmetric tridiagonal and finite. */
const MAX_SWEEPS_PER_VALUE = 60;

/** Two solves reach working accuracy from almost any start; more are needed only in tight clusters. */
const MIN_SOLVES = 2;
const MAX_SOLVES = 12;

/**
 * Residual ‖T x − λ x‖ at which a vector is good (rounding alone leaves about 1e-16), and above which it is refused.
 */
const GOOD_RESIDUAL = 1e-14;
const WORST_RESIDUAL = 1e-11;

/** All eigenvalues, descending. @param diagonal float64 [n] @param offDiagonal float64 [n], the last entry ignored */
export function tridiagonalEigenvalues(diagonal: Float64Array, offDiagonal: Float64Array): Float64Array {
  const d = diagonal.slice();
  const e = offDiagonal.slice();
  const n = d.length;
  e[n - 1] = 0;
  for (let first = 0; first < n; first++) {
    for (let sweep = 0; ; sweep++) {
      const last = endOfBlock(d, e, first);
      if (last === first) break;
      if (sweep === MAX_SWEEPS_PER_VALUE) throw new Error("internal: the QL iteration does not converge");
      sweepQl(d, e, first, last);
    }
  }
  return d.sort().reverse();
}

/** The last row of the unreduced block that begins at `first`: its off-diagonal entry is rounding noise. */
function endOfBlock(d: Float64Array, e: Float64Array, first: number): number {
  const n = d.length;
  let last = first;
  while (last < n - 1) {
    const near = Math.abs(d[last]!) + Math.abs(d[last + 1]!);
    // The second term is for blocks of zeros, where everything is noise and a relative bound never holds.
    if (Math.abs(e[last]!) <= Number.EPSILON * (near + Number.EPSILON)) break;
    last++;
  }
  return last;
}

/** One implicit QL sweep over rows first…last: chases the bulge upward from the bottom by plane rotations. */
function sweepQl(d: Float64Array, e: Float64Array, first: number, last: number): void {
  const half = (d[first + 1]! - d[first]!) / (2 * e[first]!);
  const root = Math.sqrt(half * half + 1);
  const shift = d[first]! - e[first]! / (half + (half < 0 ? -root : root));
  let along = d[last]! - shift;
  let sine = 1;
  let cosine = 1;
  let carried = 0;
  for (let i = last - 1; i >= first; i--) {
    const bulge = sine * e[i]!;
    const beside = cosine * e[i]!;
    const length = Math.sqrt(bulge * bulge + along * along);
    e[i + 1] = length;
    if (length === 0) {
      // The block splits here by itself; the rest of it is found again as a block of its own.
      d[i + 1] = d[i + 1]! - carried;
      e[last] = 0;
      return;
    }
    sine = bulge / length;
    cosine = along / length;
    const rest = d[i + 1]! - carried;
    const mixed = (d[i]! - rest) * sine + 2 * cosine * beside;
    carried = sine * mixed;
    d[i + 1] = rest + carried;
    along = cosine * mixed - beside;
  }
  d[first] = d[first]! - carried;
  e[first] = along;
  e[last] = 0;
}

/**
 * Orthonormal eigenvectors for the leading eigenvalues, one a row: float64 [count,n].
 * Every iterate is made orthogonal to all earlier vectors, so repeated eigenvalues need no care.
 * @param values the leading `count` eigenvalues, descending
 */
export function tridiagonalEigenvectors(
  diagonal: Float64Array,
  offDiagonal: Float64Array,
  values: Float64Array,
): Float64Array {
  const n = diagonal.length;
  const rows = new Float64Array(values.length * n);
  const factored = new ShiftedTridiagonal(diagonal, offDiagonal);
  const random = seededRandom();
  for (let index = 0; index < values.length; index++) {
    const vector = rows.subarray(index * n, (index + 1) * n);
    for (let j = 0; j < n; j++) vector[j] = random();
    orthonormalise(rows, index, n);
    factored.factor(values[index]!);
    let residual = Infinity;
    for (let solve = 0; solve < MIN_SOLVES || (residual > GOOD_RESIDUAL && solve < MAX_SOLVES); solve++) {
      factored.solve(vector);
      // (T − λ) x = b with ‖b‖ = 1: the residual of x/‖x‖ is 1/‖x‖.
      residual = 1 / orthonormalise(rows, index, n);
    }
    if (!(residual <= WORST_RESIDUAL)) throw new Error(`internal: eigenvector ${index} has residual ${residual}`);
  }
  return rows;
}

/**
 * Numbers in [-0.5, 0.5), the same every time: start vectors must not depend on anything else. (A 32-bit linear
 * congruence, Numerical Recipes' constants.)
 */
function seededRandom(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
}

/** P L U of T − shift with partial pivoting; U has two super-diagonals. */
class ShiftedTridiagonal {
  readonly #diagonal: Float64Array;
  readonly #offDiagonal: Float64Array;
  readonly #pivot: Float64Array;
  readonly #upper1: Float64Array;
  readonly #upper2: Float64Array;
  readonly #multiplier: Float64Array;
  readonly #isSwapped: Uint8Array;

  constructor(diagonal: Float64Array, offDiagonal: Float64Array) {
    const n = diagonal.length;
    this.#diagonal = diagonal;
    this.#offDiagonal = offDiagonal;
    this.#pivot = new Float64Array(n);
    this.#upper1 = new Float64Array(n);
    this.#upper2 = new Float64Array(n);
    this.#multiplier = new Float64Array(n);
    this.#isSwapped = new Uint8Array(n);
  }

  factor(shift: number): void {
    const n = this.#diagonal.length;
    // The remainder of the current row after elimination: its diagonal entry and the one to the right.
    let here = this.#diagonal[0]! - shift;
    let right = n > 1 ? this.#offDiagonal[0]! : 0;
    for (let i = 0; i < n - 1; i++) {
      const below = this.#offDiagonal[i]!;
      const belowDiagonal = this.#diagonal[i + 1]! - shift;
      const belowRight = i + 2 < n ? this.#offDiagonal[i + 1]! : 0;
      const swap = Math.abs(below) > Math.abs(here);
      const multiplier = swap ? here / below : here === 0 ? 0 : below / here;
      this.#isSwapped[i] = swap ? 1 : 0;
      this.#multiplier[i] = multiplier;
      this.#pivot[i] = awayFromZero(swap ? below : here);
      this.#upper1[i] = swap ? belowDiagonal : right;
      this.#upper2[i] = swap ? belowRight : 0;
      here = swap ? right - multiplier * belowDiagonal : belowDiagonal - multiplier * right;
      right = swap ? -multiplier * belowRight : belowRight;
    }
    this.#pivot[n - 1] = awayFromZero(here);
  }

  /** Solves (T − shift) x = b in place. */
  solve(b: Float64Array): void {
    const n = b.length;
    for (let i = 0; i < n - 1; i++) {
      const upper = this.#isSwapped[i]! ? b[i + 1]! : b[i]!;
      const lower = this.#isSwapped[i]! ? b[i]! : b[i + 1]!;
      b[i] = upper;
      b[i + 1] = lower - this.#multiplier[i]! * upper;
    }
    for (let i = n - 1; i >= 0; i--) {
      let rest = b[i]!;
      if (i + 1 < n) rest -= this.#upper1[i]! * b[i + 1]!;
      if (i + 2 < n) rest -= this.#upper2[i]! * b[i + 2]!;
      b[i] = rest / this.#pivot[i]!;
    }
  }
}

/**
 * A shift that equals an eigenvalue gives a pivot of 0. Rounding noise replaces it, because division by noise is as
 * good.
 */
function awayFromZero(pivot: number): number {
  if (Math.abs(pivot) >= Number.EPSILON) return pivot;
  return pivot < 0 ? -Number.EPSILON : Number.EPSILON;
}
