/**
 * Block quantisation: the kernel that reads it multiplies by what was stored, weights that were written in blocks are
 * found again exactly, and the error has the bounds that the formats promise, against dequantisation in float64.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Graph } from "../../../src/graph/graph.ts";
import { cast } from "../../../src/graph/ops/elementwise.ts";
import { quantizedLinear } from "../../../src/graph/ops/linear.ts";
import { quantizedMatrix } from "../../../src/model/serve/quantize.ts";
import {
  type MatrixPart,
  type QuantizedLayout,
  type QuantizedMatrix,
  bitsPerWeight,
  dequantized,
  partTensor,
  plainLayout,
} from "../../../src/model/serve/quantized-matrix.ts";
import { float16ToFloat32, float32ToFloat16 } from "../../../src/tensor/float16.ts";
import type { HostTensor } from "../../../src/tensor/host-tensor.ts";
import { noise } from "../../helpers/models/checkpoints.ts";
import { expectAllclose } from "../../helpers/allclose.ts";
import { runGraph } from "../../helpers/run-graph.ts";

type Kind = "plain" | "zero points" | "minimums";

function layout(bits: 4 | 8, blockSize: number, kind: Kind, accuracyLevel: 1 | 4 = 1): QuantizedLayout {
  const parts = { hasZeroPoints: kind === "zero points", hasMinimums: kind === "minimums" };
  return { ...plainLayout(bits, blockSize), ...parts, accuracyLevel, scaleType: "float16" };
}

/** x @ Wᵀ by ONNX Runtime, W as its parts lie in a file. */
async function kernelProduct(x: Float32Array, matrix: QuantizedMatrix): Promise<HostTensor> {
  const graph = new Graph("product");
  const numRows = x.length / matrix.dIn;
  const input = graph.input("x", "float32", ["M", matrix.dIn]);
  const part = (name: MatrixPart) => {
    const tensor = partTensor(matrix, name);
    const value = graph.weight(name, tensor.dtype, tensor.shape, { kind: "inline", tensor });
    return tensor.dtype === "float16" ? cast(value, "float32") : value;
  };
  const weight = {
    packed: part("packed"),
    scales: part("scales"),
    zeroPoints: matrix.zeroPoints && part("zeroPoints"),
    minimums: matrix.minimums && part("minimums"),
  };
  graph.output(quantizedLinear(input, weight, matrix.layout), "y");
  const { y } = await runGraph(graph, { x: { dtype: "float32", shape: [numRows, matrix.dIn], data: x } });
  return y!; // the graph's only output
}

/** x @ Wᵀ in float64. */
function product(x: Float32Array, weight: Float64Array, dIn: number): Float32Array {
  const [numRows, dOut] = [x.length / dIn, weight.length / dIn];
  return Float32Array.from({ length: numRows * dOut }, (_, at) => {
    const [row, out] = [Math.floor(at / dOut), at % dOut];
    let sum = 0;
    for (let i = 0; i < dIn; i++) sum += (x[row * dIn + i] ?? 0) * (weight[out * dIn + i] ?? 0);
    return sum;
  });
}

const half = (value: number): number => float16ToFloat32(float32ToFloat16(Float32Array.of(value)))[0]!;
const SIZES = [16, 32, 64, 128];
const WIDTHS = [16, 100, 128, 172, 257];
const KINDS: readonly Kind[] = ["plain", "zero points", "minimums"];
const LAYOUTS = ([4, 8] as const).flatMap((bits) =>
  SIZES.flatMap((blockSize) => KINDS.map((kind) => ({ bits, blockSize, kind }))),
);
const CASES = LAYOUTS.flatMap((one) =>
  WIDTHS.filter((dIn) => one.kind !== "minimums" || dIn % one.blockSize === 0).map((dIn) => ({ ...one, dIn })),
);

