import { describe, expect, it } from "vitest";
import { allocate } from "../../src/tensor/dtype.ts";
import {
  bytesOf,
  fromFloat32,
  hostTensor,
  numElements,
  tensorFromBytes,
  toFloat32,
} from "../../src/tensor/host-tensor.ts";

describe("host tensors", () => {
  it("counts one element in a scalar and none where a dimension is 0", () => {
    expect([numElements([]), numElements([2, 3]), numElements([2, 0])]).toEqual([1, 6, 0]);
  });

  it("refuses data that does not fill the shape", () => {
    expect(() => hostTensor("float32", [2, 2], new Float32Array(3))).toThrow(/\[2,2\] cannot hold 3/);
    expect(() => tensorFromBytes("float32", [2], new Uint8Array(7))).toThrow(/7 bytes/);
  });

  it("reads back its own bytes from any alignment, as a copy", () => {
    const tensor = hostTensor("float32", [2], Float32Array.of(1.5, -2));
    const shifted = new Uint8Array(9);
    shifted.set(bytesOf(tensor), 1);
    const copy = tensorFromBytes("float32", [2], shifted.subarray(1));
    shifted.fill(0);
    expect(copy).toEqual(tensor);
  });

  it("views the part of a buffer that it was given, and no more", () => {
    const values = Float32Array.of(1, 2, 3).subarray(1, 2);
    expect(bytesOf(hostTensor("float32", [1], values))).toEqual(new Uint8Array(Float32Array.of(2).buffer));
  });

  it("converts floating types to float32 and back, and refuses integers", () => {
    const values = Float32Array.of(0.5, -3);
    for (const dtype of ["float32", "float16", "bfloat16"] as const)
      expect(toFloat32(hostTensor(dtype, [2], fromFloat32(values, dtype)))).toEqual(values);
    expect(toFloat32(hostTensor("float64", [2], Float64Array.of(0.5, -3)))).toEqual(values);
    expect(() => toFloat32(hostTensor("int64", [1], allocate("int64", 1)))).toThrow(/int64 tensor has no float32/);
  });
});
