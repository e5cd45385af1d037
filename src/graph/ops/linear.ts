/**
 * Matrix products. Source: ONNX MatMul-13, Gemm-13; com.microsoft FusedMatMul, MatMulNBits (ONNX Runtime contrib
 * operators).
 */
import { type Attribute, type Var, expectDtype, expectRank, expectShape, fail, fixedDim, graphOf } from "../graph.ts";
import { add, mul } from "./elementwise.ts";
import { reduceSum } from "./reduce.ts";
import { reshape } from "./shaping.ts";
import { type Dim, type Shape, broadcast, formatShape, sameDim, sameShape } from "../shape.ts";

/**
 * a @ b over the last two dimensions, the leading ones broadcast: [...,M,K] × [...,K,N] → [...,M,N].
 * A vector is a row on the left and a column on the right, and its dimension is absent from the result.
 */
export function matMul(a: Var, b: Var): Var {
  const shape = productShape("matMul", a, b, {});
  return graphOf(a, b).node("MatMul", [a, b], [{ dtype: a.dtype, shape }])[0]!;
}

/** The operands' form in a product. */
export interface ProductOptions {
  /** Whether the last two dimensions of a are swapped first. */
  readonly transA?: boolean;
  readonly transB?: boolean;
  /** Factor of the product; default 1. */
  readonly alpha?: number;
}

/** The attributes in the form of nodes; those with default values are left out. */
function productAttributes({ transA, transB, alpha = 1 }: ProductOptions): Record<string, Attribute> {
  return {
    ...(transA ? { transA: 1 } : {}),
    ...(transB ? { transB: 1 } : {}),
    ...(alpha === 1 ? {} : { alpha: { float: alpha } }),
  };
}

/**
 * alpha · a' @ b' with operands transposed on the fly, the leading dimensions broadcast. Source: com.microsoft
 * FusedMatMul.
 */
export function fusedMatMul(a: Var, b: Var, options: ProductOptions): Var {
  for (const operand of [a, b])
    if (operand.shape.length < 2)
      fail("fusedMatMul", `${operand.name} is ${formatShape(operand.shape)}, wanted 2 dimensions or more`);
  const shape = productShape("fusedMatMul", a, b, options);
  const results = [{ dtype: a.dtype, shape }];
  return graphOf(a, b).node("FusedMatMul", [a, b], results, productAttributes(options), "com.microsoft")[0]!;
}

/** alpha · a' @ b' of matrices (+ c, which broadcasts to the result). Source: ONNX Gemm-13. */
export function gemm(a: Var, b: Var, options: ProductOptions, c: Var | null = null): Var {
  expectRank("gemm", "a", a, 2);
  expectRank("gemm", "b", b, 2);
  const shape = productShape("gemm", a, b, options);
  if (c && !sameShape(broadcast(c.shape, shape) ?? [], shape))
    fail("gemm", `c ${formatShape(c.shape)} does not broadcast to ${formatShape(shape)}`);
  const inputs = c ? [a, b, c] : [a, b];
  return graphOf(...inputs).node("Gemm", inputs, [{ dtype: a.dtype, shape }], productAttributes(options))[0]!;
}

function productShape(op: string, a: Var, b: Var, { transA = false, transB = false }: ProductOptions): Shape {
  expectDtype(op, "b", b, a.dtype);
  if (a.shape.length === 0 || b.shape.length === 0)
    fail(op, `a scalar is no operand of a product: ${formatShape(a.shape)} × ${formatShape(b.shape)}`);
  const row = a.shape.length === 1 ? [1, ...a.shape] : a.shape;
  const column = b.shape.length === 1 ? [...b.shape, 1] : b.shape;
  const left = row.slice(-2) as [Dim, Dim]; // two dimensions or more
  const right = column.slice(-2) as [Dim, Dim];
  const [m, k] = transA ? [left[1], left[0]] : left;
  const [k2, n] = transB ? [right[1], right[0]] : right;
  if (!sameDim(k, k2))
    fail(op, `inner sizes of ${a.name} and ${b.name} differ, ${formatShape(a.shape)} × ${formatShape(b.shape)}`);
  const batch = broadcast(row.slice(0, -2), column.slice(0, -2));
  if (!batch) fail(op, `batch sizes do not broadcast, ${formatShape(a.shape)} × ${formatShape(b.shape)}`);
  return [...batch, ...(a.shape.length === 1 ? [] : [m]), ...(b.shape.length === 1 ? [] : [n])];
}

