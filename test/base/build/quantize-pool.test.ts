/** Threads run the built worker, since Node 20 loads no TypeScript: `npm test` builds first. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createQuantizePool } from "../../../src/base/build/quantize-pool.ts";
import { quantizedMatrix } from "../../../src/model/serve/quantize.ts";
import type { QuantizedMatrix } from "../../../src/model/serve/quantized-matrix.ts";
import { layoutOf, layoutsOf } from "../../../src/model/serve/weight-layouts.ts";
import { type HostTensor, fromFloat32, toFloat32 } from "../../../src/tensor/host-tensor.ts";

const WORKER = new URL("../../../dist/src/base/build/quantize-worker.js", import.meta.url);

/** A weight of several jobs; the last one has fewer rows. */
function weight(dtype: "float32" | "float16" | "bfloat16", dOut: number, dIn: number): HostTensor {
  const values = Float32Array.from({ length: dOut * dIn }, (_, i) => Math.sin(i * i) / 8);
  return { dtype, shape: [dOut, dIn], data: fromFloat32(values, dtype) };
}

/** SHA-256 of all numbers of a matrix: comparing a million numbers one by one takes minutes. */
function digest({ packed, scales, zeroPoints, minimums }: QuantizedMatrix): string {
  const hash = createHash("sha256");
  for (const part of [packed, scales, zeroPoints, minimums])
    hash.update(part ? new Uint8Array(part.buffer, part.byteOffset, part.byteLength) : "none");
  return hash.digest("hex");
}

describe("a weight that threads quantise", () => {
  it.each([
    ["bfloat16", "int8"],
    ["float16", "int4"],
    ["float32", "int8"],
  ] as const)("in %s has the same numbers in %s as in one piece", async (dtype, kind) => {
    const whole = weight(dtype, 1100, 1024);
    const layout = layoutOf(layoutsOf(kind, null), "layers.0.mlp.in");
    await using pool = createQuantizePool(2, WORKER);
    const [one, other] = await Promise.all([pool.quantize(whole, layout), pool.quantize(whole, layout)]);
    expect(digest(one)).toBe(digest(quantizedMatrix(toFloat32(whole), 1024, layout)));
    expect(digest(other)).toBe(digest(one));
  });

  it("starts no thread for a small one", async () => {
    await using pool = createQuantizePool(1, new URL("data:text/javascript,process.exit(3)"));
    const small = weight("float32", 4, 64);
    const layout = layoutOf(layoutsOf("int8", null), "layers.0.mlp.in");
    expect(await pool.quantize(small, layout)).toEqual(quantizedMatrix(toFloat32(small), 64, layout));
  });
});
