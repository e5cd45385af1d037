/**
 * Truncated SVD of a float32 weight with all singular values: W ≈ U diag(σ) Vᵀ, rank from a threshold. Gram matrix of
 * the short side in float64 → tridiagonal form → all eigenvalues → k → vectors of the leading k only. Knows nothing of
 * layers, files or bases. The definition (rank, signs) is that of arXiv 2408.03290 as this project reads it. Indices
 * are bounded by their loops, hence `!`.
 */
import { AppError } from "../errors.ts";
import { indexOfNonFinite } from "../tensor/host-tensor.ts";
import { orthonormalise } from "./gram-schmidt.ts";
import { type MatrixProducts, plainProducts } from "./products.ts";
import { rankForThreshold, singularValuesFromGram, sumInOrder } from "./rank.ts";
import { backTransform, tridiagonalise } from "./tridiagonalise.ts";
import { tridiagonalEigenvalues, tridiagonalEigenvectors } from "./tridiagonal-eigen.ts";

/** The bounds on the number of triplets to keep. */
export interface TruncatedSvdOptions {
  /**
   * Proportion of the sum of all singular values that the leading k must reach, in (0, 1]; 1 keeps the numerical rank.
   */
  readonly threshold: number;
  /** Upper bound on k. */
  readonly maxRank?: number | undefined;
}

/** The leading k singular triplets, row-major, and the data on all singular values. */
export interface TruncatedSvd {
  readonly k: number;
  /** float32 [dOut,k]; in every column the entry of largest magnitude is positive. */
  readonly U: Float32Array<ArrayBuffer>;
  /** float32 [k], descending. */
  readonly sigma: Float32Array<ArrayBuffer>;
  /** float32 [dIn,k] */
  readonly V: Float32Array<ArrayBuffer>;
  /** All of them, float32 [min(dOut,dIn)], descending; rounding noise is 0. */
  readonly singularValues: Float32Array<ArrayBuffer>;
  /** Their sum. */
  readonly nuclearNorm: number;
}

/**
 * Leading singular triplets of a weight, bit-identical every time on one machine. Memory beside the weight: one float32
 * copy, n × n and k × (dOut + dIn) float64, n = min(dOut,dIn).
 * @param weight float32 [dOut,dIn] row-major, left as it is
 * @throws {AppError} checkpoint_invalid when a value is not finite or the result leaves float32's range.
 */
export async function truncatedSvd(
  weight: Float32Array,
  dOut: number,
  dIn: number,
  options: TruncatedSvdOptions,
  products: MatrixProducts = plainProducts,
): Promise<TruncatedSvd> {
  assertWeight(weight, dOut, dIn);
  // From here on A [n,longSide] is the weight lying on its long side; `short` vectors belong to its rows, `long` ones
  // to its columns.
  const isTall = dOut > dIn;
  const a = isTall ? transpose(weight, dOut, dIn) : weight;
  const n = Math.min(dOut, dIn);
  const longSide = Math.max(dOut, dIn);

  const reduced = tridiagonalise(await products.gram(a, n, longSide), n);
  const scale = powerOfTwoAbove(reduced.diagonal, reduced.offDiagonal);
  const diagonal = reduced.diagonal.map((value) => value / scale);
  const offDiagonal = reduced.offDiagonal.map((value) => value / scale);
  const eigenvalues = tridiagonalEigenvalues(diagonal, offDiagonal);
  const singularValues = singularValuesFromGram(eigenvalues, longSide).map((value) => value * Math.sqrt(scale));
  assertFloat32Range(singularValues);

  const k = rankForThreshold(singularValues, options.threshold, options.maxRank);
  const short = tridiagonalEigenvectors(diagonal, offDiagonal, eigenvalues.subarray(0, k));
  backTransform(reduced, short, k);
  const long = await oppositeVectors(products, a, short, singularValues, k);

  const columns = asSignedColumns(isTall ? long : short, isTall ? short : long, k);
  return {
    k,
    ...columns,
    sigma: Float32Array.from(singularValues.subarray(0, k)),
    singularValues: Float32Array.from(singularValues),
    nuclearNorm: sumInOrder(singularValues),
  };
}

