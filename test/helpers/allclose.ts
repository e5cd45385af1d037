/** Comparison of numeric arrays that says where and by how much they differ. */
import { expect } from "vitest";

interface Tolerance {
  /** Absolute bound on every difference. */
  readonly atol?: number;
  /** Bound relative to the largest magnitude in `expected`. */
  readonly rtolOfMax?: number;
}

/**
 * Largest absolute difference of two arrays of equal length; equal values (infinities, NaN) differ by 0, NaN and a
 * number by NaN.
 */
export function maxAbsDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) continue;
    worst = Math.max(worst, Math.abs((actual[i] as number) - (expected[i] as number))); // Math.max keeps a NaN
  }
  return worst;
}

/** Largest finite magnitude in an array: an infinity (a masked score) must not loosen a relative tolerance. */
export function maxAbs(values: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i] as number);
    if (magnitude > worst && magnitude < Infinity) worst = magnitude;
  }
  return worst;
}

/** Fails unless both arrays have one length and every difference is within `atol + rtolOfMax · max|expected|`. */
export function expectAllclose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { atol = 0, rtolOfMax = 0 }: Tolerance,
  label = "values",
): void {
  expect(actual.length, `${label}: length`).toBe(expected.length);
  const bound = atol + rtolOfMax * maxAbs(expected);
  const worst = maxAbsDifference(actual, expected);
  expect(worst <= bound, `${label}: off by ${worst}, allowed ${bound}`).toBe(true);
}
