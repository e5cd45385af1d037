/**
 * Converts between float32 and IEEE 754 binary16 or bfloat16, whole arrays at a time. Pure. Rounding is to nearest,
 * ties to even; overflow goes to infinity; NaN stays NaN.
 */

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

function decodeFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// 64 K entries (256 kB), built on first use: decoding a checkpoint takes one table look-up per value.
let float16Table: Float32Array | undefined;

/** The value of every pattern of 16 bits. */
export function float16Values(): Float32Array {
  return (float16Table ??= Float32Array.from({ length: 65536 }, (_, i) => decodeFloat16(i)));
}

/** Raw binary16 bits to float32 (exact). */
export function float16ToFloat32(bits: Uint16Array): Float32Array {
  const table = float16Values();
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i] as number] as number;
  return values;
}

function encodeFloat16(value: number): number {
  scratchFloat[0] = value;
  const x = scratchBits[0] as number;
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to 65520 or more: infinity
  if (magnitude < 0x38800000) {
    // Subnormal: adding 0.5 (whose unit in the last place is 2^-24) makes the float adder round to even.
    scratchBits[0] = magnitude;
    scratchFloat[0] = (scratchFloat[0] as number) + 0.5;
    return sign | ((scratchBits[0] as number) - 0x3f000000);
  }
  const isOdd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x38000000 + 0xfff + isOdd) >>> 13);
}

/** float32 to raw binary16 bits. */
export function float32ToFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) bits[i] = encodeFloat16(values[i] as number);
  return bits;
}

/** Raw bfloat16 bits to float32 (exact: the upper half of a float32). */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16;
  return new Float32Array(words.buffer);
}

/** float32 to raw bfloat16 bits. */
export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const isNan = (word & 0x7fffffff) > 0x7f800000;
    bits[i] = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return bits;
}
