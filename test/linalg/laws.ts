/** What every truncated SVD must satisfy, whatever the matrix. Plain loops, no code in common with src. */
import { expect } from "vitest";
import type { TruncatedSvd } from "../../src/linalg/truncated-svd.ts";
import { maxAbs } from "../helpers/allclose.ts";

/** Rounding of the results to float32, times the longest sum in these tests. */
const TOLERANCE = 2e-6;

/** Largest deviation of columnsᵀ·columns from the identity. @param matrix [rows,k] */
function orthonormalityError(matrix: Float32Array, k: number): number {
  let worst = 0;
  for (let a = 0; a < k; a++)
    for (let b = 0; b <= a; b++) {
      let sum = 0;
      for (let r = 0; r < matrix.length / k; r++) sum += (matrix[r * k + a] as number) * (matrix[r * k + b] as number);
      worst = Math.max(worst, Math.abs(sum - (a === b ? 1 : 0)));
    }
  return worst;
}

/** W·V − U·diag(σ), [dOut,k]. */
function residual(weight: Float32Array, dOut: number, dIn: number, { k, U, V, sigma }: TruncatedSvd): Float64Array {
  const out = new Float64Array(dOut * k);
  for (let r = 0; r < dOut; r++)
    for (let c = 0; c < k; c++) {
      let sum = 0;
      for (let j = 0; j < dIn; j++) sum += (weight[r * dIn + j] as number) * (V[j * k + c] as number);
      out[r * k + c] = sum - (U[r * k + c] as number) * (sigma[c] as number);
    }
  return out;
}

/** Wᵀ·U − V·diag(σ): without it a wrong U could hide behind a V made from it. */
function transposedResidual(weight: Float32Array, dOut: number, dIn: number, svd: TruncatedSvd): Float64Array {
  const transposed = new Float32Array(weight.length);
  for (let r = 0; r < dOut; r++) for (let c = 0; c < dIn; c++) transposed[c * dOut + r] = weight[r * dIn + c] as number;
  return residual(transposed, dIn, dOut, { ...svd, U: svd.V, V: svd.U });
}

/** U·diag(σ)·Vᵀ of the leading `k` triplets, [dOut,dIn]. */
export function reconstruct({ k, U, V, sigma }: TruncatedSvd): Float64Array {
  const dOut = U.length / k;
  const dIn = V.length / k;
  const out = new Float64Array(dOut * dIn);
  for (let r = 0; r < dOut; r++)
    for (let c = 0; c < dIn; c++)
      for (let i = 0; i < k; i++)
        out[r * dIn + c] =
          (out[r * dIn + c] as number) + (U[r * k + i] as number) * (sigma[i] as number) * (V[c * k + i] as number);
  return out;
}

/** Fails unless `svd` is a truncated SVD of `weight` by the project's definition. */
export function expectSvdLaws(weight: Float32Array, dOut: number, dIn: number, svd: TruncatedSvd): void {
  const { k, U, sigma, V, singularValues, nuclearNorm } = svd;
  const first = singularValues[0] as number;
  expect([U.length, sigma.length, V.length]).toEqual([dOut * k, k, dIn * k]);
  expect(singularValues.length).toBe(Math.min(dOut, dIn));
  expect(orthonormalityError(U, k), "U orthonormal").toBeLessThan(TOLERANCE);
  expect(orthonormalityError(V, k), "V orthonormal").toBeLessThan(TOLERANCE);
  expect(maxAbs(residual(weight, dOut, dIn, svd)), "W V = U σ").toBeLessThanOrEqual(TOLERANCE * first);
  expect(maxAbs(transposedResidual(weight, dOut, dIn, svd)), "Wᵀ U = V σ").toBeLessThanOrEqual(TOLERANCE * first);
  expect([...sigma]).toEqual([...singularValues.subarray(0, k)]);
  expect([...singularValues], "descending").toEqual([...singularValues].sort((a, b) => b - a));
  expect(Math.min(...singularValues)).toBeGreaterThanOrEqual(0);
  for (let c = 0; c < k; c++) {
    const column = Array.from({ length: dOut }, (_, r) => U[r * k + c] as number);
    const largest = column.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best));
    expect(largest, `sign of column ${c}`).toBeGreaterThan(0);
  }
  const sum = singularValues.reduce((total, value) => total + value, 0);
  expect(Math.abs(sum - nuclearNorm), "nuclear norm").toBeLessThanOrEqual(TOLERANCE * nuclearNorm);
  // All values, not only the leading ones: their squares sum to the squared Frobenius norm.
  const squares = singularValues.reduce((total, value) => total + (value / (first || 1)) ** 2, 0);
  const frobenius = weight.reduce((total, value) => total + (value / (first || 1)) ** 2, 0);
  expect(Math.abs(squares - frobenius), "Frobenius norm").toBeLessThanOrEqual(TOLERANCE * frobenius);
}