function assertWeight(weight: Float32Array, dOut: number, dIn: number): void {
  if (!(dOut >= 1 && dIn >= 1 && weight.length === dOut * dIn))
    throw new Error(`internal: a weight [${dOut},${dIn}] cannot have ${weight.length} values`);
  const at = indexOfNonFinite({ dtype: "float32", data: weight });
  if (at < 0) return;
  throw new AppError(
    "checkpoint_invalid",
    `A weight [${dOut},${dIn}] of finite numbers was expected, but row ${Math.floor(at / dIn)}, column ${at % dIn} is ${weight[at]}. Check the checkpoint's files against their source.`,
  );
}

function assertFloat32Range(singularValues: Float64Array): void {
  if (Number.isFinite(Math.fround(singularValues[0]!))) return;
  throw new AppError(
    "checkpoint_invalid",
    `Singular values within float32 were expected, but the largest is ${singularValues[0]}. Check the checkpoint's files against their source.`,
  );
}

/** [rows,cols] → [cols,rows], in square tiles so that both sides stay in the cache. */
function transpose(a: Float32Array, rows: number, cols: number): Float32Array {
  const out = new Float32Array(a.length);
  const tile = 32;
  for (let r0 = 0; r0 < rows; r0 += tile)
    for (let c0 = 0; c0 < cols; c0 += tile) {
      const cEnd = Math.min(c0 + tile, cols);
      const rEnd = Math.min(r0 + tile, rows);
      for (let c = c0; c < cEnd; c++) for (let r = r0; r < rEnd; r++) out[c * rows + r] = a[r * cols + c]!;
    }
  return out;
}

/** The power of 4 just above the entries (1 for the zero matrix): dividing by it and by its root is exact. */
function powerOfTwoAbove(diagonal: Float64Array, offDiagonal: Float64Array): number {
  let largest = 0;
  for (let i = 0; i < diagonal.length; i++)
    largest = Math.max(largest, Math.abs(diagonal[i]!), Math.abs(offDiagonal[i]!));
  return largest === 0 ? 1 : 4 ** (Math.floor(Math.log2(largest) / 2) + 1);
}

/**
 * The vectors of the long side, Aᵀ·short / σ as rows, float64 [k,longSide]. The quotient is orthonormal up to eps ·
 * (s₁/σ)². Gram–Schmidt, largest value first, makes it orthonormal for small values too.
 */
async function oppositeVectors(
  products: MatrixProducts,
  a: Float32Array,
  short: Float64Array,
  singularValues: Float64Array,
  k: number,
): Promise<Float64Array> {
  const n = short.length / k;
  const longSide = a.length / n;
  const long = await products.multiply(short, a, k, n, longSide);
  // Only the zero matrix has a leading value of 0, and then k is 1: any unit vector will do.
  if (singularValues[0] === 0) long[0] = 1;
  for (let index = 0; index < k; index++) orthonormalise(long, index, longSide);
  return long;
}

/**
 * Rows of vectors to float32 columns, each pair turned so that the left vector's entry of largest magnitude is
 * positive.
 */
function asSignedColumns(left: Float64Array, right: Float64Array, k: number): Pick<TruncatedSvd, "U" | "V"> {
  const dOut = left.length / k;
  const dIn = right.length / k;
  const U = new Float32Array(left.length);
  const V = new Float32Array(right.length);
  for (let c = 0; c < k; c++) {
    let largest = 0;
    // Compared as float32, because the rule must hold for the returned numbers. The first of equal entries decides.
    for (let r = 0; r < dOut; r++) {
      const value = Math.fround(left[c * dOut + r]!);
      if (Math.abs(value) > Math.abs(largest)) largest = value;
    }
    const sign = largest < 0 ? -1 : 1;
    for (let r = 0; r < dOut; r++) U[r * k + c] = sign * left[c * dOut + r]!;
    for (let r = 0; r < dIn; r++) V[r * k + c] = sign * right[c * dIn + r]!;
  }
  return { U, V };
}
