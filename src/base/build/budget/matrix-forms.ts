/**
 * The layouts among which a budget chooses for one matrix, their exact sizes, and the matrix's values in each. A matrix
 * that was quantised before may keep its numbers, which loses nothing.
 */
// Indices are bounded by their loops, hence `!`.
import type { Checkpoint } from "../../../checkpoint/checkpoint.ts";
import { quantizedMatrix } from "../../../model/serve/quantize.ts";
import { type QuantizedLayout, dequantized, isSameLayout, matrixBytes } from "../../../model/serve/quantized-matrix.ts";
import { type QuantizedKind, budgetLayouts, layoutOf, layoutsOf } from "../../../model/serve/weight-layouts.ts";
import { type Matrix, fittedLayout, greatestValue, keptLayout } from "../choose-layouts.ts";

export interface MatrixForms {
  readonly matrix: Matrix;
  readonly numWeights: number;
  /** The layouts of the forms. No two are equal. */
  readonly layouts: readonly QuantizedLayout[];
  /** The size of the matrix in each layout, all parts counted. */
  readonly bytes: readonly number[];
  /** The layout in which the file's numbers are kept, as an index; null where there is none. */
  readonly kept: number | null;
  /** The layout of a uniform kind, as an index. */
  readonly uniform: Readonly<Record<QuantizedKind, number>>;
}

/** @param valuesOf a tensor's values, float32 */
export function formsOf(checkpoint: Checkpoint, matrix: Matrix, valuesOf: (name: string) => Float32Array): MatrixForms {
  const { dIn, tensors } = matrix;
  const greatest = Math.max(...tensors.map((name) => greatestValue(valuesOf(name))));
  const numWeights = tensors.reduce((sum, name) => sum + valuesOf(name).length, 0);
  const own = keptLayout(checkpoint, tensors);
  const layouts: QuantizedLayout[] = [];
  const indexOf = (layout: QuantizedLayout): number => {
    const known = layouts.findIndex((one) => isSameLayout(one, layout));
    return known >= 0 ? known : layouts.push(layout) - 1;
  };
  const usual = (kind: QuantizedKind): QuantizedLayout =>
    own ?? fittedLayout(layoutOf(layoutsOf(kind, null), matrix.group), dIn, greatest);
  const kept = own && indexOf(own);
  const uniform = { int8: indexOf(usual("int8")), int4: indexOf(usual("int4")) };
  for (const layout of budgetLayouts()) indexOf(fittedLayout(layout, dIn, greatest));
  const bytes = layouts.map((layout) => matrixBytes(numWeights / dIn, dIn, layout));
  return { matrix, numWeights, layouts, bytes, kept, uniform };
}

/** Number of rows that are quantised at a time. Their values are in float64 meanwhile. */
const CHUNK_ROWS = 4096;

/** A tensor's values after quantisation, float32. */
export function roundedValues(values: Float32Array, dIn: number, layout: QuantizedLayout): Float32Array {
  const rounded = new Float32Array(values.length);
  for (let at = 0; at < values.length; at += CHUNK_ROWS * dIn) {
    const rows = values.subarray(at, at + CHUNK_ROWS * dIn);
    rounded.set(dequantized(quantizedMatrix(rows, dIn, layout)), at);
  }
  return rounded;
}

/** Rows of each tensor on which errors are compared. */
const NUM_SAMPLE_ROWS = 128;

/** The squared error of some rows of a matrix in a layout. */
export function squaredError(
  { dIn, tensors }: Matrix,
  layout: QuantizedLayout,
  valuesOf: (name: string) => Float32Array,
): number {
  let error = 0;
  for (const name of tensors) {
    const values = valuesOf(name);
    const numRows = values.length / dIn;
    const step = Math.max(1, Math.floor(numRows / NUM_SAMPLE_ROWS));
    for (let row = 0; row < numRows; row += step) {
      const exact = values.subarray(row * dIn, (row + 1) * dIn);
      const rounded = dequantized(quantizedMatrix(exact, dIn, layout));
      for (let i = 0; i < dIn; i++) error += (rounded[i]! - exact[i]!) ** 2;
    }
  }
  return error;
}
