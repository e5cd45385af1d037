/**
 * Transposes a matrix into a part of another one. It works in tiles, because one side of a transposition is always far
 * apart in memory.
 */
// Indices are bounded by their loops, hence `!`.

/** Rows and columns of a tile. Two tiles of float32 fit the fastest cache. */
const TILE = 32;

export interface TransposeTarget {
  readonly values: Float32Array;
  /** Numbers from one row of the target to the next. */
  readonly stride: number;
  /** Place of the first number. */
  readonly at: number;
}

/**
 * Writes the columns of `source` [rows, ·], whose rows are `stride` apart, as rows of the target: the first `columns`
 * of them.
 */
export function transposeInto(
  source: ArrayLike<number>,
  { rows, columns, stride }: { readonly rows: number; readonly columns: number; readonly stride: number },
  { values, stride: targetStride, at }: TransposeTarget,
): void {
  for (let row = 0; row < rows; row += TILE)
    for (let column = 0; column < columns; column += TILE) {
      const lastRow = Math.min(rows, row + TILE);
      const lastColumn = Math.min(columns, column + TILE);
      for (let i = row; i < lastRow; i++)
        for (let j = column; j < lastColumn; j++) values[at + j * targetStride + i] = source[i * stride + j]!;
    }
}