/** x @ Wᵀ (+ bias): x [M,K], weight [N,K] as checkpoints store it, bias [N] → [M,N]. */
export function linear(x: Var, weight: Var, bias: Var | null = null): Var {
  expectRank("linear", "x", x, 2);
  expectRank("linear", "the weight", weight, 2);
  expectDtype("linear", "the weight", weight, x.dtype);
  const [m, k] = x.shape as [Dim, Dim];
  const [n, k2] = weight.shape as [Dim, Dim];
  if (!sameDim(k, k2))
    fail("linear", `inner sizes differ: x is ${formatShape(x.shape)}, the weight ${formatShape(weight.shape)}`);
  if (bias) expectShape("linear", "the bias", bias, [n]);
  const inputs = bias ? [x, weight, bias] : [x, weight];
  return graphOf(x, weight).node("Gemm", inputs, [{ dtype: x.dtype, shape: [m, n] }], { transB: 1 })[0]!;
}

/**
 * The packing of a block-quantised weight. `accuracyLevel` 4 quantises activations to int8 in blocks, 1 computes in
 * float32.
 */
export interface QuantizedFormat {
  readonly bits: 4 | 8;
  readonly blockSize: number;
  readonly accuracyLevel: 1 | 4;
}

/** A block-quantised weight [N,K] in a graph: w = (level − zero point) · scale, or level · scale + minimum. */
export interface QuantizedWeight {
  /** uint8 [N, ceil(K/block), block·bits/8]. The first of two levels in a byte is in the low half. */
  readonly packed: Var;
  /** float32 [N, ceil(K/block)] */
  readonly scales: Var;
  /**
   * uint8 [N, ceil(ceil(K/block)·bits/8)], packed like the levels; null: 2^(bits-1) for all blocks. They cost no time.
   */
  readonly zeroPoints: Var | null;
  /** float32 [N, K/block], instead of zero points; null: none. They cost a thin float32 product. */
  readonly minimums: Var | null;
}

/**
 * x @ Wᵀ with a block-quantised weight: x float32 [M,K] → float32 [M,N]. Source: com.microsoft MatMulNBits. Its zero
 * points are integers. It also accepts floating-point zero points, but then dequantises the whole weight at every run
 * (ONNX Runtime 1.30).
 */
export function quantizedLinear(x: Var, weight: QuantizedWeight, format: QuantizedFormat): Var {
  const { packed, scales, zeroPoints, minimums } = weight;
  expectRank("quantizedLinear", "x", x, 2);
  expectDtype("quantizedLinear", "x", x, "float32");
  const [m, k] = x.shape as [Dim, Dim];
  const numInputs = fixedDim("quantizedLinear", "the inner size", k);
  const numBlocks = Math.ceil(numInputs / format.blockSize);
  const n = fixedDim("quantizedLinear", "the number of outputs", packed.shape[0]);
  expectShape("quantizedLinear", "the packed weight", packed, [n, numBlocks, (format.blockSize * format.bits) / 8]);
  expectShape("quantizedLinear", "the scales", scales, [n, numBlocks]);
  if (zeroPoints)
    expectShape("quantizedLinear", "the zero points", zeroPoints, [n, Math.ceil((numBlocks * format.bits) / 8)]);
  const attributes = {
    K: numInputs,
    N: n,
    bits: format.bits,
    block_size: format.blockSize,
    accuracy_level: format.accuracyLevel,
  };
  const inputs = zeroPoints ? [x, packed, scales, zeroPoints] : [x, packed, scales];
  const results = [{ dtype: "float32" as const, shape: [m, n] }];
  const y = graphOf(x).node("MatMulNBits", inputs, results, attributes, "com.microsoft")[0]!;
  if (!minimums) return y;
  if (zeroPoints) fail("quantizedLinear", "a weight has zero points or minimums, not both");
  expectShape("quantizedLinear", "the minimums", minimums, [n, numInputs / format.blockSize]);
  // The kernel's zero point is in the middle of the levels, so that rounded activations are multiplied by small
  // numbers. The rest is a constant that is added to the minimum.
  const middle = graphOf(x).constant("float32", [], [2 ** (format.bits - 1)]);
  return gemm(blockSums(x, format.blockSize), add(minimums, mul(scales, middle)), { transB: true }, y);
}

/** The sum of every block of a row: [M,K] → [M, K/block]. */
function blockSums(x: Var, blockSize: number): Var {
  const [m, k] = x.shape as [Dim, number];
  return reduceSum(reshape(x, [m, k / blockSize, blockSize]), { axes: [2], keepDims: false });
}
