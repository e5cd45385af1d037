/**
 * The two large matrix products of the SVD, as an interface (a runtime may do them faster) and in plain JavaScript.
 * Knows nothing of singular values. Sums are float64, because squaring the matrix in float32 would lose every value
 * below about 1e-3 of the largest. Indices are bounded by their loops, hence `!`.
 */

/** Products of a float32 matrix in float64; both results are new arrays. */
export interface MatrixProducts {
  /** A·Aᵀ, float64 [rows,rows]; the lower triangle suffices. @param a float32 [rows,cols] */
  gram(a: Float32Array, rows: number, cols: number): Promise<Float64Array>;
  /** L·A, float64 [count,cols]. @param left float64 [count,rows] @param a float32 [rows,cols] */
  multiply(left: Float64Array, a: Float32Array, count: number, rows: number, cols: number): Promise<Float64Array>;
}

/** Number of columns in a strip: 256 float64 a row keep a strip of rows in the cache, and 900 such rows in 2 MB. */
const PANEL = 256;

/** Both products on the calling thread. */
export const plainProducts: MatrixProducts = {
  gram: async (a, rows, cols) => {
    const out = new Float64Array(rows * rows);
    const panel = new Float64Array(rows * PANEL);
    for (let first = 0; first < cols; first += PANEL) {
      const width = Math.min(PANEL, cols - first);
      for (let r = 0; r < rows; r++) panel.set(a.subarray(r * cols + first, r * cols + first + width), r * width);
      addGram(panel, rows, width, out);
    }
    return out;
  },
  multiply: async (left, a, count, rows, cols) => {
    const out = new Float64Array(count * cols);
    const panel = new Float64Array(4 * PANEL);
    for (let first = 0; first < cols; first += PANEL) {
      const width = Math.min(PANEL, cols - first);
      for (let r = 0; r < rows; r += 4) {
        const height = Math.min(4, rows - r);
        panel.fill(0); // rows past the end count as zeros
        for (let h = 0; h < height; h++) {
          const at = (r + h) * cols + first;
          panel.set(a.subarray(at, at + width), h * width);
        }
        for (let c = 0; c < count; c++) addFourRows(left, c * rows + r, height, panel, width, out, c * cols + first);
      }
    }
    return out;
  },
};

/** out += lower triangle of P·Pᵀ in tiles of 4 × 2. @param panel float64 [rows,width] */
function addGram(panel: Float64Array, rows: number, width: number, out: Float64Array): void {
  const whole = rows - (rows % 4);
  for (let i = 0; i < whole; i += 4) for (let j = 0; j < i + 4; j += 2) addTile(panel, width, i, j, out, rows);
  for (let i = whole; i < rows; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let p = 0; p < width; p++) sum += panel[i * width + p]! * panel[j * width + p]!;
      out[i * rows + j] = out[i * rows + j]! + sum;
    }
}

/** Rows i…i+3 times rows j, j+1: eight sums and their six factors fit the sixteen registers of x86-64. */
function addTile(panel: Float64Array, width: number, i: number, j: number, out: Float64Array, n: number): void {
  const i0 = i * width;
  const i1 = i0 + width;
  const i2 = i1 + width;
  const i3 = i2 + width;
  const j0 = j * width;
  const j1 = j0 + width;
  let [s00, s01, s10, s11] = [0, 0, 0, 0];
  let [s20, s21, s30, s31] = [0, 0, 0, 0];
  for (let p = 0; p < width; p++) {
    const b0 = panel[j0 + p]!;
    const b1 = panel[j1 + p]!;
    const a0 = panel[i0 + p]!;
    const a1 = panel[i1 + p]!;
    const a2 = panel[i2 + p]!;
    const a3 = panel[i3 + p]!;
    s00 += a0 * b0;
    s01 += a0 * b1;
    s10 += a1 * b0;
    s11 += a1 * b1;
    s20 += a2 * b0;
    s21 += a2 * b1;
    s30 += a3 * b0;
    s31 += a3 * b1;
  }
  const o = i * n + j;
  out[o] = out[o]! + s00;
  out[o + 1] = out[o + 1]! + s01;
  out[o + n] = out[o + n]! + s10;
  out[o + n + 1] = out[o + n + 1]! + s11;
  out[o + 2 * n] = out[o + 2 * n]! + s20;
  out[o + 2 * n + 1] = out[o + 2 * n + 1]! + s21;
  out[o + 3 * n] = out[o + 3 * n]! + s30;
  out[o + 3 * n + 1] = out[o + 3 * n + 1]! + s31;
}

/** out row += left[at…at+3] · panel. */
function addFourRows(
  left: Float64Array,
  at: number,
  height: number,
  panel: Float64Array,
  cols: number,
  out: Float64Array,
  to: number,
): void {
  const l0 = left[at]!;
  const l1 = height > 1 ? left[at + 1]! : 0;
  const l2 = height > 2 ? left[at + 2]! : 0;
  const l3 = height > 3 ? left[at + 3]! : 0;
  const p1 = cols;
  const p2 = 2 * cols;
  const p3 = 3 * cols;
  for (let j = 0; j < cols; j++)
    out[to + j] = out[to + j]! + (l0 * panel[j]! + l1 * panel[p1 + j]! + (l2 * panel[p2 + j]! + l3 * panel[p3 + j]!));
}