describe("a quantised weight", () => {
  it.each(CASES)(
    "of $bits bits in blocks of $blockSize with $kind, $dIn wide: the kernel multiplies by what was stored",
    async ({ bits, blockSize, kind, dIn }) => {
      const next = noise(dIn + blockSize);
      const weight = Float32Array.from({ length: 6 * dIn }, () => next() + 0.25);
      weight.fill(0, 0, Math.min(dIn, blockSize)); // a block of zeros
      const x = Float32Array.from({ length: 3 * dIn }, () => next());
      const matrix = quantizedMatrix(weight, dIn, layout(bits, blockSize, kind));
      const { data } = await kernelProduct(x, matrix);
      expectAllclose(data as Float32Array, product(x, dequantized(matrix), dIn), { rtolOfMax: 1e-6 });
    },
  );

  it.each(LAYOUTS)(
    "of $bits bits in blocks of $blockSize with $kind is off by no more than a step",
    ({ bits, blockSize, kind }) => {
      const value = fc.float({ min: -4, max: 4, noNaN: true, noDefaultInfinity: true });
      fc.assert(
        fc.property(fc.array(value, { minLength: blockSize, maxLength: blockSize }), (values) => {
          const weight = Float32Array.from(values);
          const stored = dequantized(quantizedMatrix(weight, blockSize, layout(bits, blockSize, kind)));
          const error = stored.reduce((sum, one, i) => sum + (one - weight[i]!) ** 2, 0);
          // The step of the symmetric code, which is always a candidate; float16 scales lose a two-thousandth of the
          // greatest value.
          const greatest = weight.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
          const bound = bits === 8 ? greatest / 254 + greatest / 2000 : greatest / 8 + greatest / 2000;
          expect(Math.sqrt(error / blockSize)).toBeLessThanOrEqual(bound + 1e-6);
        }),
      );
    },
  );

  it("is never worse with zero points than without, and of a one-sided block twice as fine", () => {
    const next = noise(5);
    const weight = Float32Array.from({ length: 64 }, () => next() + 2);
    const error = (kind: Kind, bits: 4 | 8): number =>
      dequantized(quantizedMatrix(weight, 64, layout(bits, 32, kind))).reduce(
        (sum, one, i) => sum + (one - weight[i]!) ** 2,
        0,
      );
    for (const bits of [4, 8] as const) {
      expect(error("zero points", bits)).toBeLessThanOrEqual(error("plain", bits));
      expect(error("minimums", bits)).toBeLessThan(error("plain", bits) / 4);
    }
  });

  it.each<[string, QuantizedLayout, (level: number, scale: number, minimum: number) => number, 16 | 256]>([
    ["Q4_0", layout(4, 32, "plain"), (level, scale) => Math.fround(scale * (level - 8)), 16],
    [
      "Q4_0, read with zero points",
      layout(4, 32, "zero points"),
      (level, scale) => Math.fround(scale * (level - 8)),
      16,
    ],
    [
      "Q4_1",
      layout(4, 32, "minimums"),
      (level, scale, minimum) => Math.fround(Math.fround(scale * level) + minimum),
      16,
    ],
    ["Q8_0", layout(8, 32, "plain"), (level, scale) => Math.fround(scale * (Math.max(1, level) - 128)), 256],
    [
      "Q8_0, read with zero points",
      layout(8, 32, "zero points"),
      (level, scale) => Math.fround(scale * (Math.max(1, level) - 128)),
      256,
    ],
  ])("finds the numbers of %s again", (_, one, valueOf, numLevels) => {
    const next = noise(numLevels);
    const weight = new Float32Array(64 * 32);
    for (let block = 0; block < 64; block++) {
      // A writer of these types puts the block's greatest (and least) value on a last level.
      const [scale, minimum] = [half(0.01 + Math.abs(next()) / 50), half(next() / 10)];
      for (let i = 0; i < 32; i++) {
        const level = i === 0 ? 0 : i === 1 ? numLevels - 1 : Math.floor((Math.abs(next()) * numLevels) % numLevels);
        weight[block * 32 + i] = valueOf(level, scale, minimum);
      }
    }
    const stored = dequantized(quantizedMatrix(weight, 32, one));
    const greatest = weight.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    // Float32 rounds the products and sums of the original; nothing else is lost.
    stored.forEach((value, i) => expect(Math.abs(value - weight[i]!)).toBeLessThanOrEqual(greatest * 2 ** -23));
  });

  it("keeps signs where the numbers are so small that their scale loses its digits", () => {
    for (const { bits, blockSize } of LAYOUTS) {
      const weight = Float32Array.of(1e-42, -1e-42, 3e-43, 0);
      const stored = dequantized(quantizedMatrix(weight, 4, plainLayout(bits, blockSize)));
      stored.forEach((got, i) => expect(got * (weight[i] ?? 0)).toBeGreaterThanOrEqual(0));
    }
  });

  it("fills the last block with its zero point", () => {
    for (const { bits, blockSize, kind } of LAYOUTS.filter((one) => one.kind !== "minimums")) {
      const { packed, zeroPoints } = quantizedMatrix(Float32Array.of(1, 2, 3, 4), 4, layout(bits, blockSize, kind));
      const zero = zeroPoints?.[0] ?? 2 ** (bits - 1);
      const byte = bits === 8 ? zero : (zero & 15) * 17;
      expect([...packed.subarray((4 * bits) / 8)].every((one) => one === byte)).toBe(true);
    }
  });

  it("takes as many bits as llama.cpp's types of the same numbers", () => {
    expect(bitsPerWeight(layout(4, 32, "plain"))).toBe(4.5); // Q4_0: 18 bytes for 32
    expect(bitsPerWeight(layout(4, 32, "minimums"))).toBe(5); // Q4_1: 20
    expect(bitsPerWeight(layout(8, 32, "plain"))).toBe(8.5); // Q8_0: 34
    expect(bitsPerWeight(layout(4, 32, "zero points"))).toBe(4.625);
  });
});
