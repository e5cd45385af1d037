/** Matrix products. Source: ONNX MatMul-13, Gemm-13; com.microsoft MatMulNBits (ONNX Runtime contrib operators). */
import { type Var, expectDtype, expectRank, expectShape, fail, fixedDim, graphOf } from "../graph.ts";
import { type Dim, broadcast, formatShape, sameDim } from "../shape.ts";

/** a @ b over the last two dimensions, the leading ones broadcast: [...,M,K] × [...,K,N] → [...,M,N]. */
export function matMul(a: Var, b: Var): Var {
  expectDtype("matMul", "b", b, a.dtype);
  if (a.shape.length < 2 || b.shape.length < 2)
    fail("matMul", `both operands need two dimensions or more: ${formatShape(a.shape)} × ${formatShape(b.shape)}`);
  const [m, k] = a.shape.slice(-2) as [Dim, Dim];
  const [k2, n] = b.shape.slice(-2) as [Dim, Dim];
  if (!sameDim(k, k2))
    fail("matMul", `inner sizes of ${a.name} and ${b.name} differ, ${formatShape(a.shape)} × ${formatShape(b.shape)}`);
  const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
  if (!batch) fail("matMul", `batch sizes do not broadcast, ${formatShape(a.shape)} × ${formatShape(b.shape)}`);
  return graphOf(a, b).node("MatMul", [a, b], [{ dtype: a.dtype, shape: [...batch, m, n] }])[0]!;
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

/** How a block-quantised weight was packed. `accuracyLevel` 4 quantises activations to int8 in blocks, 1 computes in float32. */
export interface QuantizedFormat {
  readonly bits: 4 | 8;
  readonly blockSize: number;
  readonly accuracyLevel: 1 | 4;
}

/**
 * x @ Wᵀ with a block-quantised weight: x [M,K], packed uint8 [N, ceil(K/block), block·bits/8], scales float32 [N, ceil(K/block)].
 * Symmetric: the zero point is 2^(bits-1). @returns float32 [M,N]. Source: com.microsoft MatMulNBits.
 */
export function quantizedLinear(x: Var, packed: Var, scales: Var, format: QuantizedFormat): Var {
  expectRank("quantizedLinear", "x", x, 2);
  expectDtype("quantizedLinear", "x", x, "float32");
  const [m, k] = x.shape as [Dim, Dim];
  const numInputs = fixedDim("quantizedLinear", "the inner size", k);
  const numBlocks = Math.ceil(numInputs / format.blockSize);
  const n = fixedDim("quantizedLinear", "the number of outputs", packed.shape[0]);
  expectShape("quantizedLinear", "the packed weight", packed, [n, numBlocks, (format.blockSize * format.bits) / 8]);
  expectShape("quantizedLinear", "the scales", scales, [n, numBlocks]);
  const attributes = {
    K: numInputs,
    N: n,
    bits: format.bits,
    block_size: format.blockSize,
    accuracy_level: format.accuracyLevel,
  };
  const shape = [m, n];
  return graphOf(x).node(
    "MatMulNBits",
    [x, packed, scales],
    [{ dtype: "float32", shape }],
    attributes,
    "com.microsoft",
  )[0]!;
}
