/**
 * The λ and v of one layer whose output is closest to that of a given change of its weights, for the layer's inputs:
 * min Σ_x |ΔW x − v ⊙ U(λ ⊙ Vᵀx)|². For a fixed v this is a linear problem in λ, and for a fixed λ one in v, so both
 * are solved in turn. The inputs enter by their moments alone. Pure, in float64. Indices are bounded by their loops,
 * hence `!`.
 */

export interface LayerMoments {
  /** Σ z zᵀ with z = Vᵀx, [k,k]. */
  readonly gram: Float64Array;
  /** Σ (ΔW x) zᵀ, [dOut,k]. */
  readonly cross: Float64Array;
}

export interface ProjectedLayer {
  /** [k] */
  readonly lambda: Float32Array;
  /** [dOut] */
  readonly v: Float32Array;
}

/** Turns of the two problems. The error no longer falls visibly after these. */
const TURNS = 12;
/** Added to the diagonal, as a share of its mean: directions that no input has are left alone. */
const RIDGE = 1e-6;

/** @param left U float32 [dOut,k] @param sigma [k], the start of λ and the measure of its size */
export function projectDelta(left: Float32Array, sigma: Float32Array, { gram, cross }: LayerMoments): ProjectedLayer {
  let lambda = Float64Array.from(sigma);
  let v = bestScales(left, lambda, gram, cross);
  for (let turn = 0; turn < TURNS; turn++) {
    lambda = bestGains(left, v, gram, cross, sigma.length);
    v = bestScales(left, lambda, gram, cross);
  }
  // Only the product of λ and v counts. λ gets the size of σ, which is its unit in training.
  const ratio = euclideanNorm(lambda) / euclideanNorm(Float64Array.from(sigma)) || 1;
  return { lambda: Float32Array.from(lambda, (x) => x / ratio), v: Float32Array.from(v, (x) => x * ratio) };
}

function euclideanNorm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}

/** v_j = Σᵢ w_i cross_ji / wᵀ gram w with w = U_j ⊙ λ: the best scale of each output. */
function bestScales(left: Float32Array, lambda: Float64Array, gram: Float64Array, cross: Float64Array): Float64Array {
  const k = lambda.length;
  const weights = new Float64Array(k);
  return Float64Array.from({ length: left.length / k }, (_, row) => {
    let along = 0;
    for (let i = 0; i < k; i++) {
      weights[i] = left[row * k + i]! * lambda[i]!;
      along += weights[i]! * cross[row * k + i]!;
    }
    let square = 0;
    for (let i = 0; i < k; i++) {
      let sum = 0;
      for (let j = 0; j < k; j++) sum += gram[i * k + j]! * weights[j]!;
      square += weights[i]! * sum;
    }
    return square > 0 ? along / square : 0;
  });
}

/** The λ with ((Uᵀ diag(v²) U) ⊙ gram) λ = b, b_i = Σ_j U_ji v_j cross_ji. */
function bestGains(
  left: Float32Array,
  v: Float64Array,
  gram: Float64Array,
  cross: Float64Array,
  k: number,
): Float64Array<ArrayBuffer> {
  const matrix = new Float64Array(k * k);
  const right = new Float64Array(k);
  for (let row = 0; row < v.length; row++)
    for (let i = 0; i < k; i++) {
      const scaled = left[row * k + i]! * v[row]!;
      right[i] = right[i]! + scaled * cross[row * k + i]!;
      for (let j = 0; j <= i; j++) matrix[i * k + j] = matrix[i * k + j]! + scaled * left[row * k + j]! * v[row]!;
    }
  let trace = 0;
  for (let i = 0; i < k; i++) {
    for (let j = 0; j <= i; j++) matrix[i * k + j] = matrix[i * k + j]! * gram[i * k + j]!;
    trace += matrix[i * k + i]!;
  }
  for (let i = 0; i < k; i++) matrix[i * k + i] = matrix[i * k + i]! + (RIDGE * trace) / k + Number.MIN_VALUE;
  return solvePositive(matrix, right);
}

/** Solves a positive definite system by Cholesky's factors. Its lower triangle is given, and is overwritten. */
function solvePositive(matrix: Float64Array, right: Float64Array): Float64Array<ArrayBuffer> {
  const n = right.length;
  const solution = Float64Array.from(right);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j]!;
      for (let p = 0; p < j; p++) sum -= matrix[i * n + p]! * matrix[j * n + p]!;
      matrix[i * n + j] = i === j ? Math.sqrt(Math.max(sum, Number.MIN_VALUE)) : sum / matrix[j * n + j]!;
    }
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) solution[i] = solution[i]! - matrix[i * n + j]! * solution[j]!;
    solution[i] = solution[i]! / matrix[i * n + i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let j = i + 1; j < n; j++) solution[i] = solution[i]! - matrix[j * n + i]! * solution[j]!;
    solution[i] = solution[i]! / matrix[i * n + i]!;
  }
  return solution;
}
