/** Expected values from IEEE 754-2019 §3.4 and §4.3.1; bfloat16 is the upper half of a float32. */
import { describe, expect, it } from "vitest";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "../../src/tensor/float16.ts";

const ALL_BITS = Uint16Array.from({ length: 65536 }, (_, i) => i);
const f16 = (value: number) => float32ToFloat16(Float32Array.of(value))[0];
const bf16 = (value: number) => float32ToBfloat16(Float32Array.of(value))[0];

/** float32 values just below and just above a positive `value`. */
function neighbours(value: number): [below: number, above: number] {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
  const [below = NaN, above = NaN] = new Float32Array(Uint32Array.of(bits - 1, bits + 1).buffer);
  return [below, above];
}

/**
 * Checks every gap between neighbouring values up to `infinityBits`: the middle goes to the even one, the rest to the
 * nearer.
 */
function expectNearestEven(
  encode: (value: number) => number | undefined,
  decode: (bits: Uint16Array) => Float32Array,
  infinityBits: number,
): void {
  const values = decode(ALL_BITS.subarray(0, infinityBits));
  const wrong: number[] = [];
  for (let bits = 0; bits < infinityBits - 1; bits++) {
    const middle = ((values[bits] ?? NaN) + (values[bits + 1] ?? NaN)) / 2;
    const [below, above] = neighbours(middle);
    const even = bits % 2 === 0 ? bits : bits + 1;
    if (encode(below) !== bits || encode(middle) !== even || encode(above) !== bits + 1) wrong.push(bits);
  }
  expect(wrong).toEqual([]);
}

describe("float16", () => {
  it("decodes the values of the standard", () => {
    const bits = Uint16Array.of(0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0x3555, 0xc000, 0x7bff, 0x7c00, 0xfc00);
    const values = [0, -0, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 1, 0.333251953125, -2, 65504, Infinity, -Infinity];
    expect([...float16ToFloat32(bits)]).toEqual(values);
    expect(float16ToFloat32(Uint16Array.of(0x7e00))[0]).toBeNaN();
  });

  it("encodes every decoded pattern back to itself, NaN to a NaN of its sign", () => {
    const back = float32ToFloat16(float16ToFloat32(ALL_BITS));
    const isNaN16 = (bits: number) => (bits & 0x7fff) > 0x7c00;
    expect(ALL_BITS.filter((bits) => (isNaN16(bits) ? !isNaN16(back[bits] ?? 0) : back[bits] !== bits))).toEqual(
      new Uint16Array(),
    );
  });

  it("rounds to nearest even in every gap, subnormals included", () => {
    expectNearestEven(f16, float16ToFloat32, 0x7c00);
  });

  it("overflows to infinity from 65520 on, and underflows to a signed zero", () => {
    expect([65519.99, 65520, -1e30].map(f16)).toEqual([0x7bff, 0x7c00, 0xfc00]);
    expect([2 ** -25, -(2 ** -26)].map(f16)).toEqual([0x0000, 0x8000]);
  });
});

describe("bfloat16", () => {
  it("decodes to the upper half of a float32 and encodes back, NaN to NaN", () => {
    const values = bfloat16ToFloat32(ALL_BITS);
    expect(values[0x3f80]).toBe(1);
    expect(values[0xc2f7]).toBe(-123.5);
    const back = float32ToBfloat16(values);
    const wrong = ALL_BITS.filter((bits) =>
      Number.isNaN(values[bits]) ? ((back[bits] ?? 0) & 0x7fff) <= 0x7f80 : back[bits] !== bits,
    );
    expect(wrong).toEqual(new Uint16Array());
  });

  it("rounds to nearest even in every gap, and overflows to infinity", () => {
    expectNearestEven(bf16, bfloat16ToFloat32, 0x7f80);
    expect([3.4028234663852886e38, -3.4028234663852886e38].map(bf16)).toEqual([0x7f80, 0xff80]);
  });
});
