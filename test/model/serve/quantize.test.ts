/** Block quantisation against the kernel that reads it: what MatMulNBits computes in float32 is x times the dequantised weight. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Graph } from "../../../src/graph/graph.ts";
import { quantizedLinear } from "../../../src/graph/ops/linear.ts";
import { serializeGraph } from "../../../src/graph/serialize.ts";
import { quantizeBlocks, quantizedShapes } from "../../../src/model/serve/quantize.ts";
import { openSession, runtimeTensor } from "../../../src/runtime/ort.ts";
import { numElements } from "../../../src/tensor/host-tensor.ts";
import { expectAllclose } from "../../helpers/allclose.ts";
import { noise } from "../../helpers/checkpoints.ts";

type Blocks = Parameters<typeof quantizedShapes>[2];
interface Quantized {
  readonly packed: Uint8Array;
  readonly scales: Float32Array;
}

function quantize(weight: Float32Array, dIn: number, blocks: Blocks): Quantized {
  const dOut = weight.length / dIn;
  const shapes = quantizedShapes(dOut, dIn, blocks);
  const target = {
    packed: new Uint8Array(numElements(shapes.packed)),
    scales: new Float32Array(numElements(shapes.scales)),
  };
  quantizeBlocks(weight, dIn, blocks, target, 0);
  return target;
}

/** (stored − zero point) · scale, float32 [dOut,dIn], read as the operator's documentation says. */
function dequantize(
  { packed, scales }: Quantized,
  dOut: number,
  dIn: number,
  { bits, blockSize }: Blocks,
): Float32Array {
  const numBlocks = Math.ceil(dIn / blockSize);
  const out = new Float32Array(dOut * dIn);
  for (let row = 0; row < dOut; row++)
    for (let i = 0; i < dIn; i++) {
      const block = row * numBlocks + Math.floor(i / blockSize);
      const inBlock = i % blockSize;
      const byte = packed[block * ((blockSize * bits) / 8) + Math.floor((inBlock * bits) / 8)] ?? NaN;
      const level = bits === 8 ? byte : (byte >> (4 * (inBlock % 2))) & 15;
      out[row * dIn + i] = (level - 2 ** (bits - 1)) * (scales[block] ?? NaN);
    }
  return out;
}

async function kernelProduct(x: Float32Array, dIn: number, dOut: number, quantized: Quantized, blocks: Blocks) {
  const graph = new Graph("product");
  const shapes = quantizedShapes(dOut, dIn, blocks);
  const input = graph.input("x", "float32", ["M", dIn]);
  const weight = (name: string, dtype: "uint8" | "float32", shape: number[], data: Uint8Array | Float32Array) =>
    graph.weight(name, dtype, shape, { kind: "inline", tensor: { dtype, shape, data } });
  const packed = weight("packed", "uint8", shapes.packed, quantized.packed);
  const scales = weight("scales", "float32", shapes.scales, quantized.scales);
  const bits = blocks.bits;
  graph.output(quantizedLinear(input, packed, scales, { bits, blockSize: blocks.blockSize, accuracyLevel: 1 }), "y");
  await using session = await openSession(serializeGraph(graph), { device: "cpu", numThreads: 1 });
  const { y } = await session.run({ x: runtimeTensor("float32", x, [x.length / dIn, dIn]) }, ["y"]);
  return y!.data as Float32Array; // fetched by this name
}

/** A scale among the subnormal numbers is off by up to 1.4e-45, times up to 128 levels. */
const SUBNORMAL = 1e-42;
const WIDTHS = [16, 100, 128, 172, 257];
const FORMATS = [8, 4].flatMap((bits) => [32, 64, 128].map((blockSize) => ({ bits, blockSize }) as Blocks));
const CASES = FORMATS.flatMap((blocks) => WIDTHS.map((dIn) => ({ ...blocks, dIn })));

describe("a quantised weight", () => {
  it.each(CASES)("int$bits, blocks of $blockSize, $dIn wide: the kernel multiplies by what was stored", async (one) => {
    const { dIn } = one;
    const dOut = 6;
    const next = noise(dIn + one.blockSize);
    const weight = Float32Array.from({ length: dOut * dIn }, () => next());
    weight.fill(0, 0, Math.min(dIn, one.blockSize)); // a block of zeros
    const x = Float32Array.from({ length: 3 * dIn }, () => next());
    const quantized = quantize(weight, dIn, one);
    const stored = dequantize(quantized, dOut, dIn, one);
    const expected = Float32Array.from({ length: 3 * dOut }, (_, at) => {
      const [row, out] = [Math.floor(at / dOut), at % dOut];
      let sum = 0;
      for (let i = 0; i < dIn; i++) sum += (x[row * dIn + i] ?? 0) * (stored[out * dIn + i] ?? 0);
      return sum;
    });
    expectAllclose(await kernelProduct(x, dIn, dOut, quantized, one), expected, { rtolOfMax: 1e-6 });
  });

  it("is off by no more than a step, and by nothing at the greatest value of a block", () => {
    const value = fc.float({ min: -4, max: 4, noNaN: true });
    fc.assert(
      fc.property(fc.constantFrom(...FORMATS), fc.array(value, { minLength: 1, maxLength: 200 }), (blocks, values) => {
        const weight = Float32Array.from(values);
        const quantized = quantize(weight, weight.length, blocks);
        const stored = dequantize(quantized, 1, weight.length, blocks);
        for (let start = 0; start < weight.length; start += blocks.blockSize) {
          const block = weight.subarray(start, start + blocks.blockSize);
          const greatest = block.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
          // int4 reaches +7/8 of the greatest value on the other side of zero: a whole step there, half a step elsewhere.
          const step = blocks.bits === 8 ? greatest / 254 : greatest / 8;
          block.forEach((one, i) => {
            const got = stored[start + i] ?? NaN;
            expect(Math.abs(got - one)).toBeLessThanOrEqual(step * (1 + 1e-5) + SUBNORMAL);
            if (one === greatest && blocks.bits === 8) expect(got).toBeCloseTo(one, 5);
          });
        }
      }),
    );
  });

  it("keeps signs where the numbers are so small that their scale loses its digits", () => {
    for (const blocks of FORMATS) {
      const weight = Float32Array.of(1e-42, -1e-42, 3e-43, 0);
      const stored = dequantize(quantize(weight, 4, blocks), 1, 4, blocks);
      stored.forEach((got, i) => expect(got * (weight[i] ?? 0)).toBeGreaterThanOrEqual(0));
    }
  });

  it("fills the last block with the zero point", () => {
    for (const blocks of FORMATS) {
      const { packed } = quantize(Float32Array.of(1, 2, 3, 4), 4, blocks);
      const zero = blocks.bits === 8 ? 128 : 0x88;
      expect([...packed.subarray((4 * blocks.bits) / 8)].every((byte) => byte === zero)).toBe(true);
    }
  });
});
