import { afterAll, describe, expect, it } from "vitest";
import { type MatrixProducts, plainProducts } from "../../src/linalg/products.ts";
import { runtimeProducts } from "../../src/linalg/runtime-products.ts";

/** Small integers: every order of summation gives the same bits. */
function integers(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => ((i * 7919) % 23) - 11);
}

/** Sides around the tile of 4 × 2, the panel of 256 columns and the strip of 1,024. */
const shapes = [
  [1, 1],
  [3, 5],
  [4, 256],
  [6, 257],
  [9, 600],
  [5, 1024],
  [3, 2050],
] as const;

const native = await runtimeProducts();
afterAll(() => native[Symbol.asyncDispose]());

describe.each<[string, MatrixProducts]>([
  ["plainProducts", plainProducts],
  ["runtimeProducts", native],
])("%s", (_, products) => {
  it.each(shapes)("gives the lower triangle of A·Aᵀ for %i × %i", async (rows, cols) => {
    const a = integers(rows * cols);
    const gram = await products.gram(a, rows, cols);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c <= r; c++) {
        let sum = 0;
        for (let p = 0; p < cols; p++) sum += (a[r * cols + p] as number) * (a[c * cols + p] as number);
        expect(gram[r * rows + c]).toBe(sum);
      }
  });

  it.each(shapes)("gives L·A for %i × %i", async (rows, cols) => {
    const count = 5;
    const a = integers(rows * cols);
    const left = Float64Array.from(integers(count * rows));
    const product = await products.multiply(left, a, count, rows, cols);
    for (let r = 0; r < count; r++)
      for (let c = 0; c < cols; c++) {
        let sum = 0;
        for (let p = 0; p < rows; p++) sum += (left[r * rows + p] as number) * (a[p * cols + c] as number);
        expect(product[r * cols + c]).toBe(sum);
      }
  });
});
